"""
The Chromium that the browser tests drive: one that is there, else Debian's where we may install
it, else Playwright's own. None to be had is a failure that says what to install.

`python -m tests.support.browser` fetches it before the tests start.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoBrowser(Exception):
    """No Chromium; the sentence says what to install."""


def find() -> str | None:
    """The path of a Chromium on this machine; None when there is none."""
    if named := os.environ.get("BUCKSTOP_TEST_BROWSER"):
        return named
    for name in NAMES:
        if path := shutil.which(name):
            return path
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
        return own if Path(own).exists() else None


def arguments() -> list[str]:
    # Chromium's sandbox refuses root.
    return [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


def fetch() -> str:
    """The path of a Chromium, installed if need be. Raises `NoBrowser`."""
    if found := find():
        return found
    tried = []
    if os.geteuid() == 0 and shutil.which("apt-get"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        tried.append("apt-get install chromium")
        subprocess.run(["apt-get", "update", "-qq"], check=False, env=environment)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "chromium"],
            check=False,
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        if found := find():
            return found
    tried.append("playwright install chromium")
    subprocess.run(
        [sys.executable, "-m", "playwright", "install", "chromium"], check=False, timeout=600
    )
    if found := find():
        return found
    raise NoBrowser(
        f"The browser tests need a Chromium, and none could be had (tried: {', '.join(tried)}). "
        "Install the package `chromium`, or name one in BUCKSTOP_TEST_BROWSER."
    )


if __name__ == "__main__":
    try:
        fetch()
    except NoBrowser as reason:
        sys.exit(str(reason))
