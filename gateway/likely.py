"""
Reports that may be about the same problem, for the pages: for staff with the reasons, for
residents as much of each as anybody may know.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import structlog
from pydantic import AwareDatetime, BaseModel, ConfigDict

from bus.contracts import ComplaintReceived, ComplaintRouted, Contact
from router.rules import City
from router.service import Router
from store import duplicates
from store.addresses import Street, read_address
from store.cases import Case
from store.duplicates import Likely
from store.likeness import Problem, Reaches
from store.pool import AWAY
from store.same_settings import DuplicateSettings

log = structlog.stdlib.get_logger()

_PATIENCE = 2.0  # seconds; a resident's report does not wait for what is only offered
_ROUNDED = 100  # metres: whoever moves the pin about must not find the house
_READ = 5_000  # letters; whatever is said first is what it is about


class NearReport(BaseModel):
    """An open case as a resident may see it who reports the same near it: nothing of anybody."""

    model_config = ConfigDict(frozen=True)

    case_id: UUID
    problem_type: str
    street: str
    """As `E 23rd St`, or a corner; empty where only words tell where it is."""
    block: int | None
    """Which hundred of the street, as 11400."""
    within: int | None
    """Metres, rounded up."""
    opened_at: AwareDatetime
    status: str
    reports: int


class LikelyReports:
    """Finds open cases that may be about the same problem as what somebody writes just now."""

    def __init__(self, pool: asyncpg.Pool, router: Router, settings: DuplicateSettings) -> None:
        self._pool = pool
        self._router = router
        self._settings = settings
        self._reaches = reaches_of(router.city, settings)
        city = router.city
        private = city.public.private_types
        self._shared = {
            kind.name for kind in city.problem_types if kind.shared and kind.name not in private
        }

    async def routed(self, heard: ComplaintReceived) -> ComplaintRouted:
        """What the router makes of it as it stands; in a thread, so that no page waits for it."""
        return (await asyncio.to_thread(self._router.route, [heard]))[0]

    async def like(self, heard: ComplaintReceived, routed: ComplaintRouted) -> list[Likely]:
        """Open cases that may be about the same, the most likely first. For staff."""
        problem = Problem(
            text=heard.text[:_READ],
            at=heard.occurred_at,
            language=heard.language,
            problem_type=routed.problem_type,
            alternatives=[one.problem_type for one in routed.alternatives],
            address=read_address(heard.address or routed.address),
            lat=routed.lat if heard.lat is None else heard.lat,
            lon=routed.lon if heard.lon is None else heard.lon,
            reporter=duplicates.person(heard.reporter),
        )
        async with self._pool.acquire() as conn:
            return await duplicates.likely(conn, problem, self._reaches, self._settings)

    async def like_case(self, conn: asyncpg.Connection, case: Case) -> list[Likely]:
        """Open cases that may be about the same as this one. For staff."""
        return await duplicates.like_case(conn, case, self._reaches, self._settings)

    async def near(self, heard: ComplaintReceived) -> list[NearReport]:
        """
        What a resident may be shown before they send this; nothing where the store is away, for a
        report can be sent all the same.
        """
        # Who somebody is tells nothing here: else anybody could ask who reported what.
        unnamed = heard.model_copy(update={"reporter": Contact()})
        found = await self.like_if_quick(unnamed)
        return [_near(one) for one in found if self._may_be_shown(one)]

    async def like_if_quick(self, heard: ComplaintReceived) -> list[Likely]:
        """The same as `like`; nothing where the store is away or slow. For staff."""
        try:
            async with asyncio.timeout(_PATIENCE):
                return await self.like(heard, await self.routed(heard))
        except (*AWAY, asyncpg.PostgresError) as error:
            log.warning("nobody could look for the same", error=type(error).__name__)
            return []

    def _may_be_shown(self, one: Likely) -> bool:
        # In danger people should call, and not follow somebody else's report.
        return one.problem_type in self._shared and not one.emergency


def reaches_of(city: City, settings: DuplicateSettings) -> Reaches:
    """How far apart two reports of one problem usually are, as the city's folder says."""
    own: Mapping[str, float] = {
        kind.name: kind.reach for kind in city.problem_types if kind.reach is not None
    }
    return Reaches(usual=settings.reach, of_type=own)


def heard_now(
    channel: str,
    *,
    text: str,
    address: str | None,
    lat: float | None = None,
    lon: float | None = None,
    language: str = "en",
    problem_type: str | None = None,
    reporter: Contact | None = None,
    entered_by: str | None = None,
) -> ComplaintReceived:
    """What somebody types as if they had sent it already."""
    return ComplaintReceived(
        message_id=uuid4(),
        occurred_at=datetime.now(UTC),
        channel=channel,
        external_id="",
        reference="",
        text=text[:_READ],
        language=language,
        address=address,
        lat=lat,
        lon=lon,
        reporter=reporter or Contact(),
        problem_type=problem_type,
        entered_by=entered_by,
    )


def _near(one: Likely) -> NearReport:
    metres = one.why.metres
    block, street = block_of(one.address)
    return NearReport(
        case_id=one.case_id,
        problem_type=one.problem_type or "",
        street=street,
        block=block,
        within=None if metres is None else max(1, math.ceil(metres / _ROUNDED)) * _ROUNDED,
        opened_at=one.opened_at,
        status=one.status.value,
        reports=one.reports,
    )


def block_of(address: str | None) -> tuple[int | None, str]:
    """
    The hundred and the street that an address lies in, or the corner; an empty street for what is
    neither: people write anything there, also whose house it is.
    """
    said = read_address(address)
    if said is None or not said.streets or not all(map(_is_name, said.streets)):
        return None, ""
    block = None if said.number is None else said.number // 100 * 100
    return block, " & ".join(map(_written, said.streets))


def _is_name(street: Street) -> bool:
    # More words are no street's name, and may be anything.
    return len(street.name.split()) <= (3 if street.kind else 2)


def _written(street: Street) -> str:
    words: Sequence[str] = [word.capitalize() for word in street.name.split()]
    return " ".join(filter(None, [street.direction.upper(), *words, street.kind.capitalize()]))
