"""The OpenAPI description says what is really answered: two strangers' tools hold it to that."""

import asyncio
import importlib
import io
import itertools
import json
import sysconfig
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from georeport import GeoReport

from tests.support.open311 import Reach, picture, reachable

SCHEMATHESIS = Path(sysconfig.get_path("scripts")) / "schemathesis"
CONFIG = Path(__file__).parents[1] / "support" / "schemathesis.toml"
MULTIPART = "multipart/form-data"
# Fields that are read like others: leaving them out halves the time.
ALIKE = ("phone", "first_name", "last_name", "device_id", "account_id", "address_id", "media_url")
EXAMPLES = 5  # for each operation, beside the corner cases


@pytest.fixture(scope="module")
async def city(
    nats_url: str, postgres_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Reach]:
    folder: Path = tmp_path_factory.mktemp("open311")
    async with reachable(nats_url, postgres_dsn, template, folder) as reach:
        yield reach


async def test_schemathesis_finds_no_fault(city: Reach, tmp_path: Path) -> None:
    told = (await city.get("//open311/openapi.json")).json
    # With a good key, so that reports come as far as they can.
    for name in ("Report", "NewUpdate"):
        fields = told["components"]["schemas"][name]["properties"]
        fields["api_key"] = {"const": city.key}
        for one in ALIKE:
            fields.pop(one, None)
    reference = await city.report()
    # Other tests read XML and send photos; here they would only take twice as long.
    told["components"]["parameters"]["format"]["schema"] = {"enum": ["json"]}
    for methods in told["paths"].values():
        methods.get("post", {}).get("requestBody", {}).get("content", {}).pop(MULTIPART, None)
    told["components"]["parameters"]["id"]["examples"] = {"mine": {"value": reference}}
    described = tmp_path / "openapi.json"
    described.write_text(json.dumps(told))
    process = await asyncio.create_subprocess_exec(
        SCHEMATHESIS,
        "--config-file",
        str(CONFIG),
        "run",
        str(described),
        "--url",
        str(city.client.make_url("/")),
        "--max-examples",
        str(EXAMPLES),
        "--phases",
        "examples,coverage,fuzzing",
        "--seed",
        "311",
        "--generation-database",
        "none",
        "--no-color",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


@pytest.mark.parametrize("format", ["json", "xml"])
async def test_georeport_reads(city: Reach, format: str) -> None:
    """A client library that strangers wrote, for reading."""
    mine = [await city.report() for _ in range(2)]
    base = str(city.client.make_url("/open311/v2"))
    client = GeoReport(base, "independencemo.gov", output_format=format)

    services = await asyncio.to_thread(client.get_service_list)
    assert {"pothole", "unsure"} <= {one["service_code"] for one in services}
    definition = await asyncio.to_thread(client.get_service_definition, "pothole")
    assert "LANE" in json.dumps(definition)
    listed = await asyncio.to_thread(client.get_service_requests)
    assert set(mine) <= {one["service_request_id"] for one in listed}
    one = await asyncio.to_thread(client.get_service_request, mine[0])
    assert one["service_request_id"] == mine[0]


async def test_three_reports_and_reads(city: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one, which also reports. It was written for Python 2, and misses one name of that."""
    monkeypatch.setattr(itertools, "ifilter", filter, raising=False)
    three: Any = importlib.import_module("three")
    base = str(city.client.make_url("/open311/v2"))
    client = three.Three(base, api_key=city.key, jurisdiction="independencemo.gov")

    (endpoint,) = (await asyncio.to_thread(client.discovery))["endpoints"]
    assert endpoint["type"] == "production"
    codes = [one["service_code"] for one in await asyncio.to_thread(client.services)]
    assert "street-light-out" in codes
    fields = {
        "name": "Ann Lee",
        "address": "Noland Rd & 23rd St",
        "lat": "39.0911",
        "long": "-94.4155",
        "email": "ann@resident.example",
        "description": "The light is out",
        "attribute[FAULT]": "out",
        "media": io.BytesIO(picture()),
    }
    post = partial(client.post, "street-light-out", **fields)
    (posted,) = await asyncio.to_thread(post)
    reference = posted["service_request_id"]
    (seen,) = await asyncio.to_thread(client.request, reference)
    assert seen["description"] == "The light is out"
    assert seen["address"] == "Noland Rd & 23rd St"
    case = await city.filed(reference)
    assert case.reporter.name == "Ann Lee"
    (token,) = await asyncio.to_thread(client.token, reference)
    assert token["service_request_id"] == reference
    listed = await asyncio.to_thread(partial(client.requests, "street-light-out", count=1))
    assert [one["service_request_id"] for one in listed] == [reference]
    faults = await asyncio.to_thread(partial(client.post, "street-light-out"))
    assert {fault["code"] for fault in faults} == {400}
