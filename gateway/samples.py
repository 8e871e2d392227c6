"""What a newcomer finds: three sample logins, and 25 varied complaints on the desks."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from bus.contracts import Contact
from channels.intake import Heard
from gateway.house import House
from router.rules import City, Worker
from store import accounts

log = structlog.stdlib.get_logger()

PASSWORD = "the-buck-stops-here"  # noqa: S105 - printed on the screen, and refused off this machine
COMPLAINTS = Path(__file__).parent / "samples.jsonl"


@dataclass(frozen=True)
class Login:
    login: str
    what: str


def now() -> datetime:
    return datetime.now(UTC)


def chosen(city: City) -> list[tuple[Worker, str]]:
    """Three people of the city's folder who between them may do everything."""
    wanted = (
        ("call_taker", "takes calls and enters complaints for callers"),
        ("staff", "works the cases on one desk"),
        ("admin", "may do everything, and looks after the accounts"),
    )
    found = []
    for role, what in wanted:
        for worker in city.people:
            if role in worker.roles and worker.active:
                desk = f" ({worker.department})" if worker.department else ""
                found.append((worker, f"{worker.name} {what}{desk}"))
                break
    return found


async def put_logins(house: House) -> list[Login]:
    """Give three sample people a password that everybody knows; returns who they are."""
    hashed = await accounts.hash_password(PASSWORD)
    logins = []
    async with house.pool.acquire() as connection:
        for worker, what in chosen(house.city):
            await accounts.put_account(
                connection,
                login=worker.id,
                name=worker.name,
                email=worker.email,
                phone=worker.phone,
                department=worker.department,
                roles=worker.roles,
                password_hash=hashed,
            )
            logins.append(Login(worker.id, what))
    return logins


async def tell_complaints(house: House) -> None:
    """Tell 25 sample complaints; a second start tells the same ones, which changes nothing."""
    heard = []
    for number, line in enumerate(COMPLAINTS.read_text().splitlines(), start=1):
        said = json.loads(line)
        point = said.get("point")
        heard.append(
            Heard(
                channel=said.get("channel", "web"),
                external_id=f"sample-{number}",
                original=line.encode(),
                original_type="application/json",
                original_name="sample.json",
                text=said["text"],
                language=said.get("language", "en"),
                address=said.get("address"),
                lat=point[0] if point else None,
                lon=point[1] if point else None,
                place_source="pin" if point else None,
                reporter=Contact(
                    name=said.get("name"), email=said.get("email"), phone=said.get("phone")
                ),
                entered_by="tess.calloway" if said.get("channel") == "phone" else None,
            )
        )
    await house.intake.receive_all(heard)
    log.info("sample complaints told", count=len(heard))
