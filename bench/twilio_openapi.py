"""
Every call that we make to Twilio, held against Twilio's own description of its API.

`python -m bench.twilio_openapi twilio_api_v2010.json.gz` runs sender, poller, photos and doctor
against the Twilio of our tests, has openapi-core judge each request, and prints the counts.
"""

import asyncio
import gzip
import json
import re
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

from aiohttp import web
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

from bus.contracts import ComplaintReceived, Fact
from bus.files import Settings as FileSettings
from bus.files import open_files
from channels.base import Settled, Surroundings
from channels.intake import Intake
from channels.sms_poll import Poller
from channels.sms_twilio import TwilioSms
from gateway.doctor_texts import look_at_texts
from gateway.settings import Settings
from notifier.senders import Mail
from notifier.sms_settings import SmsSettings
from notifier.sms_twilio import open_twilio_sender
from tests.support.texting import SECRET, settings_for
from tests.support.twilio import ACCOUNT, OURS, ROSA, TOKEN, Twilio, running_twilio

PUBLIC = "https://report.example.gov"


class Asked:
    """A request as openapi-core wants to see it."""

    def __init__(self, request: web.Request, body: bytes) -> None:
        self._request = request
        self.body = body
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(list(request.query.items())),
            header=Headers(list(request.headers.items())),
            cookie=ImmutableMultiDict(),
        )
        self.host_url = "https://api.twilio.com"
        self.path = request.path
        self.method = request.method.lower()
        self.content_type = request.content_type


class Judge:
    """Holds requests against the description; `faults` are those that do not agree with it."""

    def __init__(self, described: dict[str, Any]) -> None:
        phone = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{5,6}")
        config = Config(
            extra_format_validators={"phone-number": lambda one: bool(phone.fullmatch(str(one)))},
            extra_format_unmarshallers={"phone-number": str},
        )
        self._api = OpenAPI.from_dict(described, config=config)
        self._paths = described["paths"]
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    async def __call__(self, request: web.Request, body: bytes) -> None:
        asked = Asked(request, body)
        try:
            found = self._api.unmarshal_request(asked)
        except OpenAPIError as error:
            self.faults.append(f"{request.method} {request.path}: {error!r} {error.__cause__!r}")
            return
        if found.errors:
            self.faults += [
                f"{request.method} {request.path}: {one!r} {one.__cause__!r}"
                for one in found.errors
            ]
        # The description lets unknown names pass; we do not.
        shape, known, fields = self._known(request)
        given = set(request.query) | set((await request.post()) if request.method == "POST" else ())
        self.faults += [f"{shape}: {name} is not described" for name in given - known - fields]
        self.counts[f"{request.method} {shape}"] += 1

    def _known(self, request: web.Request) -> tuple[str, set[str], set[str]]:
        steps = request.path.split("/")
        for shape, calls in self._paths.items():
            pattern = shape.split("/")
            same = len(pattern) == len(steps) and all(
                _fits(one, other) for one, other in zip(pattern, steps, strict=True)
            )
            if same and request.method.lower() in calls:
                call = calls[request.method.lower()]
                known = {one["name"] for one in call.get("parameters", [])}
                content = call.get("requestBody", {}).get("content", {})
                schema = content.get("application/x-www-form-urlencoded", {}).get("schema", {})
                return shape, known, set(schema.get("properties", {}))
        self.faults.append(f"{request.method} {request.path} is not described")
        return request.path, set(), set()


def _fits(pattern: str, step: str) -> bool:
    if "{" not in pattern:
        return pattern == step
    _, _, tail = pattern.partition("}")
    return step.endswith(tail) and ("." not in step or tail != "")


def another(text: Mail, number: int) -> Mail:
    """One that nobody can have sent before."""
    return replace(
        text,
        notice_id=uuid4(),
        text=f"{text.text} ({number})",
        written_at=datetime.now(UTC) + timedelta(seconds=1),
    )


async def drive(twilio: Twilio, folder: Path) -> None:
    """Everything that we ask of Twilio, once or more."""
    sending = SmsSettings.model_validate(
        {
            "account_sid": ACCOUNT,
            "auth_token": TOKEN,
            "from_number": OURS,
            "status_callback": f"{PUBLIC}/channels/sms/status",
            "texts_per_second": 100.0,
            "timeout": 1.0,
            "api_url": twilio.url,
        }
    )
    text = Mail(
        notice_id=uuid4(),
        reference="7KQ-2MX-94",
        recipient=ROSA,
        recipient_name=None,
        subject="",
        text="Recibimos su informe 7KQ-2MX-94. ¿Dónde está?",
        html=None,
        attachments=(),
        written_at=datetime.now(UTC),
        case_id=uuid4(),
    )
    async with open_twilio_sender(sending) as sender:
        await sender.send([another(text, number) for number in range(20)])
        twilio.answers = ["hang up", (400, 21610), (429, 20429)]
        await sender.send([text])
        await sender.send([text])  # after a doubt: looked up first
    service = sending.model_copy(update={"messaging_service_sid": "MG" + "0" * 32, "rest": 0.0})
    async with open_twilio_sender(service) as sender:
        await sender.send([another(text, number) for number in range(20, 25)])

    told: list[Fact] = []

    async def tell(facts: Any) -> None:
        told.extend(facts)

    async def ledger(ids: Any) -> dict[Any, Settled]:
        return {}

    files = open_files(FileSettings(), folder)
    settings = settings_for(twilio)
    around = Surroundings(
        intake=Intake(secret=SECRET, files=files, tell=tell),
        tell=tell,
        tell_again=tell,
        files=files,
        ledger=ledger,
        secret=SECRET,
        public_url=PUBLIC,
    )
    twilio.page_size = 3
    for number in range(8):
        kept = twilio.incoming(f"Pothole {number}")
        twilio.attach(kept, "text/vcard", b"BEGIN:VCARD\r\nEND:VCARD\r\n")
    sms = TwilioSms(around, settings)
    assert isinstance(sms.poller, Poller)
    await sms.poller.look(datetime.now(UTC) - timedelta(hours=1))
    await sms.photos.hear([one for one in told if isinstance(one, ComplaintReceived)])
    assert not any(kept.media for kept in twilio.messages)
    await files.close()

    twilio.number["sms_url"] = f"{PUBLIC}/channels/sms#rc=5&rp=all"
    whole = Settings(http={"base_url": PUBLIC}, channels={"sms": settings})
    print(await look_at_texts(whole))


async def main(described: dict[str, Any]) -> None:
    judge = Judge(described)
    with tempfile.TemporaryDirectory() as folder:
        async with running_twilio() as twilio:
            twilio.check = judge
            await drive(twilio, Path(folder))
    for call, count in sorted(judge.counts.items()):
        print(f"{count:5}  {call}")
    print(f"{sum(judge.counts.values())} requests, {len(judge.faults)} that the API does not know")
    for fault in judge.faults[:20]:
        print(" ", fault)
    if judge.faults:
        sys.exit(1)


if __name__ == "__main__":
    asyncio.run(main(json.loads(gzip.decompress(Path(sys.argv[1]).read_bytes()))))
