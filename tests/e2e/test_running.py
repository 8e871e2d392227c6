"""Starting, stopping and being refused: each end has its exit code, each refusal its sentence."""

import asyncio
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from tests.support.city import change, copy_of_sample
from tests.support.product import Answer, Product, copy_of, until, visitor
from tests.support.reports import write_reports
from tests.support.staff import token_in


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_and_its_engines(product: Product, number: int) -> None:
    await product.start()
    assert {"nats-server", "postgres"} <= {one.name() for one in product.processes()}
    began = asyncio.get_running_loop().time()
    assert await product.stop(number) == 0, product.said
    assert asyncio.get_running_loop().time() - began < 12
    assert product.processes() == []


async def test_it_is_ready_within_ten_seconds(product: Product) -> None:
    """On a migrated directory with a trained model; what it says names the address."""
    if await product.start() >= 10:  # the machine may just then have had something else to do
        assert await product.stop() == 0, product.said
        assert await product.start() < 10
    await product.said_so("Ctrl-C stops it.")
    assert f"Buckstop is ready on {product.url}/" in product.said
    async with aiohttp.ClientSession() as browser:
        assert (await browser.get(f"{product.url}/report/what")).status == 200
        assert (await browser.get(f"{product.url}/healthz")).status == 200
        answer = await (await browser.get(f"{product.url}/readyz")).json()

        async def a_canary_came_through() -> bool:
            metrics = await (await browser.get(f"{product.url}/metrics")).text()
            return "\nbuckstop_canary_last_success_timestamp_seconds 1" in metrics

        await until(a_canary_came_through, within=20)
    assert answer == {
        "ready": True,
        "pings": {"bus": "ok", "streams": "ok", "postgres": "ok", "migrations": "ok"},
    }


async def test_killed_it_starts_again_on_what_is_left(product: Product, folder: Path) -> None:
    """Also where nobody reaped the dead PostgreSQL, or its number is another process's by now."""
    await product.start()
    submitted = await product.ask("submit", write_reports(folder / "reports.jsonl", 3))
    await product.settled(3)
    await product.kill(engines=True)
    pid_file = product.data / "pg" / "postmaster.pid"
    pid_file.write_text(pid_file.read_text().replace(pid_file.read_text().split()[0], "1", 1))
    await product.start()
    async with product.database() as database:
        references = {row["reference"] for row in await database.fetch("SELECT * FROM cases")}
    assert references == {str(line["reference"]) for line in submitted.lines}
    assert await product.stop() == 0, product.said


async def test_services_that_die_alone_are_started_again(product: Product, folder: Path) -> None:
    """They have processes of their own; the pages go on without them."""
    await product.start()
    assert product.process is not None
    services = product.services
    assert len(services) == 2
    for one in services:
        one.kill()
    async with aiohttp.ClientSession() as browser:
        answer = await browser.post(f"{product.url}/channels/web", json={"text": "A pothole."})
        assert answer.status == 200, await answer.text()
    await product.settled(1)
    assert await product.stop() == 0, product.said
    assert product.processes() == []


async def test_a_service_that_runs_nowhere_is_begun_beside_the_pages(
    product: Product, folder: Path
) -> None:
    """As where it has a machine of its own, and that is gone. Killed, it is started again."""
    await product.start("web", "channels", "store", "notifier", "--sample-logins")
    await product.ask("submit", write_reports(folder / "reports.jsonl", 3))
    async with visitor(product, "amy.lindqvist") as operator:
        page = await (await operator.get("/ops/again?what=router")).text()
        assert "Run it here" in page
        form = {"csrf": token_in(page), "what": "router", "why": "Its machine is gone."}
        answer = await operator.post("/ops/again", data=form)
        assert "router was started again, and runs." in await answer.text()
        await product.settled(3)
        [router] = [one for one in product.services if "router" in one.cmdline()]
        router.kill()
        await product.ask("submit", write_reports(folder / "more.jsonl", 3, start=3))
        await product.settled(6)
        form["what"] = "notifier"  # it is ours and well, and ends when it is asked to
        answer = await operator.post("/ops/again", data=form)
        assert "notifier was started again, and runs." in await answer.text()
    assert await product.stop() == 0, product.said
    assert product.processes() == []


async def test_a_second_one_on_the_same_directory_is_refused(product: Product) -> None:
    await product.start()
    assert product.process is not None
    second = await product.ask("run")
    assert refused(second) == (
        f"Buckstop is already running on {product.data} (process {product.process.pid}). "
        "Stop that one first, or choose another directory with --data."
    )
    await product.ready()


async def test_a_port_in_use_is_refused_before_anything_starts(product: Product) -> None:
    with socket.create_server(("127.0.0.1", product.port)):
        answer = await product.ask("run", "--port", str(product.port))
    assert refused(answer) == (
        f"Port {product.port} on 127.0.0.1 cannot be used (Address already in use). "
        "Stop what uses it, or choose another with --port."
    )
    assert not (product.data / "run.json").exists()


async def test_settings_that_cannot_be_used_are_named(product: Product, folder: Path) -> None:
    """Every fault at once, each in a line with its key and its file; nothing is started."""
    config = folder / "buckstop.toml"
    config.write_text("""
        colour = "green"
        [http]
        port = 99999
        [notifier.smtp]
        hots = "mail.example"
    """)
    answer = await product.ask("run", "--config", config)
    heading, *faults = refused(answer).splitlines()
    assert heading == "The settings cannot be used:"
    assert [one.strip() for one in sorted(faults)] == [
        f"colour: there is no such setting ({config}).",
        f"http.port: Input should be less than or equal to 65535 ({config}).",
        f"notifier.smtp.hots: there is no such setting ({config}).",
    ]
    config.write_text("port: 8311\n")
    assert f"{config} is not TOML" in refused(await product.ask("run", "--config", config))
    missing = folder / "nothing.toml"
    answer = await product.ask("run", "--config", missing)
    assert f"{missing}: No such file or directory." in refused(answer)
    assert not (product.data / "run.json").exists()


async def test_a_misspelt_setting_in_the_environment_is_named(template: Path, folder: Path) -> None:
    product = Product(copy_of(template, folder), BUCKSTOP__HTTP__PROT="80")
    answer = await product.ask("run")
    assert "BUCKSTOP__HTTP__PROT, and there is no such setting" in refused(answer)


async def test_a_broken_city_is_refused_before_anything_starts(
    template: Path, folder: Path
) -> None:
    city = copy_of_sample(folder)
    change(city, "districts.geojson", "Polygon", "Polygone")
    (city / "people.csv").unlink()
    product = Product(copy_of(template, folder), BUCKSTOP__CITY=str(city))
    answer = await product.ask("run")
    heading, *faults = refused(answer).splitlines()
    assert heading == "The city folder cannot be used:"
    assert any("people.csv" in one for one in faults)
    assert any("districts.geojson" in one for one in faults)
    assert not (product.data / "run.json").exists()


async def test_a_city_that_is_not_there_is_named(template: Path, folder: Path) -> None:
    product = Product(copy_of(template, folder), BUCKSTOP__CITY="atlantis")
    assert "atlantis" in refused(await product.ask("run"))


async def test_a_directory_that_cannot_be_written_is_refused(folder: Path) -> None:
    (folder / "file").write_text("not a folder")
    product = Product(folder / "file" / "data")
    product.log = folder / "log"
    assert refused(await product.ask("run")) == (
        f"The data directory {product.data} cannot be written (Not a directory). "
        "Choose another with --data."
    )


async def test_an_unknown_service_is_refused(product: Product) -> None:
    answer = await product.ask("run", "store", "rooter")
    assert refused(answer) == (
        "There is no service rooter: choose of web, channels, router, store, notifier."
    )


async def test_only_the_services_that_are_named_run(product: Product, folder: Path) -> None:
    """Store and router file and route; no page is served and no notice is written."""
    await product.start("store", "router", ready=False)
    await product.said_so("Buckstop runs store, router")
    await product.ask("submit", write_reports(folder / "reports.jsonl", 5))

    async def routed() -> bool:
        async with product.database() as database:
            routed = "SELECT count(*) = 5 FROM cases WHERE status <> 'new'"
            return bool(await database.fetchval(routed))

    await until(routed)
    with pytest.raises(aiohttp.ClientConnectionError):
        async with aiohttp.ClientSession() as browser:
            await browser.get(product.url)
    async with product.database() as database:
        assert await database.fetchval("SELECT count(*) FROM deliveries") == 0
    assert await product.stop() == 0, product.said


def refused(answer: Answer) -> str:
    """What a command said that could not run: sentences for people, no trace of the code."""
    assert answer.code == 2, answer
    assert "Traceback" not in answer.err
    assert answer.out == ""
    return "\n".join(line for line in answer.err.splitlines() if not line.startswith("{")).strip()
