"""
Open311 GeoReport v2: the test vectors of the standard's practice, and its rules for reports.

One city for all; each test brings its own reports.
"""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import FormData

from bus.codec import CONTRACT_HEADER, decode
from bus.contracts import ComplaintReceived
from bus.identity import read_reference
from tests.support.open311 import INSIDE, PUBLIC, Reach, codes, picture, reachable

SPECIFICATION = "http://wiki.open311.org/GeoReport_v2"
POTHOLE = {"service_code": "pothole", "description": "Big hole", **INSIDE}


@pytest.fixture(scope="module")
async def city(
    nats_url: str, postgres_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Reach]:
    folder: Path = tmp_path_factory.mktemp("open311")
    async with reachable(nats_url, postgres_dsn, template, folder) as reach:
        yield reach


# ── the vectors, in their order ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", ["/discovery", "//discovery", "//open311/discovery"])
async def test_discovery_is_found_and_is_not_wrapped(city: Reach, path: str) -> None:
    told = (await city.get(f"{path}.json")).json
    (endpoint,) = told["endpoints"]
    assert endpoint["specification"] == SPECIFICATION
    assert endpoint["url"] == f"{PUBLIC}/open311/v2"
    assert endpoint["formats"] == ["text/xml", "application/json"]
    assert endpoint["type"] == "production"
    assert all(told[name] for name in ("changeset", "contact", "key_service"))

    xml = (await city.get(f"{path}.xml")).xml
    assert xml.tag == "discovery"
    assert xml.findtext("endpoints/endpoint/specification") == SPECIFICATION
    assert [one.text for one in xml.iter("format")] == endpoint["formats"]


async def test_services_have_the_seven_fields(city: Reach) -> None:
    services = (await city.get("/services.xml")).xml
    assert services.tag == "services"
    fields = {
        "service_code",
        "service_name",
        "description",
        "metadata",
        "type",
        "keywords",
        "group",
    }
    assert all({child.tag for child in service} == fields for service in services)
    told = (await city.get("/services.json")).json
    assert codes(told, "service_code") == [one.findtext("service_code") for one in services]
    pothole = next(one for one in told if one["service_code"] == "pothole")
    assert pothole["metadata"] is True
    assert pothole["type"] == "realtime"
    assert pothole["group"] == "Streets"
    assert told[-1]["service_code"] == "unsure"
    assert "Opened by an officer" not in codes(told, "service_name")


async def test_another_jurisdiction_is_not_known(city: Reach) -> None:
    answer = await city.get("/services.json?jurisdiction_id=nope")
    assert answer.status == 404
    assert answer.json[0]["code"] == 404
    for ours in ("", "independencemo.gov", "IndependenceMO.gov"):
        assert (await city.get(f"/services.json?jurisdiction_id={ours}")).status == 200


async def test_a_definition_has_ordered_questions(city: Reach) -> None:
    told = (await city.get("/services/pothole.json")).json
    assert told["service_code"] == "pothole"
    assert [one["order"] for one in told["attributes"]] == [1, 2]
    lane = told["attributes"][0]
    assert lane["values"][0] == {"key": "curb", "name": "Next to the curb"}
    assert (lane["variable"], lane["required"], lane["datatype"]) == (
        True,
        False,
        "singlevaluelist",
    )
    xml = (await city.get("/services/pothole.xml")).xml
    assert xml.tag == "service_definition"
    assert xml.findtext("attributes/attribute/values/value/key") == "curb"
    spanish = (await city.get("/services/pothole.json?langcode=es")).json
    assert spanish["attributes"][0]["description"] == "¿En qué carril?"
    # Only to be shown.
    (notice,) = (await city.get("/services/power-problem.json")).json["attributes"]
    assert (notice["variable"], notice["required"]) == (False, False)


async def test_metadata_says_whether_there_are_questions(city: Reach) -> None:
    for service in (await city.get("/services.json")).json:
        definition = (await city.get(f"/services/{service['service_code']}.json")).json
        assert service["metadata"] is bool(definition["attributes"]), service


async def test_an_unknown_service_is_an_error_in_xml(city: Reach) -> None:
    answer = await city.get("/services/none.xml")
    assert answer.status == 404
    assert answer.xml.tag == "errors"
    assert answer.xml.findtext("error/code") == "404"
    assert answer.xml.findtext("error/description")


@pytest.mark.parametrize("key", [None, "wrong"])
async def test_without_a_good_key_nothing_is_taken(city: Reach, key: str | None) -> None:
    answer = await city.post("/requests.json", POTHOLE, key=key)
    assert answer.status == 403
    assert answer.json == [{"code": 403, "description": "api_key is missing or not valid."}]


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"service_code": None}, 400, "service_code is missing"),
        ({"service_code": "none"}, 404, "'none' is not one of our services"),
        ({"lat": None, "long": None}, 400, "Say where it is"),
        ({"long": None}, 400, "lat and long belong together"),
        ({"lat": "0", "long": "0"}, 400, "outside the city"),
        ({"lat": "north"}, 400, "must be degrees"),
        ({"lat": "nan"}, 400, "must be degrees"),
        ({"lat": "91"}, 400, "must be degrees"),
        ({"service_code": "street-light-out"}, 400, "attribute[FAULT] is required"),
        (
            {"service_code": "street-light-out", "attribute[FAULT]": "gone"},
            400,
            "attribute[FAULT] has no choice 'gone'",
        ),
        ({"attribute[DEPTH]": "deep"}, 400, "attribute[DEPTH] must be a number"),
        ({"description": "x" * 4_001}, 400, "4,001 characters; 4,000 fit"),
        ({"jurisdiction_id": "elsewhere.org"}, 404, "jurisdiction_id"),
        ({"service_code": "unsure", "description": None}, 400, "needs one"),
        ({"client_request_id": "x" * 301}, 400, "client_request_id"),
        ({"address_string": "x" * 301}, 400, "address_string"),
    ],
)
async def test_what_is_wrong_is_said(
    city: Reach, changes: dict[str, str | None], status: int, words: str
) -> None:
    fields = {name: value for name, value in (POTHOLE | changes).items() if value is not None}
    answer = await city.post("/requests.json", fields)
    assert answer.status == status
    assert any(words in one["description"] for one in answer.json), answer.json


async def test_every_fault_is_told_at_once(city: Reach) -> None:
    answer = await city.post("/requests.xml", {"phone": "1" * 301, "lat": "1"})
    assert answer.status == 400
    assert [one.text for one in answer.xml.iter("code")] == ["400", "400", "400"]


async def test_a_report_gets_its_id_and_opens_a_case(city: Reach) -> None:
    answer = await city.post("/requests.json", POTHOLE)
    assert answer.status == 200
    (told,) = answer.json
    assert set(told) == {"service_request_id", "service_notice", "account_id"}
    reference = told["service_request_id"]
    assert read_reference(reference) == reference
    assert f"{PUBLIC}/track/{reference}" in told["service_notice"]

    # At once, though it is filed a moment later.
    one = (await city.get(f"/requests/{reference}.xml")).xml
    assert one.tag == "service_requests"
    assert len(one) == 1
    assert one.findtext("request/status") == "open"
    assert one.findtext("request/service_request_id") == reference
    assert one.findtext("request/service_code") == "pothole"
    (same,) = (await city.get(f"/requests/{reference}.json")).json
    assert same["description"] == "Big hole"
    assert (same["lat"], same["long"]) == (39.091, -94.415)


async def test_told_again_it_is_the_same_report(city: Reach) -> None:
    fields = POTHOLE | {"client_request_id": "told-twice"}
    first = await city.post("/requests.json", fields)
    again = await city.post("/requests.json", fields)
    by_header = await city.post(
        "/requests.json", POTHOLE, headers={"Idempotency-Key": "told-twice"}
    )
    assert first.json == again.json == by_header.json
    other = await city.app("other-app")
    assert (await city.post("/requests.json", fields, key=other)).json != first.json
    fixmystreet = POTHOLE | {"attribute[fixmystreet_id]": "77"}
    answers = [await city.post("/requests.json", fixmystreet) for _ in range(2)]
    assert answers[0].json == answers[1].json
    # Of its own accord each is its own.
    assert (await city.post("/requests.json", POTHOLE)).json != first.json
    await city.filed(first.json[0]["service_request_id"])
    heard = await complaints(city)
    assert sum(one.external_id == "tester/told-twice" for one in heard) == 1


async def test_ids_go_before_every_other_filter(city: Reach) -> None:
    reference = await city.report()
    path = f"/requests.json?service_request_id={reference},zzz&status=closed&start_date=1999-01-01"
    assert codes((await city.get(path)).json) == [reference]


async def test_lists_are_filtered(city: Reach) -> None:
    assert (await city.get("/requests.json?status=open,closed&service_code=a,b")).json == []
    reference = await city.report(**{"service_code": "street-light-out", "attribute[FAULT]": "out"})
    listed = (await city.get("/requests.json?service_code=street-light-out,unsure")).json
    assert reference in codes(listed)
    assert {one["service_code"] for one in listed} <= {"street-light-out", "unsure"}
    assert (await city.get("/requests.json?status=closed")).json == []
    assert (await city.get("/requests.xml?status=closed")).xml.tag == "service_requests"
    assert (await city.get("/requests.json?service_code=none")).status == 404
    assert (await city.get("/requests.json?status=shut")).status == 400


async def test_a_window_is_at_most_ninety_days(city: Reach) -> None:
    long = "start_date=2020-01-01T00:00:00Z&end_date=2021-01-01T00:00:00Z"
    answer = await city.get(f"/requests.json?{long}")
    assert answer.status == 400
    assert "90 days" in answer.json[0]["description"]
    assert (await city.get(f"/requests.json?{long}&page=1")).json == []
    for fine in (
        "start_date=2026-03-01T09:15:00+01:00",  # the plus is a blank by now
        "start_date=2026-03-01T09:15:00",
        "start_date=2026-03-01&end_date=2026-04-01T00:00:00-06:00",
        "end_date=2026-04-01",
        "start_date=&end_date=",
    ):
        assert (await city.get(f"/requests.json?{fine}")).status == 200, fine
    assert (await city.get("/requests.json?start_date=yesterday")).status == 400
    backwards = "start_date=2026-04-02&end_date=2026-04-01"
    assert (await city.get(f"/requests.json?{backwards}")).json == []


async def test_pages_are_linked(city: Reach) -> None:
    mine = [await city.report() for _ in range(5)]
    seen: list[str] = []
    path = "/requests.json?page=1&page_size=2&service_code=pothole"
    for _ in range(40):
        answer = await city.get(path)
        assert int(answer.headers["X-Total-Count"]) >= 5
        seen += codes(answer.json)
        links = {
            rel: url for url, rel in re.findall(r'<([^>]+)>; rel="(\w+)"', answer.headers["Link"])
        }
        if "next" not in links:
            break
        assert links["next"].startswith(f"{PUBLIC}/open311/v2/requests.json?")
        # While somebody reads page by page, reports come in: none is shown twice.
        await city.report()
        path = links["next"].removeprefix(f"{PUBLIC}/open311/v2")
    assert len(seen) == len(set(seen))
    assert set(mine) <= set(seen)
    assert "Link" in (await city.get("/requests.json?page=2&page_size=10")).headers
    second = (await city.get("/requests.json?page=2&page_size=2")).json
    assert codes(second) == codes((await city.get("/requests.json?page_size=4")).json)[2:]
    assert (await city.get("/requests.json?page=0&page_size=1")).status == 200
    assert (await city.get("/requests.json?page=1&cursor=AAAAAAAAAAAA")).status == 200
    for bad in ("page=x", "page=-1", "page_size=0"):
        assert (await city.get(f"/requests.json?{bad}")).status == 400, bad


async def test_an_unknown_request_is_none(city: Reach) -> None:
    for typed in ("unknown", "7KQ-2MX-94", "%00", "..%2f"):
        answer = await city.get(f"/requests/{typed}.json")
        assert answer.status == 404, typed
        assert answer.json[0]["code"] == 404


async def test_tokens_are_looked_up(city: Reach) -> None:
    reference = await city.report()
    told = (await city.get(f"/tokens/{reference}.json")).json
    assert told == [{"service_request_id": reference, "token": reference}]
    assert (await city.get(f"/tokens/{reference}.xml")).xml.findtext("request/token") == reference
    assert (await city.get("/tokens/none.json")).status == 404


async def test_text_is_escaped_once(city: Reach) -> None:
    reference = await city.report(description="a & <b>\x00\x0b\ufffe")
    answer = await city.get(f"/requests/{reference}.xml")
    assert b"<description>a &amp; &lt;b&gt;</description>" in answer.body
    assert answer.xml.findtext("request/description") == "a & <b>"


# ── what else a report may bring ────────────────────────────────────────────────────────────────


async def complaints(city: Reach) -> list[ComplaintReceived]:
    state = (await city.bus.js.stream_info("COMPLAINTS")).state
    heard = []
    for sequence in range(max(1, state.first_seq), state.last_seq + 1):
        message = await city.bus.js.get_msg("COMPLAINTS", sequence)
        fact = decode(message.data or b"", (message.headers or {})[CONTRACT_HEADER])
        if isinstance(fact, ComplaintReceived):
            heard.append(fact)
    return heard


async def test_attributes_come_in_every_manner_and_stay_in_order(city: Reach) -> None:
    body = (
        f"api_key={city.key}&jurisdiction_id=&service_code=pothole&lat=39.0911&long=-94.4155"
        "&address_string=111+E+Maple+Ave&email=a%40b.org&first_name=Ann&last_name=Lee"
        "&phone=8165550101&description=Big+hole&attribute%5BLANE%5D=curb"
        "&attribute%5BSIGNS%5D%5B%5D=a&attribute%5BSIGNS%5D%5B%5D=b&attribute[SIGNS]=c"
        "&media_url=&device_id=my-phone&account_id=my-account"
    )
    answer = await city.ask(
        "POST",
        "/requests.json",
        data=body,
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
    )
    assert answer.status == 200, answer.text
    reference = answer.json[0]["service_request_id"]
    case = await city.filed(reference)
    assert case.text == "Big hole\n\n— Which lane?: Next to the curb\n— SIGNS: a; b; c"
    assert (case.reporter.name, case.reporter.email) == ("Ann Lee", "a@b.org")
    assert case.reporter.phone == "+18165550101"
    assert case.chosen_type == "Pothole/Street Maintenance"
    assert (case.lat, case.lon, case.place_source) == (39.0911, -94.4155, "pin")
    assert case.original is not None
    kept = json.loads(await city.files.read(case.original.sha256))
    assert ["attribute[SIGNS][]", "b"] in kept["fields"]
    assert ["device_id", "my-phone"] in kept["fields"]
    assert city.key not in json.dumps(kept)


async def test_photos_come_along_and_a_bad_one_costs_only_itself(city: Reach) -> None:
    form = FormData()
    for name, value in POTHOLE.items():
        form.add_field(name, value)
    form.add_field("media", picture(), filename="one.jpg", content_type="image/jpeg")
    form.add_field("photo2", b"no photo", filename="two.jpg", content_type="image/jpeg")
    form.add_field("api_key", city.key)
    answer = await city.post("/requests.json", form)
    assert answer.status == 200, answer.text
    (told,) = answer.json
    assert "A picture is missing: it is no JPEG, PNG" in told["service_notice"]
    case = await city.filed(told["service_request_id"])
    (photo,) = case.attachments
    data = await city.files.read(photo.sha256)
    assert data.startswith(b"\xff\xd8")
    assert b"Exif" not in data


async def test_a_link_into_our_own_house_is_not_followed(city: Reach) -> None:
    link = str(city.client.make_url("/static/icon.svg"))
    answer = await city.post(
        "/requests.json", [*POTHOLE.items(), ("media_url", f"{link} "), ("media_url", "ftp://x")]
    )
    (told,) = answer.json
    assert "A picture is missing: it could not be fetched." in told["service_notice"]
    assert "The city has the link instead." in told["service_notice"]
    case = await city.filed(told["service_request_id"])
    assert case.text.endswith(f"— media_url: ftp://x\n— media_url: {link}")
    assert case.attachments == ()


async def test_danger_is_answered_with_whom_to_call(city: Reach) -> None:
    answer = await city.post("/requests.json", POTHOLE | {"description": "I smell gas"})
    assert answer.json[0]["service_notice"].startswith("If someone is hurt or in danger")


async def test_an_address_that_is_none_costs_no_report(city: Reach) -> None:
    answer = await city.post("/requests.json", POTHOLE | {"email": "rosa at home"})
    assert answer.status == 200
    assert "The email address could not be read" in answer.json[0]["service_notice"]
    reference = answer.json[0]["service_request_id"]
    case = await city.filed(reference)
    assert case.reporter.email is None
    assert case.text.endswith("— email: rosa at home")
    assert "rosa" not in (await city.get(f"/requests/{reference}.json?extensions=true")).text


async def test_a_place_may_be_words_alone(city: Reach) -> None:
    for place in ({"address_string": "111 E Maple Ave"}, {"address_id": "#NOTPINPOINTED#"}):
        fields = {"service_code": "unsure", "description": "Something smells", **place}
        answer = await city.post("/requests.json", fields)
        assert answer.status == 200, answer.text
        case = await city.filed(answer.json[0]["service_request_id"])
        assert case.chosen_type is None
        assert case.address == place.get("address_string")


async def test_a_key_to_try_with_files_nothing(city: Reach) -> None:
    key = await city.app("trial", test=True)
    before = len(await complaints(city))
    answer = await city.post("/requests.json", POTHOLE, key=key)
    assert answer.status == 200
    assert "not filed" in answer.json[0]["service_notice"]
    assert (await city.post("/requests.json", {}, key=key)).status == 400
    assert len(await complaints(city)) == before


async def test_an_app_that_asks_too_much_is_told_when_to_come_again(city: Reach) -> None:
    key = await city.app("hasty", a_minute=2)
    answers = [await city.post("/requests.xml", POTHOLE, key=key) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert 0 < int(answers[2].headers["Retry-After"]) <= 60
    assert answers[2].xml.findtext("error/code") == "429"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", "application/json"),
        (b"description=\xff\xfe", "application/x-www-form-urlencoded"),
        (b"description=a", "application/x-www-form-urlencoded; charset=bogus"),
        (b"--x\r\nno part", "multipart/form-data; boundary=x"),
        (b"no part at all", "multipart/form-data"),
        (b"", "text/plain"),
    ],
)
async def test_what_cannot_be_read_is_refused_in_form(city: Reach, body: bytes, kind: str) -> None:
    answer = await city.ask("POST", "/requests.json", data=body, headers={"Content-Type": kind})
    assert answer.status in (400, 403)
    assert answer.json[0]["code"] == answer.status


# ── the manner of answers ───────────────────────────────────────────────────────────────────────


async def test_the_format_is_that_of_the_suffix_or_what_is_accepted(city: Reach) -> None:
    assert (await city.get("/services")).xml.tag == "services"
    assert (await city.get("/services", {"Accept": "application/json"})).json
    assert (await city.get("/services.json", {"Accept": "text/xml"})).json
    assert (await city.get("/services/pothole")).xml.tag == "service_definition"
    answer = await city.get("/services.html")
    assert answer.status == 400
    assert answer.xml.tag == "errors"


@pytest.mark.parametrize("path", ["/nothing.json", "/requests/a/b.json", ".json"])
async def test_an_address_that_is_none_is_an_error_like_any(city: Reach, path: str) -> None:
    answer = await city.get(path)
    if path != ".json":
        assert answer.json[0]["code"] == 404
    assert answer.status == 404


async def test_a_method_that_is_none_is_refused_in_form(city: Reach) -> None:
    answer = await city.ask("DELETE", "/services.json")
    assert answer.status == 405
    assert "GET" in answer.headers["Allow"]
    assert answer.json[0]["code"] == 405


async def test_anybodys_page_may_read_and_none_may_post(city: Reach) -> None:
    for path in ("/services.json", "/requests.json", "/requests/zzz.json", "/nope.json"):
        assert (await city.get(path)).headers["Access-Control-Allow-Origin"] == "*", path
    answer = await city.post("/requests.json", POTHOLE)
    assert "Access-Control-Allow-Origin" not in answer.headers
    theirs = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
    answer = await city.post("/requests.json", POTHOLE, headers=theirs)
    assert answer.status == 403
    assert answer.json[0]["code"] == 403


async def test_a_script_may_ask_for_a_call(city: Reach) -> None:
    answer = await city.get("/services.json?callback=my.fn")
    assert answer.headers["Content-Type"] == "application/javascript; charset=utf-8"
    assert answer.body.startswith(b"/**/my.fn([")
    assert (await city.get("/services.json?callback=alert(1)")).status == 400


async def test_what_has_not_changed_is_not_sent_again(city: Reach) -> None:
    answer = await city.get("/services.json")
    again = await city.get("/services.json", {"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")
    assert "max-age" in answer.headers["Cache-Control"]
