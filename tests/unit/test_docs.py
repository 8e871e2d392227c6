"""What README and docs/ name exists in the code, and what the code offers is named there."""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import cast

import asyncpg
import pytest
from cyclopts import App

from bus.contracts import CONTRACTS, Fact
from bus.topology import DUPLICATE_WINDOW, GIB, STREAMS
from bus.worker import Listener
from channels.registry import CHANNELS
from gateway.city_words import words_of
from gateway.cli import app
from gateway.compose import CITIES
from notifier import service as notifier_service
from notifier.console import MailboxSender
from notifier.settings import NotifierSettings
from router import service as router_service
from router.rules import load_city
from router.service import Router
from store import service as store_service

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS]

_LINK = re.compile(r"\]\((?!https?://)([^)#\s]+)")
_CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
_COMMAND = re.compile(r"(?<![\w/.-])buckstop ((?:[a-z](?:[a-z-]*[a-z])? ?){1,2})")
_TABLE_COMMAND = re.compile(r"^\| `buckstop ([a-z -]+?)(?: [A-Z\[<-][^|`]*)?` \|", re.MULTILINE)


def words(app: App, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command, as the words that name it."""
    for name in app:
        if not name.startswith("-"):
            below = list(words(app[name], (*before, name)))
            yield from below or [(*before, name)]


COMMANDS = set(words(app))


def code_in(page: Path) -> str:
    return "\n".join(_CODE.findall(page.read_text()))


def rows_of(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading of a page in docs/."""
    section = (ROOT / "docs" / page).read_text().partition(f"\n## {heading}")[2]
    assert section, f"{page} has no section {heading}"
    table = section[section.index("\n|") + 1 :].partition("\n\n")[0]
    lines = table.splitlines()[2:]
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in _LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_page_is_in_the_index() -> None:
    index = set(_LINK.findall((ROOT / "docs" / "README.md").read_text()))

    assert {page.name for page in DOCS} - {"README.md"} <= index


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    for said in _COMMAND.findall(code_in(page)):
        first, *rest = said.split()
        known = {command for command in COMMANDS if command[0] == first}
        assert known, said
        if any(len(command) > 1 for command in known):
            assert (first, *rest[:1]) in known, said


def test_the_table_of_commands_is_whole() -> None:
    readme = (ROOT / "README.md").read_text()
    told = {tuple(row.split()) for row in _TABLE_COMMAND.findall(readme)}

    assert told == COMMANDS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_make_is_asked_for_can_be_asked(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"\bmake ([a-z]+)", code_in(page))) <= targets


def test_the_streams_are_those_of_the_code() -> None:
    told = {row[0]: row for row in rows_of("bus.md", "Streams")}

    assert set(told) == {stream.name for stream in STREAMS}
    for stream in STREAMS:
        assert told[stream.name][1] == ", ".join(stream.subjects)
        assert told[stream.name][3] == f"{stream.keep.days} days"
    # What the words below the table say.
    assert {stream.max_bytes for stream in STREAMS} == {8 * GIB}
    assert timedelta(minutes=10) == DUPLICATE_WINDOW


def test_the_facts_are_those_of_the_code() -> None:
    told = {row[0]: row[1].partition(".<")[0] for row in rows_of("bus.md", "Facts")}

    assert told == {contract.__name__: contract.subject for contract in CONTRACTS}


def all_listeners() -> list[Listener]:
    async def tell(facts: Sequence[Fact]) -> None: ...

    city = words_of(load_city(CITIES / "independence"))
    # They are only looked at, and nothing of what they would need is opened.
    return [
        *router_service.listeners(cast(Router, None), tell),
        *store_service.listeners(cast(asyncpg.Pool, None)),
        *notifier_service.listeners(
            NotifierSettings(), city, tell, MailboxSender(), base_url="https://report.example.gov"
        ),
    ]


def test_the_durables_are_those_of_the_code() -> None:
    told = {row[0]: row[1:] for row in rows_of("bus.md", "Hearing")}

    assert told.keys() == {listener.durable for listener in all_listeners()}
    for listener in all_listeners():
        heard = ", ".join(contract.__name__ for contract in listener.contracts)
        assert told[listener.durable] == [listener.stream, heard]


def test_the_figures_for_listeners_are_those_of_the_code() -> None:
    listener = all_listeners()[0]

    assert (listener.batch, listener.tries, listener.ack_wait) == (128, 6, 15.0)


def test_readme_names_every_way_in() -> None:
    readme = (ROOT / "README.md").read_text()

    assert all(f"`{name}`" in readme for name in CHANNELS)
