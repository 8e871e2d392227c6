"""
Open311: reports and updates from other programs, each with a key. Reading is `gateway/open311`.

An app gets its answer once the report is on disk; the reference in it is the case's.
"""

import json
from collections.abc import Awaitable, Callable
from uuid import uuid4

import structlog
from aiohttp import web
from multidict import MultiDict

from bus.contracts import Contact, Follows
from bus.errors import Unavailable
from bus.identity import complaint_id
from channels.base import Channel, Surroundings
from channels.intake import Heard
from channels.language import detect
from channels.open311_body import Body, Photos, Taken, received
from channels.open311_desk import App, Open311Desk
from channels.open311_form import (
    Report,
    Update,
    given,
    read_report,
    read_update,
    text_of,
)
from channels.open311_format import (
    Fault,
    Format,
    Refusal,
    answer,
    format_for,
    refuse,
)
from channels.open311_pace import Pace
from channels.open311_settings import Open311Settings

log = structlog.stdlib.get_logger()

NAME = "open311"
ROUTE = "/open311/v2"
_SUFFIX = r"{suffix:(\.[^/]*)?}"


def build(around: Surroundings, settings: Open311Settings) -> Channel | None:
    """The channel; None where it is turned off, or where nobody knows the city's services."""
    if not settings.enabled or around.open311 is None:
        return None
    return Open311(around, around.open311, settings).channel()


class Open311:
    """The channel `open311`."""

    def __init__(self, around: Surroundings, desk: Open311Desk, settings: Open311Settings) -> None:
        self._around = around
        self._desk = desk
        self._settings = settings
        self._photos = Photos(around.files, settings)
        self._pace = Pace(settings)

    def channel(self) -> Channel:
        return Channel(
            NAME,
            routes=[
                web.post(f"{ROUTE}/requests{_SUFFIX}", self.receive),
                web.post(f"{ROUTE}/servicerequestupdates{_SUFFIX}", self.hear_update),
            ],
        )

    async def receive(self, request: web.Request) -> web.Response:
        """`POST /requests`: a report. Answers once it is on disk."""
        return await self._answer(request, "service_requests", self._report)

    async def hear_update(self, request: web.Request) -> web.Response:
        """`POST /servicerequestupdates`: what an app tells later. Answers once it is on disk."""
        return await self._answer(request, "service_request_updates", self._update)

    async def _answer(
        self,
        request: web.Request,
        root: str,
        take: Callable[[web.Request, Body, App], Awaitable[dict[str, object]]],
    ) -> web.Response:
        format: Format = "xml"
        try:
            suffix = request.match_info["suffix"]
            format = format_for(suffix[1:] if suffix else None, request.headers.get("Accept", ""))
            async with received(request, self._settings) as body:
                app = await self._app(request, body.fields)
                told = await take(request, body, app)
        except Refusal as refusal:
            return refuse(format, refusal)
        except Unavailable:
            fault = Fault(503, "It could not be stored now. Nothing was taken; please try again.")
            return refuse(format, Refusal(fault, headers={"Retry-After": "10"}))
        return answer(format, root, [told])

    async def _app(self, request: web.Request, fields: MultiDict[str]) -> App:
        key = given(fields, "api_key")
        app = await self._desk.app_with(key) if key else None
        if app is None or not app.active:
            await self._pace.count_stranger(self._desk.address_of(request))
            raise Refusal(Fault(403, "api_key is missing or not valid."))
        await self._pace.count(app)
        return app

    # ── a report ────────────────────────────────────────────────────────────────────────────────

    async def _report(self, request: web.Request, body: Body, app: App) -> dict[str, object]:
        report, faults = read_report(
            body.fields,
            self._desk.book,
            self._desk.is_inside,
            self._desk.zone,
            idempotency_key=request.headers.get("Idempotency-Key", ""),
        )
        if report is None:
            raise Refusal(*faults)
        external_id = f"{app.id}/{report.request_key or uuid4().hex}"
        if app.test:
            return {
                "service_request_id": self._around.intake.reference(NAME, external_id),
                "service_notice": "This key is for trying out: it was checked, and not filed.",
                "account_id": None,
            }
        taken = await self._photos.take(body.pictures, report.media)
        complaint = await self._around.intake.receive(
            heard_from(report, body.fields, external_id, taken)
        )
        self._desk.recent.add(complaint.reference)
        log.info(
            "report taken",
            complaint_id=str(complaint.message_id),
            app=app.id,
            photos=len(taken.photos),
        )
        return {
            "service_request_id": complaint.reference,
            "service_notice": self._notice(report, complaint.reference, taken),
            "account_id": None,
        }

    def _notice(self, report: Report, reference: str, taken: Taken) -> str:
        follow = f"{self._around.public_url}/track/{reference}"
        sentences = [
            self._desk.warning_for(report.description),
            f"Your report has the reference {reference}. See where it stands: {follow}",
            "The email address could not be read, so nobody can write to it."
            if report.unread_email
            else "",
            *_about_pictures(taken),
        ]
        return " ".join(sentence for sentence in sentences if sentence)

    # ── an update ───────────────────────────────────────────────────────────────────────────────

    async def _update(self, request: web.Request, body: Body, app: App) -> dict[str, object]:
        update, faults = read_update(body.fields, self._desk.book, self._desk.zone)
        if update is None:
            raise Refusal(*faults)
        case = await self._desk.case_named(update.reference)
        if case is None or not (case.is_public or case.app == app.id):
            raise Refusal(Fault(404, "service_request_id is not known here."))
        external_id = f"{app.id}/{case.id}/{update.update_id}"
        told: dict[str, object] = {
            "update_id": str(complaint_id(NAME, external_id)),
            "account_id": None,
        }
        if app.test:
            return told
        taken = await self._photos.take(body.pictures, update.media)
        vouched = case.app == app.id
        answers = [("media_url", link) for link in taken.links]
        if update.status not in ("OPEN", "UNCHANGED"):
            answers.insert(0, ("status", update.status.lower()))
        heard = Heard(
            channel=NAME,
            external_id=external_id,
            original=original_of(body.fields, taken),
            original_type="application/json",
            original_name="open311-update.json",
            text=text_of(update.description, answers),
            language=detect(update.description),
            reporter=update.reporter if vouched else _signed(update, app),
            attachments=tuple(taken.photos),
            follows=Follows(case=case.id, vouched=vouched, reopens=update.takes_up_again),
            answer=False,
        )
        complaint = await self._around.intake.receive(heard)
        log.info("update taken", complaint_id=str(complaint.message_id), app=app.id)
        return told


def heard_from(report: Report, fields: MultiDict[str], external_id: str, taken: Taken) -> Heard:
    """The report as every channel hands it on. Pure."""
    answers = [*report.answers, *(("media_url", link) for link in taken.links)]
    return Heard(
        channel=NAME,
        external_id=external_id,
        original=original_of(fields, taken),
        original_type="application/json",
        original_name="open311-request.json",
        text=text_of(report.description, answers),
        language=report.language,
        address=report.address,
        lat=report.lat,
        lon=report.lon,
        place_source=None if report.lat is None else "pin",
        reporter=report.reporter,
        problem_type=report.service.problem_type,
        attachments=tuple(taken.photos),
    )


def original_of(fields: MultiDict[str], taken: Taken) -> bytes:
    """The fields as they came, but for the key; the same fields give the same bytes."""
    told = {
        "fields": [[name, value] for name, value in fields.items() if name != "api_key"],
        "photos": [photo.sha256 for photo in taken.photos],
    }
    return json.dumps(told, ensure_ascii=True, separators=(",", ":")).encode()


def _signed(update: Update, app: App) -> Contact:
    name = f"{update.reporter.name}, {app.name}" if update.reporter.name else app.name
    return update.reporter.model_copy(update={"name": name})


def _about_pictures(taken: Taken) -> list[str]:
    reasons = "; ".join(dict.fromkeys(taken.refused))
    sentences = []
    if taken.refused:
        count = len(taken.refused)
        what = "A picture is missing" if count == 1 else f"{count} pictures are missing"
        sentences.append(f"{what}: {reasons}.")
    if taken.links:
        sentences.append("The city has the link instead.")
    return sentences
