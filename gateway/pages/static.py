"""
The files that pages load, under an address that changes with their content.

`/static/<hash of all>/…` may be kept by browsers for ever; the style sheets' own relative
addresses keep working, as the hash stands in front of the whole tree.
"""

import hashlib
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).resolve().parent.parent / "static"
NEEDED = "vendor/uswds/css/uswds.min.css"
_FOR_EVER = "public, max-age=31536000, immutable"


class StaticFiles:
    """Serves `gateway/static` as it was when the process started."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix != ".gz" and not path.name.startswith(".")
        }
        if NEEDED not in self._files:
            raise FileNotFoundError(
                f"{folder / NEEDED} is missing: run `python gateway/assets/build_hook.py`"
            )
        told = hashlib.sha256()
        for name, path in self._files.items():
            told.update(f"{name}\n".encode())
            told.update(path.read_bytes())
        self.version = told.hexdigest()[:12]

    def url(self, name: str) -> str:
        """Where a page finds the file; a name that we do not have is a mistake in the page."""
        if name not in self._files:
            raise KeyError(f"no static file {name!r}")
        return f"/static/{self.version}/{name}"

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/static/{version}/{name:.+}", self._serve)]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = self._files.get(request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound
        current = request.match_info["version"] == self.version
        # A page from before an update still asks for the old address: answer, but not for ever.
        return web.FileResponse(
            path, headers={"Cache-Control": _FOR_EVER if current else "no-cache"}
        )
