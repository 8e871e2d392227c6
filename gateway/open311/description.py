"""The OpenAPI description of everything public, made of `openapi.yaml` and the city."""

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from channels.open311_services import Question, Service, ServiceBook, in_language

FILE = Path(__file__).with_name("openapi.yaml")


@cache
def _written() -> Mapping[str, Any]:
    told: Mapping[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return told


def description_for(
    title: str, base_url: str, book: ServiceBook, bounds: tuple[float, float, float, float]
) -> dict[str, Any]:
    """
    The description, with this city's address, name, jurisdiction and services, and its bounds:
    west, south, east, north.
    """
    told: dict[str, Any] = deepcopy(dict(_written()))
    told["info"]["title"] = f"{title}: reports and requests"
    told["servers"] = [{"url": base_url}]
    named = told["components"]["parameters"]["jurisdiction"]
    named["description"] = named["description"].replace("JURISDICTION", book.jurisdiction)
    report = told["components"]["schemas"]["Report"]
    report["oneOf"] = _needed(book)
    west, south, east, north = bounds
    report["properties"]["lat"] |= {"minimum": south, "maximum": north}
    report["properties"]["long"] |= {"minimum": west, "maximum": east}
    return told


def _needed(book: ServiceBook) -> list[dict[str, Any]]:
    """What each service needs to be told, as alternatives."""
    plain, others = [], []
    for service in book.services.values():
        required = [one for one in service.questions if one.required]
        if service.problem_type is None:
            others.append(_with(service, ["description"], {}))
        elif required:
            fields = {f"attribute[{one.code}]": _field(one) for one in required}
            others.append(_with(service, list(fields), fields))
        else:
            plain.append(service.code)
    return [{"properties": {"service_code": {"enum": plain}}}, *others]


def _with(service: Service, needed: list[str], fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "required": needed,
        "properties": {"service_code": {"const": service.code}, **fields},
    }


def _field(question: Question) -> dict[str, Any]:
    told: dict[str, Any] = {"description": in_language(question.ask, "en")}
    match question.datatype:
        case "singlevaluelist" | "multivaluelist":
            told["enum"] = list(question.names)
        case "number":
            told["type"] = "number"
        case "datetime":
            told |= {"type": "string", "format": "date-time"}
        case _:
            told |= {"type": "string", "pattern": r"\S"}
    return told
