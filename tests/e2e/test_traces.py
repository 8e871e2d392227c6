"""A trace of one complaint, exported, has its hops under one id: from the form to the mail."""

import json
from pathlib import Path
from uuid import UUID

from bus.identity import complaint_id
from tests.support.collector import Collector, collecting
from tests.support.imap import PASSWORD, USER, Pymap, deliver
from tests.support.letters import mail
from tests.support.mail import SmtpSink
from tests.support.product import Product, visitor

THEIRS = "0af7651916cd43dd8448eb211c80319c"
PERSONAL = ("rosa", "lara", "resident", "5550142", "555-0142", "noland", "pothole", "tire blew")
ATTRIBUTES = {
    "buckstop.batch",
    "buckstop.case_id",
    "buckstop.complaint_id",
    "buckstop.outcome",
    "buckstop.reference",
    "buckstop.tries",
    "db.system.name",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "messaging.batch.message_count",
    "messaging.consumer.group.name",
    "messaging.destination.name",
    "messaging.operation.type",
    "messaging.system",
}

SENT = "SELECT count(*) FROM deliveries WHERE case_id = $1 AND state = 'sent'"


async def test_one_complaint_is_one_trace_from_the_way_in_to_the_mail(
    product: Product, folder: Path, smtp_sink: SmtpSink
) -> None:
    box = Pymap(folder)
    box.start()
    try:
        async with collecting() as collector:
            await product.start("--config", str(settings_in(folder, collector, box, smtp_sink)))
            reported = await report_by_form(product)
            deliver(box, mail("A pothole, again."))
            await product.settled(2)
            async with product.database() as database:
                by_mail = await database.fetchval("SELECT id FROM cases WHERE channel = 'email'")
                mails = await database.fetchval(SENT, reported)
            assert await product.stop() == 0, product.said
    finally:
        box.stop()

    assert mails == 2, "a receipt and an assignment"
    begins = ("web: POST /channels/web", "web: take in web")
    assert collector.ways(reported.hex) == all_ways(begins)
    assert collector.ways(by_mail.hex) == all_ways(("channels: take in email",))
    each_stands_right(collector, reported, mails)
    (asked,) = [one for one in collector.of(reported.hex) if one.kind == "server"]
    assert asked.links == (THEIRS,), "the sender's own trace is linked, and no more"
    assert asked.attributes["http.response.status_code"] == 303
    everything = b"".join(collector.payloads).lower()
    assert [word for word in PERSONAL if word.encode() in everything] == []
    assert {name for one in collector.spans for name in one.attributes} == ATTRIBUTES
    assert "@" not in json.dumps([(one.name, one.attributes) for one in collector.spans])


def settings_in(folder: Path, collector: Collector, box: Pymap, sink: SmtpSink) -> Path:
    settings = folder / "city.toml"
    settings.write_text(f"""
        [traces]
        endpoint = "{collector.url}"
        [[channels.email]]
        host = "127.0.0.1"
        port = {box.port}
        security = "none"
        username = "{USER}"
        password = {json.dumps(PASSWORD)}
        [notifier]
        from_address = "reports@city.example"
        [notifier.smtp]
        host = "127.0.0.1"
        port = {sink.port}
        security = "none"
    """)
    return settings


async def report_by_form(product: Product) -> UUID:
    async with visitor(product) as browser:
        answer = await browser.post(
            "/channels/web",
            data={
                "text": "A huge pothole, my tire blew",
                "address": "1200 S Noland Rd",
                "name": "Rosa Lara",
                "email": "rosa@resident.example",
                "phone": "816-555-0142",
            },
            headers={
                "Idempotency-Key": "one-trace",
                "traceparent": f"00-{THEIRS}-b7ad6b7169203331-01",
            },
            allow_redirects=False,
        )
        assert answer.status == 303, await answer.text()
    return complaint_id("web", "one-trace")


def all_ways(begins: tuple[str, ...]) -> set[tuple[str, ...]]:
    told = (*begins, f"{begins[-1].partition(':')[0]}: tell complaint.received")
    routed = (*told, "router: hear complaint.received", "router: tell complaint.routed")
    filed = (*told, "store: hear complaint.received")
    placed = (*routed, "store: hear complaint.routed")
    ways = {begins[:number] for number in range(1, len(begins) + 1)}
    ways |= {told, routed[:-1], routed}
    for stored, fact in ((filed, "case.opened"), (placed, "case.assigned")):
        heard = (*stored, f"store: relay {fact}", f"notifier: hear {fact}")
        queued = (*heard, "notifier: tell notice.queued")
        sending = (*queued, "notifier: hear notice.queued")
        sent = (*sending, "notifier: tell notice.sent")
        ways |= {stored, (*stored, "store: transaction"), heard[:-1], heard, queued, sending, sent}
        ways |= {(*sending, "notifier: send by smtp")}
        for recorded in (
            (*queued, "store: hear notice.queued"),
            (*sent, "store: hear notice.sent"),
        ):
            ways |= {recorded, (*recorded, "store: transaction")}
    return ways


def each_stands_right(collector: Collector, reported: UUID, mails: int) -> None:
    spans = collector.of(reported.hex)
    assert [one.parent for one in spans if not one.parent] == [""], "it begins once"
    assert not [one for one in spans if one.failed]
    by_id = {one.id: one for one in spans}
    for one in spans:
        assert one.ended >= one.began
        if one.parent:
            assert one.began >= by_id[one.parent].began, one
    sending = [one for one in spans if one.name == "send by smtp"]
    assert [one.attributes["buckstop.outcome"] for one in sending] == ["sent"] * mails
    (heard,) = [one for one in spans if one.name == "hear complaint.routed"]
    assert heard.attributes["messaging.consumer.group.name"] == "store_complaint"
    assert heard.attributes["messaging.destination.name"] == "complaint.routed"
    assert heard.attributes["buckstop.tries"] == 1
    assert heard.attributes["buckstop.complaint_id"] == str(reported)
    written = json.dumps([one.attributes for one in spans])
    assert "buckstop.reference" in written
