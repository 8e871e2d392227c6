"""
Trained models in a folder: one file for each set of examples, made when it is first needed.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version as version_of
from pathlib import Path

import structlog

from router.classify import Model, unpacked

log = structlog.stdlib.get_logger()

# Part of a file's name: whoever changes what a model is, or how it is kept, counts on here.
_CODE_VERSION = "1"

_ROOT = Path(__file__).parents[1]
_LONGEST = 300


class ModelCache:
    """The folder; what lies in it can be deleted at any time and is made again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def model_of(
        self,
        examples: Sequence[tuple[str, str]],
        departments: Mapping[str, str],
        *,
        precision: float,
    ) -> Model:
        """The model of these examples, trained now if it never was."""
        order = {
            "examples": [[problem_type, text] for problem_type, text in examples],
            "departments": dict(departments),
            "precision": precision,
        }
        version = _version(order)
        path = self._folder / f"{version}.npz"
        with self._alone(version):
            try:
                return unpacked(path.read_bytes())
            except FileNotFoundError:
                log.info("learning from examples", model=version, examples=len(examples))
            except (ValueError, KeyError, OSError) as error:
                # Half a file or a damaged one: the examples are still there to learn from.
                log.warning("model cache unreadable", model=version, error=str(error))
            learned = _learn(order | {"version": version})
            self._keep(path, learned)
        return unpacked(learned)

    @contextmanager
    def _alone(self, version: str) -> Iterator[None]:
        # Two processes that start together learn once: the second waits, and reads.
        with ExitStack() as held:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                lock = held.enter_context((self._folder / f"{version}.lock").open("a"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                log.warning("models cannot be kept", error=str(error))
            yield

    def _keep(self, path: Path, learned: bytes) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder, suffix=".part")
            with os.fdopen(handle, "wb") as file:
                file.write(learned)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except OSError as error:
            # A full or read-only disk costs the next start a few seconds, and nothing else.
            log.warning("model not kept", model=path.stem, error=str(error))


def _version(order: Mapping[str, object]) -> str:
    told = json.dumps([_CODE_VERSION, version_of("scikit-learn"), order], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _learn(order: Mapping[str, object]) -> bytes:
    # Its own process: scikit-learn and the memory that learning takes leave with it.
    done = subprocess.run(
        [sys.executable, "-m", "router.learn"],
        input=json.dumps(order).encode(),
        capture_output=True,
        cwd=_ROOT,
        # Matrices of this size are done sooner by one thread than by two that wait for each other.
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        timeout=_LONGEST,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"learning from the examples failed: {done.stderr.decode(errors='replace')[-2000:]}"
        )
    return done.stdout
