"""
Personal data that is planted in a city wherever it could be kept, each with a word that stands
nowhere else, and the look for it.
"""

import asyncio
import io
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
from aiohttp import FormData
from PIL import Image, PngImagePlugin

from bus.identity import mint_reference
from store import changes, history
from store.history import PastCase
from store.merging import merge
from store.model import Outcome, Status
from tests.support.facts import SECRET
from tests.support.open311 import put_case
from tests.support.store import put_staff
from tests.support.whole import Browser, Whole

POTHOLE = "Pothole/Street Maintenance"
STREETS = "MS-STREET MAINTENANCE"
HERE = {"lat": "39.09114", "lon": "-94.41553"}

NAME, EMAIL, PHONE = "Plantedfirst Plantedlast", "planted@resident.example", "816-555-0177"
ADDRESS = "4713 Maple Ave Apt 12B, Independence, MO 64050"
TEXT = f"I am {NAME}, {PHONE}, {EMAIL}, at 4713 Maple Ave Apt 12B. A very big pothole."
WORD = f"Planted {NAME} {PHONE} {EMAIL}"
# The numbers are looked for as numbers: a signed link or a photo's name may hold "4711" by chance.
SEEN = re.compile(
    r"planted|\b471[13]\b|\b12B\b|555.?01[47][27]|5550142|resident\.example|pat[. ]?moore",
    re.IGNORECASE,
)


def check(what: str, told: str) -> None:
    found = SEEN.findall(told)
    assert not found, f"{what}: {found}"


# Every table, with the columns that hold no words of or about a person: our own codes, the city's
# names for things, random keys. All other columns of words are planted. A table or a column that
# joins is planted too, or stands here.
PLAIN: Mapping[str, str] = {
    "absences": "*",
    "account_roles": "*",
    "accounts": "*",  # of who works for the city: `put_staff` names Pat Moore
    "answers": "*",
    "apps": "*",  # of programs
    "bus_samples": "*",  # figures
    "canaries": "*",  # of no resident
    "case_words": "*",  # made of the others
    "cases": "reference status channel language predicted_type problem_type model place_source "
    "district department outcome place_outcome refer_to refer_how alternatives place_choices "
    # Planted by what fills them, else names would not be known as names:
    "text address reporter_name assignee assignee_name closing_words",
    "complaints": "channel external_id state",
    "contact_marks": "medium state",
    "counted_cases": "*",  # made of the others
    "counted_names": "*",
    "dead_letters": "durable stream",
    "deliveries": "reference notice medium language state sender",
    "events": "kind",
    "files": "sha256 media_type",
    "followers": "reference language channel stop_key",
    "grave_acts": "act",
    "imported_cases": "source number",
    "inbox": "*",
    "incident_notes": "",
    "incidents": "state problem_type department outcome",
    "joined_references": "*",
    "mail_ids": "",
    "mailbox_folders": "*",
    "mailbox_mails": "*",
    "mailed_reports": "report",
    "merges": "status_before stop_key",
    "notes": "text",
    "operator_acts": "act",
    "outbox": "tag subject",
    "rule_alarms": "*",
    "schema_migrations": "*",
    "sessions": "*",
    "text_spending": "*",
    "waiting_texts": "*",
}
COLUMNS = """
    SELECT c.table_name, c.column_name, c.data_type
    FROM information_schema.columns c
    JOIN information_schema.tables t USING (table_schema, table_name)
    WHERE c.table_schema = 'public' AND t.table_type = 'BASE TABLE'
      AND c.data_type IN ('text', 'jsonb', 'character varying')
    ORDER BY 1, 2
"""
PLANT_WORDS = "UPDATE {table} SET {column} = $1"
PLANT_JSON = """
    UPDATE {table}
    SET {column} = CASE jsonb_typeof({column}) WHEN 'array' THEN {column} || to_jsonb($1::text)
                                               ELSE coalesce({column}, '{{}}')
                                                    || jsonb_build_object('planted', $1::text) END
"""


async def plant_in_every_column(pool: asyncpg.Pool) -> int:
    """In how many columns."""
    planted = 0
    for row in await pool.fetch(COLUMNS):
        table, column = row["table_name"], row["column_name"]
        assert table in PLAIN, f"{table}: may it hold personal data? See PLAIN."
        if PLAIN[table] == "*" or column in PLAIN[table].split():
            continue
        query = PLANT_JSON if row["data_type"] == "jsonb" else PLANT_WORDS
        await pool.execute(query.format(table=table, column=column), WORD)
        planted += 1
    return planted


def photo() -> bytes:
    """A picture that says in each place that a camera may write into whose it is, and where."""
    exif = Image.Exif()
    exif[0x010E] = f"Planted picture of {NAME}"
    exif[0x013B] = NAME
    exif[0x8825] = {1: "N", 2: (39.0, 5.0, 28.68), 3: "W", 4: (94.0, 24.0, 57.24)}
    written = io.BytesIO()
    Image.new("RGB", (300, 200), "navy").save(
        written, "JPEG", exif=exif, comment=f"planted, {EMAIL}".encode()
    )
    return written.getvalue()


def drawing() -> bytes:
    written = io.BytesIO()
    words = PngImagePlugin.PngInfo()
    words.add_text("Author", NAME)
    Image.new("RGB", (300, 200), "red").save(written, "PNG", pnginfo=words)
    return written.getvalue()


def chosen_photos(*pictures: tuple[str, bytes], go: str = "on") -> FormData:
    form = FormData(quote_fields=False)
    for name, data in pictures:
        form.add_field("photos", data, filename=name, content_type="image/jpeg")
    form.add_field("go", go)
    return form


async def report_on_the_web(browser: Browser, *, same: bool = False) -> str:
    """Writes a report with it in every field, and sends it; its reference."""
    await _go(browser, "/report/what", {"text": TEXT, "problem_type": POTHOLE})
    pictures = ("planted-1.jpg", photo()), ("planted-2.png", drawing())
    await _go(browser, "/report/photos", chosen_photos(*pictures))
    where = {"address": ADDRESS, **HERE, "place_source": "device"}
    leads = await _go(browser, "/report/where", where)
    if leads == "/report/where":  # asked about the place; once is enough
        leads = await _go(browser, "/report/where", where)
    if leads == "/report/near":
        await _go(browser, "/report/near", {"same": "0" if same else "none"})
    else:
        assert not same, leads
    contact = {"name": NAME, "email": f"{uuid4().hex[:6]}.{EMAIL}", "phone": PHONE}
    await _go(browser, "/report/contact", {**contact, "language": "en"})
    form = re.search(r'name="form_id" value="(\w+)"', (await browser.get("/report/check")).text)
    assert form
    receipt = await _go(browser, "/report/send", {"form_id": form[1]})
    return receipt.rpartition("/")[2]


async def _go(browser: Browser, path: str, data: object) -> str:
    answer = await browser.post(path, data)
    if answer.status == 200:  # the page asks once more
        return path
    assert answer.status == 303, (path, answer.status, answer.text[-2000:])
    return answer.headers["Location"]


# Every field that a program may send.
OF_AN_APP = {
    "email": "planted.email@resident.example",
    "first_name": "Plantedfirst",
    "last_name": "Plantedlast",
    "phone": "816-555-0142",
    "device_id": "planted-device",
    "account_id": "planted-account",
    "address_string": "4711 Maple Ave, Apt 12B, Independence, MO 64050",
    "attribute[PLANTED]": "planted-attribute",
    "client_request_id": "planted-request",
    "service_code": "pothole",
    "lat": "39.0911",
    "long": "-94.4155",
    "description": "Ask Plantedfirst Plantedlast, 816 555 0142, planted.email@resident.example, "
    "at 4711 Maple Ave apt 12B. A very big hole.",
}


def from_an_app(key: str) -> FormData:
    form = FormData(quote_fields=False)
    for name, value in {"api_key": key, **OF_AN_APP}.items():
        form.add_field(name, value)
    form.add_field("media", photo(), filename="planted.jpg", content_type="image/jpeg")
    return form


# What is kept of a case in places that no form of ours fills by itself.
EVERYWHERE = """
    UPDATE cases
    SET reporter_name = $2, reporter_email = $3, reporter_phone = $4, text = $5, address = $6,
        assignee = 'pat.moore', assignee_name = 'Pat Moore'
    WHERE reference = $1
"""


def _mint(case: UUID, attempt: int) -> str:
    return mint_reference(SECRET, case, attempt)


async def plant(whole: Whole, key: str) -> list[str]:
    """
    The references of cases with it: from an app, from the web with photos, by every other way,
    from another system; open, closed, joined to another; and in every column that there is.
    """
    async with whole.pool.acquire() as conn:
        await put_staff(conn)
    references = []
    async with whole.browser() as app, whole.browser() as one, whole.browser() as another:
        answer = await app.post("/open311/v2/requests.xml", from_an_app(key))
        assert answer.status == 200, answer.text
        found = re.search(r"<service_request_id>([^<]+)<", answer.text)
        assert found
        references.append(found[1])
        references.append(await report_on_the_web(one))
        for reference in references:
            await whole.filed(reference)
        joined = await report_on_the_web(another, same=True)
    async with asyncio.timeout(20):
        while not await whole.pool.fetchval("SELECT count(*) FROM followers"):
            await asyncio.sleep(0.02)
    for number, channel in enumerate(("web", "phone", "email", "sms", "open311", "web")):
        references.append(
            await put_case(
                whole.pool,
                channel=channel,
                status="triage",
                problem_type=POTHOLE,
                department=STREETS,
                lat=39.09114,
                lon=-94.41553,
                opened_at=datetime.now(UTC) - timedelta(minutes=number + 1),
            )
        )
    async with whole.pool.acquire() as conn:
        await history.take_in(conn, "elsewhere", [_past()], mint=_mint, now=datetime.now(UTC))
        references.append(
            await conn.fetchval("SELECT reference FROM cases WHERE channel = 'elsewhere'")
        )
    for reference in references:
        case = await whole.filed(reference)
        # What words alone tell of the place differs from case to case.
        await whole.pool.execute(
            EVERYWHERE, reference, NAME, EMAIL, PHONE, case.text and TEXT, ADDRESS
        )
    async with whole.pool.acquire() as conn:
        for place, reference in enumerate(references):
            await _written_on(conn, (await whole.filed(reference)).id, closes=place in (2, 5))
        joins, stays = [(await whole.filed(references[place])).id for place in (3, 4)]
        await merge(conn, joins, into=stays, by="pat.moore", why=WORD)
    assert await plant_in_every_column(whole.pool) > 50
    return [*references, joined]


def _past() -> PastCase:
    at = datetime.now(UTC) - timedelta(minutes=30)
    return PastCase(
        number="planted-77",
        channel="elsewhere",
        status=Status.CLOSED,
        opened_at=at,
        closed_at=at + timedelta(minutes=10),
        outcome=Outcome.FIXED,
        closing_words=f"Dear {NAME}, done. We wrote to {EMAIL}.",
        problem_type=POTHOLE,
        department=STREETS,
        address=ADDRESS,
        lat=39.09114,
        lon=-94.41553,
        text=TEXT,
    )


async def _written_on(conn: asyncpg.Connection, case: UUID, *, closes: bool) -> None:
    notes = (
        ("Planted internal note about 4711 Maple Ave.", False),
        (f"Dear {NAME}, Pat Moore calls you at {PHONE}.", True),
    )
    for text, public in notes:
        await changes.add_note(
            conn, case, note_id=uuid4(), text=text, public=public, by="pat.moore"
        )
    if closes:
        words = f"Done, Ms. Plantedlast. We wrote to {EMAIL}."
        await changes.close(conn, case, outcome=Outcome.FIXED, words=words, by="pat.moore")
