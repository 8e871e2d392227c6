"""Reports as a file for a browser: one that needs nothing else, to send or to keep."""

from functools import cache
from pathlib import Path

import jinja2

from gateway.reports.shown import Shown

_STYLE = Path(__file__).parents[1] / "static" / "reports.css"


def as_html(shown: Shown, template: str = "service_requests.html") -> str:
    """A whole page with its style in it."""
    page = _templates().get_template("alone.html")
    return page.render(told=shown, body=template, style=_STYLE.read_text())


@cache
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
