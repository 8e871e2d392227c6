"""
Dead letters, for operators: what nobody could handle, read without consuming it, told again as it
was or mended, or discarded with a reason.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from aiohttp import web
from multidict import MultiDictProxy
from pydantic import BaseModel, ConfigDict, field_validator
from yarl import URL

from bus.codec import CONTRACT_HEADER
from bus.contracts import CONTRACTS, DeadLetter
from bus.dead import mend
from bus.errors import Refused
from channels.intake import clean_line, clean_text
from gateway.keys import CITY, POOL
from gateway.pages.i18n import gettext as _
from gateway.staff.access import requires
from gateway.staff.forms import WORDS, Problems
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act
from store import grave_acts, graves
from store.grave_acts import Mended
from store.graves import Grave, Wanted

log = structlog.stdlib.get_logger()

PAGE_SIZE = 50
MOST_AT_ONCE = 10_000
PACES = (1.0, 10.0, 100.0)
"""Letters a second that a replay of many may be told at."""
SHOWN = 200_000
"""Letters of a payload that the page shows; the rest is the command line's."""


class Asked(BaseModel):
    """The filter as it stands in the address; what makes no sense there is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    durable: str = ""
    reason: str = ""
    since: str = ""
    until: str = ""
    state: str = "waiting"
    page: int = 1

    @field_validator("state")
    @classmethod
    def _known_state(cls, state: str) -> str:
        return state if state in _RESOLVED else "waiting"

    @field_validator("durable", "reason")
    @classmethod
    def _short(cls, words: str) -> str:
        return words[:200].replace("\0", "")

    @field_validator("since", "until")
    @classmethod
    def _a_day(cls, day: str) -> str:
        try:
            return date.fromisoformat(day).isoformat()
        except ValueError:
            return ""

    @field_validator("page", mode="before")
    @classmethod
    def _a_page(cls, number: Any) -> int:
        text = str(number)
        return min(max(int(text), 1), 100_000) if text.isascii() and text.isdigit() else 1

    def wanted(self, zone: ZoneInfo) -> Wanted:
        """What the store is asked for; days are the city's own, the last one is included."""
        return Wanted(
            durable=self.durable,
            reason=self.reason,
            since=_midnight(self.since, zone),
            until=_midnight(self.until, zone, after=1),
            resolved=_RESOLVED[self.state],
        )

    @property
    def narrowed(self) -> bool:
        return self.model_copy(update={"page": 1}) != Asked()

    def url(self, **changed: Any) -> str:
        fields = {**self.model_dump(), "page": 1, **changed}
        plain = Asked()
        query = {
            name: str(value) for name, value in fields.items() if value != getattr(plain, name)
        }
        return str(URL("/ops/dead").with_query(query))


_RESOLVED: Mapping[str, bool | None] = {"waiting": False, "done": True, "all": None}


def _midnight(day: str, zone: ZoneInfo, after: int = 0) -> datetime | None:
    if not day:
        return None
    wanted = date.fromisoformat(day) + timedelta(days=after)
    return datetime.combine(wanted, time.min, zone).astimezone(UTC)


@requires(Act.OPERATE)
async def show_all(request: web.Request) -> web.StreamResponse:
    """Every dead letter that the filter in the address lets through, oldest first."""
    return await _list(request, Asked.model_validate(dict(request.query)))


@requires(Act.OPERATE)
async def act_on_many(request: web.Request) -> web.StreamResponse:
    """Have the chosen ones, or all that the filter lets through, told again or discarded."""
    form = await request.post()
    asked = Asked.model_validate({name: str(form.get(name, "")) for name in Asked.model_fields})
    typed = {name: str(form.get(name, "")) for name in ("act", "which", "why", "per_second")}
    typed["why"] = clean_text(typed["why"])
    errors = _check_many(typed, form)
    if errors:
        return await _list(request, asked, typed=typed, errors=errors, form=form, status=422)
    by = request[ACCOUNT].login
    async with request.config_dict[POOL].acquire() as conn:
        if typed["which"] == "all":
            letters = await graves.ids(conn, asked.wanted(_zone(request)), limit=MOST_AT_ONCE)
        else:
            letters = _ids_in(form)
        if typed["act"] == "discard":
            done = await grave_acts.discard(conn, letters, by=by, why=typed["why"])
        else:
            done = await grave_acts.want_replay(
                conn, letters, by=by, why=typed["why"], per_second=float(typed["per_second"])
            )
    log.warning("dead letters looked after", act=typed["act"], count=len(done), by=by)
    raise web.HTTPSeeOther(_with_done(asked.url(), typed["act"], len(done)))


@requires(Act.OPERATE)
async def show_one(request: web.Request) -> web.StreamResponse:
    """One dead letter: why it died, its headers, its payload, and what was done about it."""
    return await _one(request, await _asked_for(request))


@requires(Act.OPERATE)
async def replay(request: web.Request) -> web.StreamResponse:
    """Have it told again, as it was or (`mended`) as it was edited on the page."""
    grave = await _asked_for(request)
    form = await request.post()
    field = "mended-why" if "mended" in form else "why"
    why = clean_text(str(form.get(field, "")))
    typed = {name: str(form.get(name, "")) for name in ("payload", "tag")} | {field: why}
    errors: Problems = {}
    mended = None
    if "mended" in form:
        try:
            headers, payload = mend(letter_of(grave), typed["payload"], clean_line(typed["tag"]))
            mended = Mended(headers, payload)
        except Refused as reason:
            errors["payload"] = _("This copy cannot be told: %(reason)s.") % {"reason": str(reason)}
        if not why:
            errors[field] = _("Say what you changed, and why.")
    if len(why) > WORDS:
        errors[field] = _("Shorten the reason.")
    if errors:
        return await _one(request, grave, typed=typed, errors=errors, status=422)
    async with request.config_dict[POOL].acquire() as conn:
        done = await grave_acts.want_replay(
            conn, [grave.id], by=request[ACCOUNT].login, why=why, mended=mended
        )
    log.warning(
        "dead letter looked after", act="replay", id=str(grave.id), mended=mended is not None,
        by=request[ACCOUNT].login,
    )  # fmt: skip
    raise web.HTTPSeeOther(_with_done(f"/ops/dead/{grave.id}", "replay", len(done)))


@requires(Act.OPERATE)
async def discard(request: web.Request) -> web.StreamResponse:
    """Note that it needs no answer, and why."""
    grave = await _asked_for(request)
    form = await request.post()
    why = clean_text(str(form.get("discard-why", "")))
    if not why or len(why) > WORDS:
        errors = {"discard-why": _("Say in a few words why nobody needs it.")}
        return await _one(request, grave, typed={"discard-why": why}, errors=errors, status=422)
    async with request.config_dict[POOL].acquire() as conn:
        done = await grave_acts.discard(conn, [grave.id], by=request[ACCOUNT].login, why=why)
    log.warning(
        "dead letter looked after", act="discard", id=str(grave.id), by=request[ACCOUNT].login
    )
    raise web.HTTPSeeOther(_with_done(f"/ops/dead/{grave.id}", "discard", len(done)))


def routes() -> list[web.RouteDef]:
    return [
        web.get("/ops/dead", show_all),
        web.post("/ops/dead", act_on_many),
        web.get("/ops/dead/{letter}", show_one),
        web.post("/ops/dead/{letter}/replay", replay),
        web.post("/ops/dead/{letter}/discard", discard),
        web.get("/ops/dead/{letter}/{act}", back),
    ]


@requires(Act.OPERATE)
async def back(request: web.Request) -> web.StreamResponse:
    """Somebody reloads the page of a form that had to be mended."""
    raise web.HTTPSeeOther(f"/ops/dead/{(await _asked_for(request)).id}")


async def _list(
    request: web.Request,
    asked: Asked,
    *,
    typed: Mapping[str, str] | None = None,
    errors: Problems | None = None,
    form: MultiDictProxy[Any] | None = None,
    status: int = 200,
) -> web.Response:
    wanted = asked.wanted(_zone(request))
    async with request.config_dict[POOL].acquire() as conn:
        total = await graves.count(conn, wanted)
        found = await graves.find(
            conn, wanted, limit=PAGE_SIZE, offset=(asked.page - 1) * PAGE_SIZE
        )
        heaps = await graves.heaps(conn)
        acts = await grave_acts.acts(conn, [grave.id for grave in found])
    return await page(
        request,
        "operator/dead.html",
        {
            "asked": asked,
            "found": found,
            "total": total,
            "pages": -(-total // PAGE_SIZE),
            "heaps": heaps,
            "durables": sorted({heap.durable for heap in heaps} | ({asked.durable} - {""})),
            "last": {act.letter_id: act for act in acts},
            "typed": {"why": "", "act": "replay", "which": "selected", "per_second": "10.0"}
            | dict(typed or {}),
            "chosen": set(_ids_in(form)) if form is not None else set(),
            "most": MOST_AT_ONCE,
            "errors": errors or {},
            "done": request.query.get("done", ""),
            "done_count": _number(request.query.get("count", "")),
            "nav": "ops",
        },
        status=status,
    )


async def _one(
    request: web.Request,
    grave: Grave,
    *,
    typed: Mapping[str, str] | None = None,
    errors: Problems | None = None,
    status: int = 200,
) -> web.Response:
    async with request.config_dict[POOL].acquire() as conn:
        acts = await grave_acts.acts(conn, [grave.id])
    text = payload_text(grave)
    given = {"payload": text or "", "tag": grave.headers.get(CONTRACT_HEADER, "")}
    given |= dict.fromkeys(("why", "mended-why", "discard-why"), "")
    return await page(
        request,
        "operator/dead_letter.html",
        {
            "grave": grave,
            "acts": acts,
            "due": any(act.done_at is None for act in acts),
            "text": text[:SHOWN] if text is not None else None,
            "cut": text is not None and len(text) > SHOWN,
            "bytes": len(grave.payload) * 3 // 4,
            "typed": given | dict(typed or {}),
            "tags": [contract.tag for contract in CONTRACTS],
            "errors": errors or {},
            "done": request.query.get("done", ""),
            "done_count": _number(request.query.get("count", "")),
            "nav": "ops",
        },
        status=status,
    )


def payload_text(grave: Grave) -> str | None:
    """The payload as a person reads it: JSON with its lines, or text; None for other bytes."""
    try:
        text = base64.b64decode(grave.payload).decode()
    except (UnicodeDecodeError, binascii.Error):
        return None
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def letter_of(grave: Grave) -> DeadLetter:
    """The letter as it was told."""
    return DeadLetter(
        message_id=grave.id,
        occurred_at=grave.at,
        durable=grave.durable,
        stream=grave.stream,
        sequence=grave.sequence,
        original_subject=grave.original_subject,
        original_id=grave.original_id,
        complaint_id=grave.complaint_id,
        reason=grave.reason,
        tries=grave.tries,
        headers=dict(grave.headers),
        payload=grave.payload,
    )


def _check_many(typed: Mapping[str, str], form: MultiDictProxy[Any]) -> Problems:
    errors: Problems = {}
    if typed["act"] not in {"replay", "discard"} or typed["which"] not in {"selected", "all"}:
        errors["which"] = _("This form was not whole. Send it again.")
    elif typed["which"] == "selected" and not _ids_in(form):
        errors["which"] = _("Choose at least one letter, or all that the filter shows.")
    if typed["act"] == "discard" and not typed["why"]:
        errors["why"] = _("Say in a few words why nobody needs it.")
    elif len(typed["why"]) > WORDS:
        errors["why"] = _("Shorten the reason.")
    if typed["per_second"] not in {str(pace) for pace in PACES}:
        errors["per_second"] = _("Choose a pace from the list.")
    return errors


def _ids_in(form: MultiDictProxy[Any]) -> list[UUID]:
    found = []
    for text in form.getall("letter", []):
        try:
            found.append(UUID(str(text)))
        except ValueError:
            continue
    return found


async def _asked_for(request: web.Request) -> Grave:
    try:
        wanted = UUID(request.match_info["letter"])
    except ValueError:
        raise web.HTTPNotFound from None
    async with request.config_dict[POOL].acquire() as conn:
        grave = await graves.by_id(conn, wanted)
    if grave is None:
        raise web.HTTPNotFound
    return grave


def _zone(request: web.Request) -> ZoneInfo:
    return ZoneInfo(request.config_dict[CITY].timezone)


def _with_done(url: str, act: str, count: int) -> URL:
    return URL(url).update_query(done=act, count=str(count))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0
