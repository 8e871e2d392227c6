"""
The newest password or refresh token of a mailbox, kept where a restart finds it: an operator enters
a password that has changed, and Microsoft hands out a new refresh token at each renewal. The one in
the settings is worth nothing by then.

A file of the data directory that only we may read: whoever may read the database may not read
residents' mail.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import structlog

log = structlog.stdlib.get_logger()

TOKENS = "oauth"
PASSWORDS = "passwords"


@dataclass(frozen=True)
class KeptSecret:
    """The newest secret that took the place of the one in the settings."""

    path: Path
    given: str
    """The one in the settings; when somebody changes that, what was kept counts no more."""

    def read(self) -> str:
        """The newest that we know: the kept one, else the given one."""
        try:
            kept = json.loads(self.path.read_text())
            if kept["from"] == _digest(self.given):
                return str(kept["secret"])
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("a kept secret cannot be read", error=type(error).__name__)
        return self.given

    def write(self, secret: str) -> None:
        """On disk when it returns, whole or not at all. Raises `OSError` when the disk refuses."""
        draft = self.path.with_name(f"{self.path.name}.{uuid4().hex[:8]}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump({"from": _digest(self.given), "secret": secret}, file)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self.path)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def forget(self) -> None:
        """It is worth nothing any more."""
        self.path.unlink(missing_ok=True)


def kept_secret(data: Path | None, folder: str, mailbox: str, given: str) -> KeptSecret | None:
    """Where the secret of a mailbox is kept; nowhere without a data directory."""
    if data is None:
        return None
    name = hashlib.sha256(mailbox.lower().encode()).hexdigest()[:24]
    return KeptSecret(data / folder / f"{name}.json", given)


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
