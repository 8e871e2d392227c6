"""
The models of a city: which one answers, which one runs in its shadow, and where they are kept.

A folder holds what the city's history taught, as skops files: `active.skops` answers, and
`shadow.skops` is asked besides and not heeded. Without them the written examples answer: their
model comes along with the city's folder (`model.skops`), or is learned when it is first needed. One
that comes along and is of older examples answers all the same, while it knows every type.
A file that cannot be read never stops the routing: it is told, and the next best model answers.

Whatever takes scikit-learn or skops happens in a process of its own (`learn.py`). What it learned
of written examples is kept beside (`*.npz`), and can be deleted at any time.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import structlog

from router.classify import Model
from router.packing import FORMAT, from_skops, packed, unpacked
from router.rules import City
from router.stories import stories

log = structlog.stdlib.get_logger()

# Part of the version of a model: whoever changes how it is learned counts on here.
LEARNING = 5

ACTIVE, SHADOW, SHIPPED = "active.skops", "shadow.skops", "model.skops"

_ROOT = Path(__file__).parents[1]
_LONGEST = 900  # seconds


class BadModel(Exception):
    """A file that is no model, or examples that none can be learned from; says why."""


class Lesson(NamedTuple):
    """A complaint whose type is known."""

    problem_type: str
    text: str
    weight: float = 1.0
    """How much it counts beside others."""
    place: str = ""
    """Where it is, in any words: what is of one place is one trouble, told many times."""


@dataclass(frozen=True)
class Models:
    """What answers, and what runs in its shadow."""

    active: Model
    shadow: Model | None = None
    faults: tuple[str, ...] = ()
    """What could not be read, in sentences."""


class ModelFolder:
    """The folder of a city's models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def open(self, city: City) -> Models:
        """The models of a city; its written examples are learned now if they never were."""
        faults: list[str] = []
        active = self._history(ACTIVE, city, faults)
        shadow = self._history(SHADOW, city, faults)
        for fault in faults:
            log.error("a model cannot be used", reason=fault)
        return Models(active or self.written(city), shadow, tuple(faults))

    def marks(self) -> tuple[object, ...]:
        """Something that differs whenever another model has come into the folder."""
        return tuple(_mark(self.folder / name) for name in (ACTIVE, SHADOW))

    # ── what was written ────────────────────────────────────────────────────────────────────────

    def written(self, city: City) -> Model:
        """The model of the city's written examples."""
        version = written_version(city)
        shipped = self._shipped(city, version)
        if shipped is not None:
            return shipped
        path = self.folder / f"{version}.npz"
        with self._alone(version):
            try:
                return unpacked(path.read_bytes())
            except FileNotFoundError:
                pass
            except (ValueError, OSError) as error:
                # Half a file or a damaged one: what it was made from is still there.
                log.warning("model cache unreadable", model=version, error=str(error))
            log.info("learning from written examples, once", model=version)
            model = learn_written(city)
            self._keep(path, packed(model))
        return model

    def _shipped(self, city: City, version: str) -> Model | None:
        path = city.folder / SHIPPED
        if not path.exists():
            return None
        try:
            model = read(path)
        except BadModel as error:
            log.error("a model cannot be used", reason=str(error))
            return None
        if model.version != version:
            # Who changed one line wants no start of a minute and a half for it.
            log.warning(
                "the city's model.skops is of other examples; make it again: buckstop model make",
                model=model.version,
            )
            if not {kind.name for kind in city.offered} <= set(model.labels):
                return None
        return model

    # ── what history taught ─────────────────────────────────────────────────────────────────────

    def history(self, name: str) -> Model | None:
        """The model in one of the folder's files, or None; raises BadModel for a broken one."""
        path = self.folder / name
        return read(path) if path.exists() else None

    def _history(self, name: str, city: City, faults: list[str]) -> Model | None:
        try:
            model = self.history(name)
        except BadModel as error:
            faults.append(str(error))
            return None
        if model and not set(model.labels) & {kind.name for kind in city.offered}:
            faults.append(f"{self.folder / name} knows none of the city's types.")
            return None
        return model

    def cast_shadow(self, told: Sequence[Lesson], city: City) -> Model:
        """
        Learns from complaints on top of what was written, and lets the new model run in shadow.
        Raises BadModel when they are not enough to learn from.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        return learn_history(told, self.written(city), city, to=self.folder / SHADOW)

    def promote(self) -> None:
        """The shadow answers from now on. Raises FileNotFoundError when there is none."""
        (self.folder / SHADOW).replace(self.folder / ACTIVE)

    def discard(self, name: str) -> bool:
        """Forgets a model of the history; whether there was one."""
        try:
            (self.folder / name).unlink()
        except FileNotFoundError:
            return False
        return True

    # ── keeping ─────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def _alone(self, version: str) -> Iterator[None]:
        # Two processes that start together learn once: the second waits, and reads.
        with ExitStack() as held:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                lock = held.enter_context((self.folder / f"{version}.lock").open("a"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            except OSError as error:
                log.warning("models cannot be kept", error=str(error))
            yield

    def _keep(self, path: Path, learned: bytes) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self.folder, suffix=".part")
            with os.fdopen(handle, "wb") as file:
                file.write(learned)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except OSError as error:
            # A full or read-only disk costs the next start a few seconds, and nothing else.
            log.warning("model not kept", model=path.stem, error=str(error))


# ── learning, in another process, and reading ───────────────────────────────────────────────────


def written_version(city: City) -> str:
    """The version of the model that a city's written examples make."""
    told = json.dumps(
        [
            FORMAT,
            LEARNING,
            city.teaching,
            [(one.problem_type, one.language, one.line) for one in city.patterns.patterns],
            city.patterns.words,
            city.patterns.around,
            city.shares,
        ],
        sort_keys=True,
        default=str,
    )
    return f"written-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def learn_written(city: City, *, to: Path | None = None) -> Model:
    """Learns a city's written examples, now; `to` keeps the model as a skops file besides."""
    told = stories(city.patterns, city.teaching)
    return _child(
        {
            "do": "written",
            "stories": [
                (one.problem_type, one.text, one.source, one.judged, one.spun) for one in told
            ],
            "shares": dict(city.shares),
            "version": written_version(city),
            "to": str(to) if to else "",
        }
    )


def learn_history(
    told: Sequence[Lesson], base: Model | None, city: City, *, to: Path | None = None
) -> Model:
    """
    Learns from complaints, in the order of time, with a city's written examples to help.
    Raises BadModel when they are too few.
    """
    written = [(one.problem_type, one.text) for one in city.teaching]
    digest = hashlib.sha256(
        json.dumps([FORMAT, LEARNING, base.version if base else "", told, written]).encode()
    )
    with tempfile.TemporaryDirectory(prefix="buckstop-") as folder:
        kept = Path(folder) / "base.npz"
        if base is not None:
            kept.write_bytes(packed(base))
        return _child(
            {
                "do": "history",
                "told": list(told),
                "written": written,
                "base": str(kept) if base is not None else "",
                "version": f"history-{digest.hexdigest()[:12]}",
                "to": str(to) if to else "",
            }
        )


def read(path: Path) -> Model:
    """The model in a skops file; raises BadModel, saying why, for anything else."""
    try:
        return from_skops(path.read_bytes())
    except OSError as error:
        raise BadModel(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise BadModel(f"{path} {error}.") from error


def _child(order: dict[str, Any]) -> Model:
    # Its own process: scikit-learn, skops and the memory that learning takes leave with it.
    try:
        done = subprocess.run(
            [sys.executable, "-m", "router.learn"],
            input=json.dumps(order).encode(),
            capture_output=True,
            cwd=_ROOT,
            # One thread is done sooner than two that wait for each other.
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            timeout=_LONGEST,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadModel(f"could not be made: {error}.") from error
    words = done.stderr.decode(errors="replace").strip()
    if done.returncode == 3:
        raise BadModel(words)
    if done.returncode != 0:
        raise BadModel(f"could not be made: {words[-1000:]}")
    return unpacked(done.stdout)


def _mark(path: Path) -> object:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size
