"""
Open311's answers: one value, written as XML or as JSON.

The two follow from each other as GeoReport v2 says: a list is a bare array in JSON and repeated
children in XML, an empty element is `null`.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from aiohttp import web

Format = Literal["xml", "json"]
TYPES: Mapping[str, str] = {"xml": "text/xml", "json": "application/json"}

# What the children of a list are called in XML.
_CHILD = {
    "services": "service",
    "service_requests": "request",
    "service_request_updates": "request_update",
    "errors": "error",
    "attributes": "attribute",
    "values": "value",
    "endpoints": "endpoint",
    "formats": "format",
    "notes": "note",
    "photos": "photo",
}
_DECLARATION = b'<?xml version="1.0" encoding="utf-8"?>\n'
# Everything that XML 1.0 cannot hold, however it is quoted.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CALLBACK = re.compile(r"[A-Za-z_$][\w$.]{0,60}", re.ASCII)


@dataclass(frozen=True)
class Fault:
    """What is wrong with a request, in words for a person."""

    code: int
    description: str


class Refusal(Exception):
    """The request is not done; `faults` say why, the first one's code is the HTTP status."""

    def __init__(self, *faults: Fault, headers: Mapping[str, str] | None = None) -> None:
        super().__init__("; ".join(fault.description for fault in faults))
        self.faults = faults
        self.headers = dict(headers or {})


def split_name(name: str) -> tuple[str, str | None]:
    """The name in front of a suffix, and the suffix: `033.json` is `033` and `json`."""
    front, dot, suffix = name.rpartition(".")
    return (front, suffix) if dot else (name, None)


def format_for(suffix: str | None, accepted: str) -> Format:
    """
    The format that a request asks for: by its suffix, else by `Accept`, else XML. Raises `Refusal`
    for a suffix that is neither.
    """
    match (suffix or "").lower():
        case "xml":
            return "xml"
        case "json":
            return "json"
        case "" if suffix is None:
            wanted = [one.partition(";")[0].strip().lower() for one in accepted.split(",")]
            for kind in wanted:
                if kind in ("application/json", "text/json"):
                    return "json"
                if kind in ("text/xml", "application/xml", "*/*"):
                    break
            return "xml"
    raise Refusal(Fault(400, f"There is no format {suffix!r}: ask for .xml or .json."))


def answer(
    format: Format,
    root: str,
    value: object,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    callback: str | None = None,
) -> web.Response:
    """The answer. `root` names the value in XML. `callback` makes JSON a script (JSONP)."""
    body = written(format, root, value)
    kind = TYPES[format]
    if callback and format == "json":
        if _CALLBACK.fullmatch(callback) is None:
            fault = Fault(400, "callback must be the name of a function.")
            return refuse(format, Refusal(fault))
        # The comment keeps the file from beginning with what a stranger chose.
        body, kind = b"/**/" + callback.encode() + b"(" + body + b");", "application/javascript"
    return web.Response(
        body=body, status=status, content_type=kind, charset="utf-8", headers=headers
    )


def refuse(format: Format, refusal: Refusal) -> web.Response:
    """The answer that says what is wrong."""
    told = [{"code": one.code, "description": one.description} for one in refusal.faults]
    return answer(format, "errors", told, status=refusal.faults[0].code, headers=refusal.headers)


def written(format: Format, root: str, value: object) -> bytes:
    """The value as bytes in UTF-8. Pure."""
    if format == "json":
        told = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return told.encode("utf-8", "replace")
    element = Element(root)
    _fill(element, root, value)
    told_in_xml: bytes = tostring(element, encoding="utf-8", xml_declaration=False)
    return _DECLARATION + told_in_xml


def _fill(element: Element, name: str, value: object) -> None:
    match value:
        case None:
            pass
        case bool():
            element.text = "true" if value else "false"
        case str():
            element.text = _ILLEGAL.sub("", value)
        case Mapping():
            for key, inner in value.items():
                _fill(SubElement(element, key), key, inner)
        case Sequence():
            child = _CHILD.get(name, "item")
            for inner in value:
                _fill(SubElement(element, child), child, inner)
        case _:
            element.text = str(value)
