"""
Compiled templates, kept between starts: to compile those of all pages and notices takes a second
and a half, and the first who asks for a page would wait for it.
"""

import os
from pathlib import Path

import jinja2
import structlog

from gateway.settings import Settings

log = structlog.stdlib.get_logger()


def compiled_templates(settings: Settings) -> jinja2.BytecodeCache | None:
    """
    Where templates are kept once they are compiled, each by its name and its text; None where
    nothing can be written, which costs time and nothing else.
    """
    folder = settings.cache or settings.data / "cache"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError as error:
        log.warning("compiled templates cannot be kept", error=str(error))
        return None
    # What lies there is run: nobody but us may have put it there.
    if about.st_uid != os.geteuid() or about.st_mode & 0o022:
        log.warning("compiled templates are not kept where others write", folder=str(folder))
        return None
    return _Kept(folder)


class _Kept(jinja2.FileSystemBytecodeCache):
    def __init__(self, folder: Path) -> None:
        # Another Jinja may compile to something else.
        super().__init__(str(folder), f"template-{jinja2.__version__}-%s")

    def dump_bytecode(self, bucket: "jinja2.bccache.Bucket") -> None:
        try:
            super().dump_bytecode(bucket)
        except OSError as error:
            # A full disk keeps nobody from reading a page.
            log.warning("a compiled template cannot be kept", error=str(error))
