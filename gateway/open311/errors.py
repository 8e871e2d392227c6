"""What fails below Open311's addresses is told in Open311's own form, whatever it was."""

from aiohttp import web

from channels.open311 import ROUTE
from channels.open311_format import Fault, Format, Refusal, format_for, refuse, split_name

_WORDS = {
    403: "A page of another website may not do this.",
    404: "There is nothing here.",
    405: "This address does not answer that method.",
    413: "That was too much at once.",
    503: "The records cannot be reached now. Please try again in a moment.",
}


def is_asked(request: web.Request) -> bool:
    """Whether a program asks, which reads XML or JSON and no page."""
    return request.path == ROUTE or request.path.startswith(f"{ROUTE}/")


def answer_for(request: web.Request, status: int, error: BaseException | None) -> web.Response:
    """The errors of the standard, in the format that was asked for."""
    words = _WORDS.get(status) or (
        "Something went wrong on our side." if status >= 500 else "This could not be understood."
    )
    headers = {"Access-Control-Allow-Origin": "*"} if request.method in ("GET", "HEAD") else {}
    if status == 503:
        headers["Retry-After"] = "10"
    if isinstance(error, web.HTTPException):
        headers |= {
            name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers
        }
    return refuse(_format(request), Refusal(Fault(status, words), headers=headers))


def _format(request: web.Request) -> Format:
    try:
        return format_for(split_name(request.path)[1], request.headers.get("Accept", ""))
    except Refusal:
        return "xml"
