"""
The refresh token of a mailbox, kept where a restart finds it: Microsoft hands out a new one at each
renewal, and the one in the settings ends some day.

A file of the data directory that only we may read, and not the database: its backups lie about.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import structlog

log = structlog.stdlib.get_logger()

FOLDER = "oauth"


@dataclass(frozen=True)
class TokenFile:
    """The newest refresh token that came from the one in the settings."""

    path: Path
    given: str
    """The one in the settings; when somebody changes that, what was kept counts no more."""

    def read(self) -> str:
        """The newest that we know: the kept one, else the given one."""
        try:
            kept = json.loads(self.path.read_text())
            if kept["from"] == _digest(self.given):
                return str(kept["refresh_token"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("a kept refresh token cannot be read", error=type(error).__name__)
        return self.given

    def write(self, token: str) -> None:
        """On disk when it returns, whole or not at all. A disk that refuses is told in the log."""
        draft = self.path.with_name(f"{self.path.name}.{uuid4().hex[:8]}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump({"from": _digest(self.given), "refresh_token": token}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except OSError as error:
            log.error("a new refresh token cannot be kept", error=type(error).__name__)
            draft.unlink(missing_ok=True)

    def forget(self) -> None:
        """The provider takes it no more."""
        self.path.unlink(missing_ok=True)


def token_file(data: Path | None, mailbox: str, given: str) -> TokenFile | None:
    """Where the token of a mailbox is kept; nowhere without a data directory."""
    if data is None:
        return None
    name = hashlib.sha256(mailbox.lower().encode()).hexdigest()[:24]
    return TokenFile(data / FOLDER / f"{name}.json", given)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
