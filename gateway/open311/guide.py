"""The page for developers: how to get a key, and every operation of the OpenAPI description."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web
from markupsafe import Markup, escape

from channels.open311 import ROUTE
from gateway.open311.description import description_for
from gateway.open311.desk import Open311Desk
from gateway.pages.layout import render
from gateway.settings import Settings

PAGE = "/open311"
DESCRIPTION = "/open311/openapi.json"

_TRIED = {
    "api_key": "YOUR-KEY",
    "lat": "39.0911",
    "long": "-94.4155",
    "description": "Big hole",
    "client_request_id": "a7c1",
    "update_id": "u-1",
    "status": "OPEN",
    "updated_datetime": "2026-03-02T08:00:00-06:00",
    "service_request_id": "7KQ-2MX-94",
    "token": "7KQ-2MX-94",
    "number": "1",
    "page": "1",
    "text": "Big hole",
}
"""What stands in the examples."""
_SHOWN_IN = {
    "report": ("api_key", "service_code", "lat", "long", "description", "client_request_id"),
    "update": (
        "api_key",
        "service_request_id",
        "update_id",
        "status",
        "updated_datetime",
        "description",
    ),
    "requests": ("status", "page"),
}


@dataclass(frozen=True)
class Field:
    """A parameter or a field, as the page lists it."""

    name: str
    where: str
    """`path`, `query`, `header`, `form`, or empty for a field of an answer."""
    kind: str
    required: bool
    words: str


@dataclass(frozen=True)
class Operation:
    id: str
    method: str
    path: str
    summary: str
    words: Sequence[str]
    """Paragraphs."""
    about_fields: str
    fields: Sequence[Field]
    answers: Sequence[Field]
    statuses: Sequence[tuple[str, str]]
    example: str
    """A line for a shell."""


class Guide:
    """The page and the description behind it."""

    def __init__(self, desk: Open311Desk, settings: Settings, title: str) -> None:
        self._settings = settings
        self._jurisdiction = desk.book.jurisdiction
        self._description = description_for(title, settings.base_url, desk.book, desk.bounds)
        self._groups = groups_of(self._description)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(PAGE, self.page),
            web.get(f"{PAGE}/", self.to_page),
            web.get(ROUTE, self.to_page),
            web.get(DESCRIPTION, self.description),
        ]

    async def to_page(self, request: web.Request) -> web.Response:
        return web.Response(status=303, headers={"Location": PAGE})

    async def page(self, request: web.Request) -> web.Response:
        section = self._settings.channels.open311
        told = {
            "nav": "open311",
            "base_url": f"{self._settings.base_url}{ROUTE}",
            "description_url": DESCRIPTION,
            "jurisdiction": self._jurisdiction,
            "key_service": section.key_service,
            "contact": section.contact,
            "words": paragraphs(self._description["info"]["description"]),
            "groups": self._groups,
            "coded": coded,
        }
        return render(request, "open311/guide.html", told)

    async def description(self, request: web.Request) -> web.Response:
        return web.json_response(
            self._description,
            headers={"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=300"},
        )


def groups_of(description: Mapping[str, Any]) -> list[tuple[str, str, list[Operation]]]:
    """The operations by tag: its name, its words, and the operations. Pure."""
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in description["tags"]}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            found[operation["tags"][0]].append(_operation(description, path, method, operation))
    return [(tag["name"], tag["description"], found[tag["name"]]) for tag in description["tags"]]


def coded(text: str) -> Markup:
    """The text, in which what stands between backticks is code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )


def paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def _operation(
    description: Mapping[str, Any], path: str, method: str, operation: Mapping[str, Any]
) -> Operation:
    parameters = [_resolved(description, one) for one in operation.get("parameters", [])]
    fields: list[Field] = []
    for one in parameters:
        schema = _resolved(description, one["schema"])
        if schema.get("type") == "object":
            # Parameters that belong together; each is sent by its own name.
            together = _fields(description, schema, "query")
            fields += [replace(part, required=False) for part in together]
        elif one["name"] != "format":
            fields.append(
                Field(
                    name=one["name"],
                    where=one["in"],
                    kind=_kind(schema),
                    required=one.get("required", False),
                    words=" ".join(one.get("description", "").split()),
                )
            )
    body = operation.get("requestBody", {}).get("content", {})
    kind = next(iter(body), "")
    about_fields = ""
    if body:
        schema = _resolved(description, body[kind]["schema"])
        about_fields = " ".join(schema.get("description", "").split())
        where = "JSON" if "json" in kind else "form"
        fields += _fields(description, schema, where)
    answers = []
    statuses = []
    for status, response in operation["responses"].items():
        response = _resolved(description, response)
        statuses.append((status, response["description"]))
        if status == "200":
            answers = _answers(description, response)
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        words=paragraphs(operation.get("description", "")),
        about_fields=about_fields,
        fields=fields,
        answers=answers,
        statuses=statuses,
        example=_example(description, path, method, operation["operationId"], fields, kind),
    )


def _answers(description: Mapping[str, Any], response: Mapping[str, Any]) -> list[Field]:
    schema = response.get("content", {}).get("application/json", {}).get("schema")
    if schema is None:
        return []
    schema = _resolved(description, schema)
    if schema.get("type") == "array":
        schema = _resolved(description, schema["items"])
    return _fields(description, schema, "")


def _fields(
    description: Mapping[str, Any], schema: Mapping[str, Any], where: str, before: str = ""
) -> list[Field]:
    fields: list[Field] = []
    for name, part in schema.get("properties", {}).items():
        inner = _resolved(description, part)
        fields.append(
            Field(
                name=f"{before}{name}",
                where=where,
                kind=_kind(inner),
                required=name in schema.get("required", ()),
                words=" ".join(inner.get("description", "").split()),
            )
        )
        if inner.get("type") == "array":
            items = _resolved(description, inner["items"])
            fields += _fields(description, items, where, f"{before}{name}[].")
        elif inner.get("type") == "object":
            fields += _fields(description, inner, where, f"{before}{name}.")
    return fields


def _kind(schema: Mapping[str, Any]) -> str:
    if "const" in schema:
        return str(schema["const"]).lower() if schema["const"] is True else str(schema["const"])
    if "enum" in schema:
        return ", ".join(schema["enum"])
    kinds = schema.get("type", "")
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    for one in schema.get("anyOf", ()):
        schema = {**one, **schema}
    told = " or ".join("empty" if kind == "null" else kind for kind in kinds)
    return f"{told} ({schema['format']})" if "format" in schema else told


def _example(
    description: Mapping[str, Any],
    path: str,
    method: str,
    id_: str,
    fields: Sequence[Field],
    kind: str,
) -> str:
    base = description["servers"][0]["url"].rstrip("/")
    values = {"format": "json", "service_code": "pothole"} | _TRIED
    for name, value in values.items():
        path = path.replace(f"{{{name}}}", quote(value))
    shown = _SHOWN_IN.get(id_, ())
    if method == "get":
        query = {name: values[name] for name in shown}
        return f"curl {shlex.quote(base + path + ('?' + urlencode(query) if query else ''))}"
    if "json" in kind:
        body = '{"text": "Big hole", "address": "Noland Rd & 23rd St"}'
        return f"curl --json {shlex.quote(body)} {base}{path}"
    given = " ".join(f"-d {shlex.quote(f'{name}={values[name]}')}" for name in shown)
    return f"curl {given} {base}{path}"


def _resolved(description: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in part:
        found: Any = description
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part
