"""The command `buckstop`: what each word does is told by `buckstop --help`."""

import asyncio
import contextlib
import getpass
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from bus.connect import open_bus
from bus.errors import Unavailable
from bus.files import open_files
from channels.intake import Heard, Intake
from channels.registry import open_channels
from gateway import doctor as doctor_
from gateway import samples
from gateway.audit import audit as audit_
from gateway.audit import review
from gateway.backup_commands import backup, restore
from gateway.command import HERE, Format, Where, err, out
from gateway.command import go as _go
from gateway.command import line as _line
from gateway.command import lines_of as _lines
from gateway.command import progress as _progress
from gateway.command import trouble as _trouble
from gateway.companion import fork_all
from gateway.compose import SERVICES, city_folder, city_of, surroundings
from gateway.demo.stage import set_up as set_stage
from gateway.engine_process import EngineTrouble
from gateway.explain import in_json, in_sentences, route_heard
from gateway.history.column_map import BadMap
from gateway.history.command import import_
from gateway.history.reader import NotReadable
from gateway.house import House
from gateway.intake import Taken as TakenMails
from gateway.intake import take_folder
from gateway.key_commands import key
from gateway.model_commands import evaluate, model, train
from gateway.open_data.command import open_data
from gateway.operator.bus_commands import bus
from gateway.operator.dead_commands import dead
from gateway.reports.commands import report
from gateway.rules_commands import rules
from gateway.run import companions, engines_of, reach, running
from gateway.run import run as run_
from gateway.settings import BadSettings, secret_of
from gateway.submit import NotTaken, Taken, read_line
from gateway.submit import submit as submit_
from notifier.render import BadTemplate
from router.folder import BadLayer
from router.rules import BadCity, load_city
from router.service import open_router
from store import accounts
from store.migrate import MigrationFailed
from store.migrate import migrate as migrate_
from store.model import Role
from store.pool import open_pool

app = App(
    name="buckstop",
    help="A city's front door for complaints. Every report becomes one case on one person's desk.",
    help_epilogue=(
        "Exit codes: 0 done; 1 something is wrong with what was asked or found; "
        "2 Buckstop cannot run here, the sentence says why; 130 interrupted."
    ),
    version=lambda: version("buckstop"),
    version_flags=["--version"],
)
user = App(name="user", help="Who may sign in.")
city = App(name="city", help="The city's folder.")
intake = App(name="intake", help="Messages from files, the way they would come in.")
app.command(user)
app.command(city)
app.command(intake)
app.command(rules)
app.command(train)
app.command(evaluate)
app.command(model)
app.command(dead)
app.command(bus)
app.command(backup)
app.command(restore)
app.command(report)
app.command(open_data)
app.command(import_, name="import")

# Reading maps takes libraries that nothing else needs: they are loaded when they are asked for.
for _where, _name, _help in (
    ("cli_maps", "import-districts", "Bring in the city's own map of districts, shown first."),
    ("cli_maps", "import-addresses", "Bring in the city's addresses with their points."),
    ("cli_places", "districts-of", "Say which district each point of a CSV file lies in."),
    ("cli_places", "places-of", "Say which place each text or address names."),
):
    city.command(f"gateway.{_where}:{_name.replace('-', '_')}", name=_name, help=_help)
app.command(key)


# ── running ─────────────────────────────────────────────────────────────────────────────────────


@app.command
def run(
    *services: Annotated[
        str, Parameter(help="web, channels, router, store, notifier; none named: all")
    ],
    where: Where = HERE,
    port: Annotated[int | None, Parameter(help="Serve the pages on this port")] = None,
    sample_logins: Annotated[
        bool, Parameter(help="Three sample people can sign in (only on this machine)")
    ] = False,
) -> int:
    """Run Buckstop, or some of its services, until Ctrl-C or SIGTERM."""
    if unknown := sorted(set(services) - set(SERVICES)):
        return _trouble(
            f"There is no service {', '.join(unknown)}: choose of {', '.join(SERVICES)}."
        )
    return _run(where, services, port, sample_logins=sample_logins, sample_complaints=False)


@app.command
def demo(
    *,
    where: Where = HERE,
    port: Annotated[int | None, Parameter(help="Serve the pages on this port")] = None,
) -> int:
    """
    Run Buckstop with three sample logins, 25 varied complaints on the desks, and a page on which
    you write emails and texts as a resident would.
    """
    return _run(where, (), port, sample_logins=True, sample_complaints=True)


def _run(
    where: Where,
    services: tuple[str, ...],
    port: int | None,
    *,
    sample_logins: bool,
    sample_complaints: bool,
) -> int:
    stage = None
    if sample_complaints:
        stage = set_stage(where.settings())
        os.environ.update(stage.environment())
    settings = where.settings()
    if port is not None:
        settings = settings.model_copy(
            update={"http": settings.http.model_copy(update={"port": port})}
        )
    if sample_logins and not settings.on_loopback:
        return _trouble(
            f"Sample logins are for this machine alone, and the pages would be served on "
            f"{settings.http.host}. Use `buckstop user add` instead."
        )

    async def welcome(house: House, seconds: float) -> None:
        logins = await samples.put_logins(house) if sample_logins else []
        if services and "web" not in services:
            out.print(f"Buckstop runs {', '.join(services)}  ({seconds:.1f} s)")
            sys.stdout.flush()
            return
        out.print(f"\nBuckstop is ready on {settings.base_url}/  ({seconds:.1f} s)")
        if logins:
            out.print(f"\nSample logins for {settings.base_url}/staff, password {samples.PASSWORD}")
            for one in logins:
                out.print(f"  {one.login:<16} {one.what}")
        if not settings.notifier.smtp.host:
            out.print(f"\nMail is not sent but kept: {settings.base_url}/mailbox")
        if stage is not None:
            out.print(f"Write emails and texts as a resident: {settings.base_url}/try")
        out.print("\nCtrl-C stops it.\n")
        sys.stdout.flush()
        if sample_complaints:
            await samples.tell_complaints(house)

    names = services or tuple(SERVICES)
    beside = companions(settings, names, where.config)
    with contextlib.suppress(BadCity):  # told once the run begins
        _ = city_of(settings).emergency_words  # made ready once, and not by each process
    fork_all(beside, main)
    return _go(run_(settings, names, welcome, beside=beside, config=where.config, stage=stage))


# ── complaints ──────────────────────────────────────────────────────────────────────────────────


@app.command
def submit(
    file: Annotated[
        Path, Parameter(help="JSON lines; - is standard input", allow_leading_hyphen=True)
    ],
    *,
    where: Where = HERE,
    patience: Annotated[float, Parameter(help="Seconds to wait for a bus that is away")] = 120.0,
) -> int:
    """
    Submit complaints to a running Buckstop, one JSON object a line.

    Each has `text`, and may have channel, external_id, address, lat, lon, name, email, phone,
    language, problem_type, received_at. Prints external_id and reference, a line each. The same
    external_id twice is one case.
    """
    settings = where.settings()
    lines = _lines(file)

    async def all_of_them() -> int:
        engines = running(settings)
        until = asyncio.get_running_loop().time() + patience
        while engines is None:
            if asyncio.get_running_loop().time() > until:
                raise EngineTrouble(
                    f"Buckstop is not running on {settings.data}. Start it with `buckstop run`."
                )
            await asyncio.sleep(0.3)
            engines = running(settings)
        bad = 0
        at = settings.bus.model_copy(update={"url": engines.nats_url})
        async with open_bus(at, name="buckstop submit", patience=patience) as bus:
            files = open_files(settings.files, settings.data)
            intake = Intake(secret=secret_of(settings), files=files, tell=bus.tell)
            with _progress("submitted", len(lines)) as step:
                async for answer in submit_(lines, intake, patience=patience):
                    step()
                    if isinstance(answer, Taken):
                        _line({"external_id": answer.external_id, "reference": answer.reference})
                    else:
                        bad += 1
                        err.print(f"{file}, line {answer.number}: {answer.reason}", markup=False)
            await files.close()
        if bad:
            err.print(f"{bad} of {len(lines)} lines were not taken; the others were.")
        return 1 if bad else 0

    return _go(all_of_them())


@intake.command(name="email")
def intake_email(
    folder: Annotated[Path, Parameter(help="Every file below it is a mail")],
    *,
    where: Where = HERE,
    format: Format = "text",
    patience: Annotated[
        float, Parameter(help="Seconds without progress after which it gives up")
    ] = 120.0,
) -> int:
    """
    Take in a folder of mails (.eml, any file) as if they lay in a mailbox; running or not.

    Prints how many ended how and why, and the ledger's equation. The same folder again brings
    nothing new. Exit 1 when a mail came to no end.
    """
    settings = where.settings()
    if not folder.is_dir():
        return _trouble(f"{folder} is no folder.", code=1)

    async def all_of_them() -> int:
        taken = await take_folder(settings, folder, patience=patience)
        _tell_mails(taken, format)
        return 0 if taken.closes else 1

    return _go(all_of_them())


_MOST_REASONS = 20


def _tell_mails(taken: TakenMails, format: Format) -> None:
    if format == "json":
        _line(
            {
                "mails": taken.mails,
                "same": taken.same,
                "filed": taken.count("filed"),
                "quarantined": taken.count("quarantined"),
                "ignored": taken.count("ignored"),
                "without_end": taken.without_end,
                "reasons": [
                    {"state": state, "reason": reason, "count": count}
                    for (state, reason), count in taken.endings.most_common()
                ],
                "seconds": round(taken.seconds, 2),
                "slowest": {"seconds": round(taken.slowest, 2), "file": taken.slowest_file},
                "peak_memory": taken.peak_memory,
                "equation": str(taken.books),
                "closes": taken.closes,
            }
        )
        return
    again = f", {taken.same} of them the same as another" if taken.same else ""
    out.print(f"{taken.mails} mails{again}, in {taken.seconds:.1f} s")
    endings = taken.endings.most_common()
    for (state, reason), count in endings[:_MOST_REASONS]:
        out.print(f"  {count:>6}  {state}{': ' if reason else ''}{reason}", markup=False)
    if others := endings[_MOST_REASONS:]:
        out.print(f"  {sum(count for _, count in others):>6}  for {len(others)} other reasons")
    if taken.without_end:
        out.print(f"  {taken.without_end:>6}  without an end yet")
    if taken.slowest_file:
        out.print(f"slowest: {taken.slowest:.2f} s, {taken.slowest_file}", markup=False)
    out.print(f"a reading process took at most {taken.peak_memory // 1_000_000} MB")
    out.print(str(taken.books))


@app.command
def route(
    file: Annotated[
        Path, Parameter(help="JSON lines; - is standard input", allow_leading_hyphen=True)
    ] = Path("-"),
    *,
    where: Where = HERE,
    explain: Annotated[
        bool, Parameter(help="Tell each rule that was tried, and why it decided or not")
    ] = False,
    text: Annotated[str | None, Parameter(help="Route these words, and no file")] = None,
    address: Annotated[str | None, Parameter(help="The place of --text")] = None,
    channel: Annotated[str, Parameter(help="How --text came in")] = "web",
    format: Annotated[
        Literal["text", "json"] | None,
        Parameter(help="How it is printed (default: json; with --explain text)"),
    ] = None,
) -> int:
    """
    Say where complaints belong: type, district, department, person, and why. No servers.

    Takes the lines that `submit` takes; prints problem_type, confidence, alternatives, district,
    department, assignee, rule and reasons, a line each. Who of a team gets a case depends on what
    lies on the desks, which nobody knows here: it says whose turn it would be on empty ones.
    """
    settings = where.settings()
    if text is not None:
        lines = [json.dumps({"text": text, "channel": channel, "address": address})]
    else:
        lines = _lines(file)
    router = open_router(load_city(city_folder(settings)), settings.data / "models")
    in_words = (format or ("text" if explain else "json")) == "text"
    bad = 0
    with _progress("routed", len(lines)) as step:
        for start in range(0, len(lines), 128):
            some = [
                read_line(line, start + place + 1)
                for place, line in enumerate(lines[start : start + 128])
            ]
            heard = [one for one in some if isinstance(one, Heard)]
            routed = iter(route_heard(router, heard))
            for one in some:
                step()
                if isinstance(one, NotTaken):
                    bad += 1
                    err.print(f"{file}, line {one.number}: {one.reason}", markup=False)
                    if not in_words:
                        _line({"error": one.reason})
                elif in_words:
                    out.print(in_sentences(one, next(routed), explain=explain), markup=False)
                else:
                    _line(in_json(one, next(routed), explain=explain))
    return 1 if bad else 0


@app.command
def audit(
    *,
    where: Where = HERE,
    format: Format = "text",
    wait: Annotated[float, Parameter(help="Seconds to wait until nothing is in flight")] = 30.0,
) -> int:
    """
    Print the ledger's equation; exit 1 when it does not close.

    What the stream holds and the store has missed is told to it again, and counted; so is what
    lies in mailboxes or on Twilio's list and never came in.
    """
    settings = where.settings()

    async def look() -> int:
        async with reach(settings) as engines:
            at = settings.bus.model_copy(update={"url": engines.nats_url})
            stored = settings.store.model_copy(update={"dsn": engines.dsn})
            async with open_bus(at, name="buckstop audit") as bus, open_pool(stored) as pool:
                files = await asyncio.to_thread(open_files, settings.files, settings.data)
                around = surroundings(settings, bus=bus, pool=pool, files=files)
                places = await review(open_channels(around, settings.channels).values())
                found = await audit_(pool, bus, patience=wait)
                await files.close()
        books = found.equation
        if format == "json":
            _line(
                {
                    "received": books.received,
                    "filed": books.filed,
                    "quarantined": books.quarantined,
                    "ignored": books.ignored,
                    "in_flight": books.in_flight,
                    "brought_in": found.brought_in,
                    "places": [asdict(one) for one in places],
                    "closes": found.closes,
                }
            )
        else:
            out.print(str(books))
            for one in places:
                words = one.trouble or f"{one.held} messages, {one.brought_in} brought in"
                out.print(f"{one.place}: {words}", markup=False)
            if found.brought_in:
                out.print(f"{found.brought_in} had been missed and were told again.")
            if not found.closes:
                err.print("The equation does not close yet: something is in flight or lost.")
        return 0 if found.closes and not any(one.trouble for one in places) else 1

    return _go(look())


# ── looking after it ────────────────────────────────────────────────────────────────────────────


@app.command
def migrate(*, where: Where = HERE) -> int:
    """
    Bring the database to the newest schema, and learn the city's examples. Safe to repeat.

    `run` does both by itself on engines of its own; a deployment does it once before its services
    start.
    """
    settings = where.settings()

    async def work() -> int:
        if settings.store.dsn:
            await migrate_(settings.store.dsn)
        else:
            async with engines_of(settings) as engines:
                await migrate_(engines.dsn)
        await asyncio.to_thread(
            open_router, load_city(city_folder(settings)), settings.data / "models"
        )
        out.print("The database has the newest schema, and the router has learned its city.")
        return 0

    return _go(work())


@app.command
def doctor(*, where: Where = HERE, format: Format = "text") -> int:
    """Try every setting and say in words what is wrong. Exit 1 when something is."""
    settings = where.settings()

    async def look() -> int:
        findings = await doctor_.examine(settings)
        if format == "json":
            _line([{"what": one.what, "ok": one.ok, "words": one.words} for one in findings])
        else:
            for one in findings:
                mark = "[green]ok[/]   " if one.ok else "[red]wrong[/]"
                out.print(mark, end="  ")
                out.print(f"{one.what}: {one.words}", markup=False)
        return 0 if all(one.ok for one in findings) else 1

    return _go(look())


@city.command(name="check")
def check_city(
    folder: Annotated[Path | None, Parameter(help="A city folder; default: the settings'")] = None,
    *,
    where: Where = HERE,
) -> int:
    """Judge a city folder: every fault in a sentence that names the file."""
    settings = where.settings()
    loaded = load_city(folder or city_folder(settings))
    out.print(
        f"{loaded.name}, {loaded.state}: {len(loaded.problem_types)} problem types, "
        f"{len(loaded.departments)} departments, {len(loaded.people)} people, "
        f"{len(loaded.districts)} districts, {len(loaded.examples)} examples, "
        f"{len(loaded.rules.rule)} rules, {len(loaded.places)} places, "
        f"{loaded.gazetteer.address_count:,} addresses. All well."
    )
    agencies = loaded.referrals.agencies.values()
    if unknown := [agency.name for agency in agencies if not agency.phone]:
        out.print(
            f"No phone number is known yet of {len(unknown)} agencies: {', '.join(unknown)}.",
            markup=False,
        )
    return 0


@user.command(name="add")
def add_user(
    login: Annotated[str, Parameter(help="The name to sign in with")],
    *,
    name: str,
    email: str,
    role: Annotated[list[Role], Parameter(help="May be given several times")],
    department: str | None = None,
    phone: str | None = None,
    password_stdin: Annotated[
        bool, Parameter(help="Read the password from standard input")
    ] = False,
    where: Where = HERE,
) -> int:
    """
    Let somebody sign in, or change who they are and their password.

    The password is asked for, or read from standard input; never given on the command line.
    """
    settings = where.settings()
    password = sys.stdin.readline().rstrip("\n") if password_stdin else _ask_password()
    if len(password) < 12:
        return _trouble("The password needs at least 12 characters.", code=1)
    known = load_city(city_folder(settings)).departments_by_name
    if department is not None and department not in known:
        return _trouble(f"The city has no department {department!r}.", code=1)

    async def work() -> int:
        async with reach(settings) as engines:
            stored = settings.store.model_copy(update={"dsn": engines.dsn})
            async with open_pool(stored) as pool, pool.acquire() as connection:
                await accounts.put_account(
                    connection,
                    login=login,
                    name=name,
                    email=email,
                    phone=phone,
                    department=department,
                    roles=role,
                    password_hash=await accounts.hash_password(password),
                )
        out.print(f"{login} can sign in.")
        return 0

    return _go(work())


# ── the manner in which commands end ────────────────────────────────────────────────────────────


def _ask_password() -> str:
    first = getpass.getpass("Password: ")
    if first != getpass.getpass("The same again: "):
        raise EngineTrouble("The two passwords differ.")
    return first


def main(words: Sequence[str] | None = None) -> None:
    """The console script; `words` in place of the command line's."""
    try:
        answer = app(words, result_action="return_value")
        code = answer if isinstance(answer, int) else 0
    except BadSettings as error:
        code = _trouble(
            "The settings cannot be used:\n" + "\n".join(f"  {one}" for one in error.faults)
        )
    except BadCity as error:
        code = _trouble(
            "The city folder cannot be used:\n" + "\n".join(f"  {one}" for one in error.faults)
        )
    except BadLayer as error:
        code = _trouble(str(error), code=1)
    except BadMap as error:
        code = _trouble(
            "The column map cannot be used:\n" + "\n".join(f"  {one}" for one in error.faults), 1
        )
    except NotReadable as error:
        code = _trouble(str(error), 1)
    except BadTemplate as error:
        code = _trouble(f"The templates of mails cannot be used: {error}")
    except (EngineTrouble, MigrationFailed) as error:
        code = _trouble(str(error))
    except Unavailable as error:
        code = _trouble(
            f"The bus did not answer: {error}. What has a reference is safe; try again."
        )
    except FileNotFoundError as error:
        code = _trouble(f"{error.filename}: there is no such file.")
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read us has enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.stdout.flush()
    sys.exit(code)


if __name__ == "__main__":
    main()
