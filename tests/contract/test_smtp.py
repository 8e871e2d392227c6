"""Email against a real SMTP server that refuses, stalls and hangs up."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from pydantic import SecretStr

from bus.connect import Bus
from bus.contracts import CaseOpened, Fact, FileRef, NoticeQueued, NoticeSent
from bus.files import Files
from bus.identity import notice_token, read_notice_token
from bus.worker import listen
from channels.kept_secret import KeptSecret
from notifier import email_smtp
from notifier.city_words import CityWords
from notifier.email_smtp import SmtpSender, SmtpSettings, open_smtp
from notifier.mail_message import on_the_wire
from notifier.senders import Again, Failed, Mail, Sent, Unknown
from notifier.service import listeners, open_sender
from notifier.settings import NotifierSettings
from tests.support.facts import NOON, SECRET, summary
from tests.support.mail import SmtpSink

TLS = Path(__file__).parents[1] / "fixtures" / "tls"
FROM = email_smtp.Envelope("no-reply@city.example.org", "City of Independence")


class Server:
    """An SMTP server on a free port. `answers` are given to the next commands of that name."""

    def __init__(self, **options: Any) -> None:
        self.mails: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.recipients: list[str] = []
        self.senders: list[str] = []
        self.answers: dict[str, list[str]] = {"RCPT": [], "DATA": [], "MAIL": []}
        self.connections = 0
        self._options = options
        self._sessions: list[SMTP] = []
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._session, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self.hang_up()

    def hang_up(self) -> None:
        """Close every connection, as a server does that was restarted."""
        for session in self._sessions:
            if session.transport is not None:
                session.transport.close()

    def _session(self) -> SMTP:
        self.connections += 1
        self._sessions.append(SMTP(self, hostname="mail.example.org", **self._options))
        return self._sessions[-1]

    async def _answer(self, command: str, server: SMTP) -> str:
        answer = self.answers[command].pop(0) if self.answers[command] else "250 OK"
        if answer == "hang up":
            server.transport.abort()  # type: ignore[union-attr]
        if answer == "stall":
            await asyncio.sleep(5)
        return answer

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return await self._answer("MAIL", server)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return await self._answer("RCPT", server)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = await self._answer("DATA", server)
        if answer in {"250 OK", "hang up"}:
            assert isinstance(envelope.content, bytes)
            mail = BytesParser(policy=default).parsebytes(envelope.content)
            assert isinstance(mail, EmailMessage)
            self.raw.append(envelope.content)
            self.mails.append(mail)
            self.recipients += envelope.rcpt_tos
            self.senders.append(envelope.mail_from or "")
        return answer


async def no_file(sha256: str) -> bytes:
    raise KeyError(sha256)


@asynccontextmanager
async def post_office(
    server: Server,
    read_file: email_smtp.ReadFile = no_file,
    envelope: email_smtp.Envelope = FROM,
    **settings: object,
) -> AsyncIterator[SmtpSender]:
    """A sender that knows the running server."""
    port = await server.start()
    try:
        known: dict[str, object] = {"host": "127.0.0.1", "port": port, "security": "none"}
        chosen = SmtpSettings.model_validate(known | {"timeout": 2.0} | settings)
        async with open_smtp(chosen, envelope, read_file) as sender:
            yield sender
    finally:
        await server.stop()


def mail(**changes: object) -> Mail:
    one = Mail(
        notice_id=uuid4(),
        reference="7KQ-2MX-94",
        recipient="rosa@resident.example",
        recipient_name="Rosa Lara",
        subject="[7KQ-2MX-94] Recibimos su reporte: señal",
        text="Gracias, señora.\n.\n" + "x" * 2_000 + "\n",
        html="<p>Gracias, señora.</p>",
        attachments=(),
        written_at=NOON,
    )
    return replace(one, **changes)  # type: ignore[arg-type]


async def test_a_mail_arrives_as_it_was_written() -> None:
    server = Server()
    sent = mail()
    async with post_office(server) as sender:
        (outcome,) = await sender.send([sent])
    assert isinstance(outcome, Sent)
    (got,) = server.mails
    assert server.recipients == ["rosa@resident.example"]
    assert got["From"] == "City of Independence <no-reply@city.example.org>"
    assert got["To"] == "Rosa Lara <rosa@resident.example>"
    assert got["Subject"] == sent.subject
    assert got["Message-ID"] == f"<{sent.notice_id}@city.example.org>"
    assert got["Date"].datetime == NOON
    assert got["Auto-Submitted"] == "auto-generated"
    assert got["X-Auto-Response-Suppress"] == "All"
    assert got["Reply-To"] is None
    plain, html = got.get_body(("plain",)), got.get_body(("html",))
    assert isinstance(plain, EmailMessage)
    assert isinstance(html, EmailMessage)
    assert plain.get_content().replace("\r\n", "\n") == sent.text
    assert html.get_content().strip() == sent.html


SIGNED = replace(FROM, reply_to="311@desk.example.org", secret=SECRET)


async def test_an_answer_and_a_bounce_come_back_with_a_token() -> None:
    server = Server()
    sent = mail(notice="update", case_id=uuid4())
    async with post_office(server, envelope=SIGNED) as sender:
        await sender.send([sent])
    token = notice_token(SECRET, sent.notice_id)
    (got,) = server.mails
    assert server.senders == [f"311+{token}@desk.example.org"]
    assert got["Reply-To"] == f"311+{token}@desk.example.org"
    assert got["Message-ID"] == f"<{token}@city.example.org>"
    assert f"Reply-To: 311+{token}@desk.example.org\r\n".encode() in server.raw[0]
    assert read_notice_token(SECRET, token) == sent.notice_id


@pytest.mark.parametrize(
    "envelope", [replace(SIGNED, secret=b""), replace(SIGNED, reply_to="")], ids=["secret", "reply"]
)
async def test_without_a_secret_or_an_address_for_answers_nothing_is_signed(
    envelope: email_smtp.Envelope,
) -> None:
    server = Server()
    sent = mail(notice="update", case_id=uuid4())
    async with post_office(server, envelope=envelope) as sender:
        await sender.send([sent])
    (got,) = server.mails
    assert server.senders == ["no-reply@city.example.org"]
    assert got["Message-ID"] == f"<{sent.notice_id}@city.example.org>"
    assert got["Reply-To"] == (envelope.reply_to or None)


async def test_mails_about_one_case_lie_together() -> None:
    server = Server()
    case_id = uuid4()
    mails = [mail(notice=notice, case_id=case_id) for notice in ("receipt", "update")]
    async with post_office(server, connections=1) as sender:
        await sender.send(mails)
    for got in server.mails:
        assert got["References"] == f"<case-{case_id}@city.example.org>"
        assert got["In-Reply-To"] == f"<case-{case_id}@city.example.org>"


async def test_our_answer_stands_below_the_residents_own_mail() -> None:
    server = Server()
    case_id = uuid4()
    asked = ("one@resident.example", "<evil@x>\r\nBcc: a@b", "no id", "x" * 400 + "@y", None)
    async with post_office(server, connections=1) as sender:
        await sender.send([mail(case_id=case_id, answers=one) for one in asked])
    thread = f"<case-{case_id}@city.example.org>"
    got = [(one["In-Reply-To"], one["References"], one["Bcc"]) for one in server.mails]
    assert got == [
        ("<one@resident.example>", f"<one@resident.example> {thread}", None),
        *[(thread, thread, None)] * 4,
    ]


async def test_a_mail_says_that_a_machine_wrote_it_and_which() -> None:
    server = Server()
    async with post_office(server, connections=1) as sender:
        await sender.send([mail(notice="receipt"), mail(notice="closure_resident")])
    receipt, closure = server.mails
    assert (receipt["Auto-Submitted"], receipt["Precedence"]) == ("auto-replied", "bulk")
    assert (closure["Auto-Submitted"], closure["Precedence"]) == ("auto-generated", None)
    assert receipt["X-Buckstop-Notice"] == "receipt"
    assert closure["X-Buckstop-Notice"] == "closure_resident"
    assert {one["X-Auto-Response-Suppress"] for one in server.mails} == {"All"}


@pytest.mark.parametrize("signed", [True, False])
async def test_the_settings_decide_whether_replies_are_signed(signed: bool, files: Files) -> None:
    server = Server()
    settings = NotifierSettings.model_validate(
        {
            "smtp": {"host": "127.0.0.1", "port": await server.start(), "security": "none"},
            "from_address": "no-reply@city.example.org",
            "reply_to": "311@city.example.org",
            "signed_replies": signed,
        }
    )
    city = CityWords(name="Independence", state="Missouri")
    sent = mail()
    try:
        async with open_sender(settings, city, files=files, secret=SECRET) as sender:
            await sender.send([sent])
    finally:
        await server.stop()
    token = notice_token(SECRET, sent.notice_id)
    (got,) = server.mails
    assert got["Reply-To"] == (f"311+{token}@city.example.org" if signed else settings.reply_to)


async def test_a_mail_put_off_is_the_same_mail_the_second_time() -> None:
    server = Server()
    server.answers["DATA"] = ["451 busy"]
    sent = mail()
    async with post_office(server) as sender:
        assert await sender.send([sent]) == [Again("451 busy")]
        (outcome,) = await sender.send([sent])
    assert isinstance(outcome, Sent)
    assert server.mails[0]["Message-ID"] == f"<{sent.notice_id}@city.example.org>"


async def test_a_refused_address_fails_alone_and_its_reason_names_nobody() -> None:
    server = Server()
    server.answers["RCPT"] = ["250 OK", "550 5.1.1 <rosa@resident.example>: no such user"]
    async with post_office(server, connections=1) as sender:
        outcomes = await sender.send([mail(), mail(), mail()])
    assert [type(outcome) for outcome in outcomes] == [Sent, Failed, Sent]
    assert outcomes[1] == Failed("550 5.1.1 the address: no such user")
    assert len(server.mails) == 2


@pytest.mark.parametrize(
    ("command", "answer", "outcome"),
    [
        ("MAIL", "451 not now", Again("451 not now")),
        ("MAIL", "530 5.7.0 who are you", Again("530 5.7.0 who are you")),
        ("MAIL", "552 too large", Failed("552 too large")),
        ("RCPT", "450 greylisted", Again("450 greylisted")),
        ("RCPT", "421 closing", Again("421 closing")),
        ("DATA", "452 disk full", Again("452 disk full")),
        ("DATA", "554 looks like spam", Failed("554 looks like spam")),
    ],
)
async def test_what_the_server_says_decides(
    command: str, answer: str, outcome: Again | Failed
) -> None:
    server = Server()
    server.answers[command] = [answer]
    async with post_office(server, connections=1) as sender:
        refused, taken = await sender.send([mail(), mail()])
    assert refused == outcome
    assert isinstance(taken, Sent)


async def test_a_server_that_hangs_up_while_it_has_the_mail_leaves_its_fate_unknown() -> None:
    server = Server()
    server.answers["DATA"] = ["hang up"]
    sent = mail()
    async with post_office(server) as sender:
        (first,) = await sender.send([sent])
        (second,) = await sender.send([sent])
    assert isinstance(first, Unknown)
    assert isinstance(second, Sent)
    assert len({got["Message-ID"] for got in server.mails}) == 1


@pytest.mark.parametrize(("command", "kind"), [("RCPT", Again), ("DATA", Unknown)])
async def test_a_server_that_stalls_is_not_waited_for(command: str, kind: type) -> None:
    server = Server()
    server.answers[command] = ["stall"]
    async with post_office(server, timeout=0.3) as sender:
        async with asyncio.timeout(3):
            (outcome,) = await sender.send([mail()])
        assert isinstance(outcome, kind)
        assert isinstance((await sender.send([mail()]))[0], Sent)


async def test_a_server_that_is_away_holds_nobody_up() -> None:
    server = Server()
    async with post_office(server, rest=0.2) as sender:
        await server.stop()
        async with asyncio.timeout(3):
            outcomes = await sender.send([mail() for _ in range(50)])
    assert all(isinstance(outcome, Again) and outcome.nobody_there for outcome in outcomes)


async def test_a_slow_server_gets_what_it_can_take_and_the_rest_comes_again() -> None:
    server = Server()
    async with post_office(server, patience=0.000001) as sender:
        (outcome,) = await sender.send([mail()])
    assert isinstance(outcome, Again)
    assert outcome.nobody_there


async def test_connections_are_used_again_and_renewed() -> None:
    server = Server()
    async with post_office(server, connections=1, mails_per_connection=4) as sender:
        await sender.send([mail() for _ in range(4)])
        assert server.connections == 1
        await sender.send([mail() for _ in range(5)])
        assert server.connections == 3
    assert len(server.mails) == 9


async def test_no_more_connections_than_allowed_are_open() -> None:
    server = Server()
    async with post_office(server, connections=3) as sender:
        outcomes = await sender.send([mail() for _ in range(40)])
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert server.connections <= 3


@pytest.mark.parametrize("idle", [0.0, 60.0], ids=["asked first", "found out"])
async def test_a_connection_that_died_meanwhile_costs_no_mail(idle: float) -> None:
    server = Server()
    async with post_office(server, connections=1, check_after_idle=idle) as sender:
        await sender.send([mail()])
        server.hang_up()
        await asyncio.sleep(0.1)
        (outcome,) = await sender.send([mail()])
    assert isinstance(outcome, Sent)
    assert server.connections == 2


async def test_starttls_is_used_and_the_certificate_checked() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    server = Server(tls_context=context, require_starttls=True)
    async with post_office(server, security="starttls", ca_file=TLS / "cert.pem") as sender:
        assert isinstance((await sender.send([mail()]))[0], Sent)
    stranger = Server(tls_context=context, require_starttls=True)
    async with post_office(stranger, security="starttls") as sender:
        (outcome,) = await sender.send([mail()])
    assert isinstance(outcome, Again)
    assert stranger.mails == []


async def test_a_server_without_starttls_gets_no_mail_and_no_password() -> None:
    server = Server()
    async with post_office(
        server, security="starttls", username="u", password=SecretStr("p")
    ) as sender:
        (outcome,) = await sender.send([mail()])
    assert isinstance(outcome, Again)
    assert outcome.nobody_there


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize(("password", "kind"), [("right", Sent), ("wrong", Again)])
async def test_the_password_is_given(password: str, kind: type[Sent | Again]) -> None:
    def check(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword
    ) -> AuthResult:
        right = data.password == b"right"
        return AuthResult(success=right, handled=right)

    server = Server(authenticator=check, auth_require_tls=False, auth_required=True)
    async with post_office(server, username="city", password=SecretStr(password)) as sender:
        (outcome,) = await sender.send([mail()])
    assert isinstance(outcome, kind)
    assert isinstance(outcome, Sent) or "SMTPAuthenticationError 535" in outcome.reason


@pytest.mark.parametrize(
    "address",
    ["nobody", "a@b.org\r\nBcc: all@example.org", "a@b.org, c@d.org", "@", "", "a@" + "b" * 300],
)
async def test_what_is_no_address_fails_and_the_others_go_out(address: str) -> None:
    server = Server()
    async with post_office(server) as sender:
        outcomes = await sender.send([mail(recipient=address), mail()])
    assert isinstance(outcomes[0], Failed)
    assert isinstance(outcomes[1], Sent)
    assert server.recipients == ["rosa@resident.example"]


@pytest.mark.parametrize("name", ["Peña, José", 'Rosa "Rosi" Lara', "Ñ" * 20, "a\\b", ""])
async def test_names_arrive_as_they_are(name: str) -> None:
    server = Server()
    async with post_office(server) as sender:
        await sender.send([mail(recipient_name=name, subject="[7KQ-2MX-94] " + "señal " * 20)])
    (got,) = server.mails
    assert [one.display_name for one in got["To"].addresses] == [name]
    assert [one.addr_spec for one in got["To"].addresses] == ["rosa@resident.example"]
    assert got["Subject"].strip() == ("[7KQ-2MX-94] " + "señal " * 20).strip()


async def test_names_and_subjects_cannot_add_headers() -> None:
    server = Server()
    evil = 'x\r\nBcc: all@example.org\u2028"<a@b.org>'
    async with post_office(server) as sender:
        (outcome,) = await sender.send([mail(recipient_name=evil, subject=evil)])
    assert isinstance(outcome, Sent)
    assert server.mails[0]["Bcc"] is None
    assert server.recipients == ["rosa@resident.example"]


async def test_addresses_in_other_letters() -> None:
    assert on_the_wire("rosa@señal.example") == "rosa@xn--seal-hqa.example"
    server = Server()
    async with post_office(server) as sender:
        plain = await sender.send([mail(recipient="josé@resident.example")])
    assert isinstance(plain[0], Failed)
    able = Server(enable_SMTPUTF8=True)
    async with post_office(able) as sender:
        outcome = await sender.send([mail(recipient="josé@señal.example")])
    assert isinstance(outcome[0], Sent)
    assert able.recipients == ["josé@xn--seal-hqa.example"]
    assert "josé@xn--seal-hqa.example".encode() in able.raw[0]


def photo(name: str = "pothole.jpg", size: int = 10_000) -> FileRef:
    return FileRef(sha256="a" * 64, media_type="image/jpeg", name=name, size=size)


async def test_photos_travel_along_and_a_lost_one_stops_nothing() -> None:
    async def read_file(sha256: str) -> bytes:
        if sha256 != "a" * 64:
            raise KeyError(sha256)
        return b"\xff\xd8" + b"x" * 9_998

    server = Server()
    lost = photo().model_copy(update={"sha256": "b" * 64})
    async with post_office(server, read_file) as sender:
        (outcome,) = await sender.send([mail(attachments=(photo('a"\r\n/b.jpg'), lost))])
    assert isinstance(outcome, Sent)
    (attached,) = server.mails[0].iter_attachments()
    assert attached.get_content_type() == "image/jpeg"
    assert attached.get_filename() == "a_b.jpg"
    assert len(attached.get_content()) == 10_000


async def test_a_server_with_little_room_gets_the_mail_without_photos() -> None:
    async def read_file(sha256: str) -> bytes:
        return b"x" * 10_000

    server = Server(data_size_limit=12_000)
    async with post_office(server, read_file) as sender:
        (outcome,) = await sender.send([mail(attachments=(photo(),))])
    assert isinstance(outcome, Sent)
    assert list(server.mails[0].iter_attachments()) == []


async def test_from_a_fact_to_the_mail_server(bus: Bus, files: Files) -> None:
    """The whole notifier on a real bus: a case is opened, its receipt arrives, that is told."""
    server = Server()
    server.answers["DATA"] = ["451 busy"]
    port = await server.start()
    settings = NotifierSettings.model_validate(
        {
            "smtp": {"host": "127.0.0.1", "port": port, "security": "none"},
            "from_address": "no-reply@city.example.org",
        }
    )
    city = CityWords(name="Independence", state="Missouri")
    stop = asyncio.Event()
    fact = CaseOpened(message_id=uuid4(), occurred_at=NOON, case=summary())
    try:
        async with open_sender(settings, city, files=files) as sender, asyncio.TaskGroup() as group:
            for one in listeners(
                settings, city, bus.tell, sender, base_url="https://report.example.org"
            ):
                group.create_task(listen(bus.client, bus.tell, one, stop))
            await bus.tell([fact])
            told: list[Fact] = []

            def is_told(kind: type[Fact]) -> Callable[[], bool]:
                return lambda: any(isinstance(one, kind) for one in told)

            subscription = await bus.js.subscribe("notice.>", ordered_consumer=True)
            async with asyncio.timeout(15):
                while not is_told(NoticeSent)():
                    message = await subscription.next_msg(timeout=15)
                    tag = (message.headers or {})["Buckstop-Contract"]
                    kind = NoticeQueued if tag == NoticeQueued.tag else NoticeSent
                    told.append(kind.model_validate_json(message.data))
            stop.set()
    finally:
        await server.stop()
    (got,) = server.mails
    queued, sent = told
    assert isinstance(queued, NoticeQueued)
    assert isinstance(sent, NoticeSent)
    assert sent.notice_id == queued.message_id
    assert got["Message-ID"] == f"<{queued.message_id}@city.example.org>"
    plain = got.get_body(("plain",))
    assert isinstance(plain, EmailMessage)
    assert f"https://report.example.org/track/{summary().reference}" in plain.get_content()


async def test_the_door_says_who_refused_and_opens_with_the_newest_password(tmp_path: Path) -> None:
    sink = SmtpSink("the new one")
    await asyncio.to_thread(sink.start)
    settings = SmtpSettings(
        host="127.0.0.1", port=sink.port, security="none", username="311", password=SecretStr("old")
    )
    kept = KeptSecret(tmp_path / "kept.json", "old")
    try:
        async with open_smtp(settings, FROM, no_file, kept.read) as sender:
            assert sender.door.tried_at is None
            [outcome] = await sender.send([mail()])
            assert isinstance(outcome, Again)
            assert "does not accept our password" in outcome.reason
            assert sender.door.refused
            kept.write("the new one")
            sender.look_now()  # else a server that refused is left alone for a while
            async with asyncio.timeout(5):
                while sender.door.refused:
                    await asyncio.sleep(0.02)
            assert await sender.send([mail()]) == [Sent("kept")]
            assert sender.door.trouble == ""
    finally:
        await asyncio.to_thread(sink.stop)
    [told] = sink.mails
    assert told["X-Rcpt-To"] == "rosa@resident.example"
