"""Reports on paper: tagged PDF (PDF/UA-1), which a screen reader reads as well as a printer."""

import json
from pathlib import Path

import typst

from gateway.reports.shown import Shown

TEMPLATES = Path(__file__).parent / "templates"


class CannotPrint(Exception):
    """The report's template and its values do not go together."""


def as_pdf(shown: Shown, template: str = "service_requests.typ") -> bytes:
    """
    The report as a PDF file; raises `CannotPrint`. Takes some tenths of a second: call it in a
    thread.
    """
    # The compiler lets the other threads go on meanwhile.
    try:
        pages = typst.compile(
            TEMPLATES / template, sys_inputs={"told": json.dumps(shown)}, pdf_standards="ua-1"
        )
    except typst.TypstError as error:
        raise CannotPrint(f"{template}: {error}") from error
    if not isinstance(pages, bytes):
        raise CannotPrint(f"{template}: typst made {type(pages).__name__} of it")
    return pages
