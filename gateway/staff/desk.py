"""My desk and the queue: which cases there are, and which of them are mine."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, field_validator
from yarl import URL

from gateway.keys import CITY, POOL
from gateway.pages.i18n import gettext as _
from gateway.pages.i18n import noted as N_
from gateway.pages.layout import is_fragment
from gateway.staff.access import requires
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act
from gateway.staff.words import type_options
from store import accounts, incidents, search
from store.model import Status

VIEWS: Mapping[str, tuple[Status, ...]] = {
    "open": (Status.NEW, Status.TRIAGE, Status.ASSIGNED, Status.IN_PROGRESS),
    "triage": (Status.NEW, Status.TRIAGE),
    "closed": (Status.CLOSED,),
    "all": tuple(Status),
}
HEADINGS = {
    "open": N_("All open cases"),
    "triage": N_("Triage"),
    "closed": N_("Closed cases"),
    "all": N_("All cases"),
}
NONE = "-"
"""What a filter says for *no department*, *no district*, *nobody* and *no type*."""
PAGE_SIZE = 25
WORDS = 200


class Asked(BaseModel):
    """The queue's filter as it stands in the address; what makes no sense there is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    view: str = "open"
    status: str = ""
    department: str = ""
    district: str = ""
    assignee: str = ""
    type: str = ""
    channel: str = ""
    words: str = ""
    page: int = 1

    @field_validator("view")
    @classmethod
    def _known_view(cls, view: str) -> str:
        return view if view in VIEWS else "open"

    @field_validator("status")
    @classmethod
    def _known_status(cls, status: str) -> str:
        return status if status in set(Status) else ""

    @field_validator("words")
    @classmethod
    def _short(cls, words: str) -> str:
        return words[:WORDS].replace("\0", "")

    @field_validator("page", mode="before")
    @classmethod
    def _a_page(cls, number: Any) -> int:
        text = str(number)
        return min(max(int(text), 1), 100_000) if text.isascii() and text.isdigit() else 1

    def filter(self) -> search.Filter:
        return search.Filter(
            statuses=(self.status,) if self.status else VIEWS[self.view],
            department=_wanted(self.department),
            district=_wanted(self.district),
            assignee=_wanted(self.assignee),
            problem_type=_wanted(self.type),
            channel=self.channel or None,
            words=self.words,
            page=self.page,
            page_size=PAGE_SIZE,
            alarming=self.view == "triage" and not self.status,
            order=search.URGENT if self.view in {"open", "triage"} else search.NEWEST,
        )

    @property
    def narrowed(self) -> bool:
        """Whether one of the selects is set."""
        return any(
            (self.status, self.department, self.district, self.assignee, self.type, self.channel)
        )

    def url(self, **changed: Any) -> str:
        """The address of the queue with these fields changed; a changed filter starts on page 1."""
        fields = {**self.model_dump(), "page": 1, **changed}
        plain = Asked()
        query = {
            name: str(value) for name, value in fields.items() if value != getattr(plain, name)
        }
        return str(URL("/staff/queue").with_query(query))


def _wanted(chosen: str) -> str | None:
    # The store says "" for cases that have none, where the address says NONE.
    return "" if chosen == NONE else chosen or None


@requires(Act.READ)
async def desk(request: web.Request) -> web.StreamResponse:
    """What lies on the desk of whoever is signed in, emergencies first, oldest first."""
    async with request.config_dict[POOL].acquire() as conn:
        cases = await search.desk(conn, request[ACCOUNT].login)
        mine = await incidents.on_desk(conn, request[ACCOUNT].login)
    told = {"cases": cases, "incidents": mine, "nav": "desk"}
    return await page(request, "staff/desk.html", told)


@requires(Act.READ)
async def queue(request: web.Request) -> web.StreamResponse:
    """Every case, as far as the filter in the address lets it through."""
    asked = Asked.model_validate(dict(request.query))
    async with request.config_dict[POOL].acquire() as conn:
        found = await search.find(conn, asked.filter())
        people = await accounts.people(conn)
    told = {"asked": asked, "found": found, "heading": _(HEADINGS[asked.view])}
    if is_fragment(request) and "HX-History-Restore-Request" not in request.headers:
        return await page(request, "staff/found.html", told, whole=False)
    city = request.config_dict[CITY]
    return await page(
        request,
        "staff/queue.html",
        {
            **told,
            "none_word": NONE,
            "statuses": VIEWS[asked.view],
            "people": [(person.login, person.name) for person in people if person.department],
            "departments": [(one.name, one.name) for one in city.departments],
            "districts": [(name, name) for name in city.district_names],
            "types": type_options(city),
            "nav": "triage" if asked.view == "triage" else "queue",
        },
    )
