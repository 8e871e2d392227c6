"""
A report while it is being written: kept on the bus for a day, found by a token in a cookie.

The fields stay as they were typed; they are checked at each step, and once more when sent.
"""

import secrets
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from bus.contracts import FileRef
from gateway.keys import DRAFTS
from gateway.likely import NearReport
from gateway.pages.client import is_secure

COOKIE = "report"
_KEEP = 24 * 3600  # seconds


class DraftPhoto(BaseModel):
    """A photo that is kept already, with the place that the camera wrote into it."""

    model_config = ConfigDict(frozen=True)

    file: FileRef
    lat: float | None = None
    lon: float | None = None


class Sent(BaseModel):
    """What the receipt may say; nothing that tells who the resident is."""

    reference: str
    by_email: bool = False
    urgent: bool = False
    """Whether its words sound like danger."""
    joined: bool = False
    """It was added to a report that was there."""


class Draft(BaseModel):
    form_id: str
    """Names this report for ever: sent twice, it is one complaint."""
    fields: dict[str, str] = {}
    photos: list[DraftPhoto] = []
    warned_place: str = ""
    """The place about which we asked something; asked once, it is taken as it is."""
    near: list[NearReport] = []
    """Reports of the same that its writer was shown."""
    near_asked: str = ""
    """What was written when they were."""
    same_as: UUID | None = None
    """The one of them that they called the same problem."""
    sent: dict[str, Sent] = {}
    """By form id: what was sent before from this browser."""

    @classmethod
    def new(cls) -> "Draft":
        return cls(form_id=secrets.token_hex(16))

    def after_sending(self, reference: str, *, urgent: bool = False) -> "Draft":
        """The next, empty draft, which only remembers what was sent."""
        told = Sent(
            reference=reference,
            by_email=bool(self.fields.get("email", "").strip()),
            urgent=urgent,
            joined=self.same_as is not None,
        )
        return Draft(
            form_id=secrets.token_hex(16),
            sent=dict([*self.sent.items(), (self.form_id, told)][-20:]),
        )

    @property
    def is_begun(self) -> bool:
        return bool(self.fields.get("text", "").strip())

    @property
    def same(self) -> NearReport | None:
        """The report that theirs is to be added to."""
        return next((one for one in self.near if one.case_id == self.same_as), None)

    def photo_points(self) -> list[tuple[float, float]]:
        return [
            (one.lat, one.lon) for one in self.photos if one.lat is not None and one.lon is not None
        ]


async def find_draft(request: web.Request) -> Draft | None:
    """The draft of this browser; None when there is none or it is older than a day."""
    token = request.cookies.get(COOKIE)
    if not token or len(token) > 100:
        return None
    kept = await request.app[DRAFTS].read(token)
    if kept is None:
        return None
    try:
        return Draft.model_validate_json(kept)
    except ValidationError:
        return None  # written by another version of Buckstop: as good as expired


async def keep_draft(request: web.Request, draft: Draft, response: web.StreamResponse) -> None:
    """Keep the draft, and give `response` the cookie that finds it. Returns once it is stored."""
    token = request.cookies.get(COOKIE) or ""
    if not 20 <= len(token) <= 100:
        token = secrets.token_urlsafe(32)
    await request.app[DRAFTS].write(token, draft.model_dump_json().encode())
    response.set_cookie(
        COOKIE,
        token,
        max_age=_KEEP,
        httponly=True,
        samesite="Lax",
        secure=is_secure(request),
    )
