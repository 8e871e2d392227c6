"""
One connection to a mail server that cannot leave us waiting.

aioimaplib is driven here and nowhere else. It does not tell when a connection died, stumbles over
a thousand lines at once, and after one answer that did not come it gets all others wrong; so each
question has a deadline, lines are taken one after the other, and after any doubt the connection
is thrown away: what raised `ImapTrouble` is never asked again.
"""

import asyncio
import base64
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import structlog
from aioimaplib import aioimaplib as lib

from channels.email_settings import MailboxSettings
from channels.imap_oauth import NoToken, Tokens

log = structlog.stdlib.get_logger()

AT_ONCE = 50
"""UIDs in one question."""
_FAREWELL = 2.0  # seconds

_UID = re.compile(rb"\bUID (\d+)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")
_VALIDITY = re.compile(rb"\[UIDVALIDITY (\d+)\]", re.IGNORECASE)
_EXISTS = re.compile(rb"^(?:\* )?(\d+) EXISTS", re.IGNORECASE)
_COPYUID = re.compile(rb"\[COPYUID (\d+) ([\d:,]+) ([\d:,]+)\]", re.IGNORECASE)
_INLINE_BODY = re.compile(rb'BODY\[\](?:<\d+>)? (?:"((?:[^"\\]|\\.)*)"|(NIL))', re.IGNORECASE)
_LITERAL_BODY = re.compile(rb"BODY\[\](?:<\d+>)? \{\d+\}$", re.IGNORECASE)
_PLAIN = re.compile(r"[\x20-\x7e]*")


class ImapTrouble(Exception):
    """The connection is of no use any more; the words are for an operator."""


class SignInRefused(ImapTrouble):
    """The server does not let us in: asking again at once would not help."""


class CommandRefused(Exception):
    """The server understood and said no; the connection is well."""


@dataclass(frozen=True)
class Selected:
    """A folder that is open."""

    validity: int
    """Its UIDVALIDITY: another one, and every UID is about another mail."""
    exists: int


@dataclass(frozen=True)
class Moved:
    """Where mails are now, where the server tells."""

    validity: int = 0
    uids: dict[int, int] = field(default_factory=dict)
    """The new UID of each old one."""
    stay: bool = False
    """They lie here still, marked as deleted."""


class _Protocol(lib.IMAP4ClientProtocol):  # type: ignore[misc]  # it has no types
    """aioimaplib's, without its recursion, and without mail in the debug log."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.lost: asyncio.Future[str] = loop.create_future()
        self.refusal = ""
        self.incomplete_line = b""
        self.current_command: Any = None
        super().__init__(loop, self._is_lost)

    def _is_lost(self, error: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(type(error).__name__ if error else "closed")

    def data_received(self, d: bytes) -> None:
        data, command = self.incomplete_line + d, self.current_command
        self.incomplete_line, self.current_command = b"", None
        try:
            self._handle_responses(data, self._handle_line, command)
        except lib.IncompleteRead as more_to_come:
            self.current_command = more_to_come.cmd
            self.incomplete_line = more_to_come.data

    def _handle_responses(self, data: bytes, line_handler: Any, current_cmd: Any = None) -> None:
        while data:
            if current_cmd is not None and current_cmd.wait_literal_data():
                data = current_cmd.append_literal_data(data)
                if current_cmd.wait_literal_data():
                    raise lib.IncompleteRead(current_cmd)
            line, separator, data_after = data.partition(lib.CRLF)
            if not separator:
                raise lib.IncompleteRead(current_cmd, data)
            data = data_after
            command = line_handler(line, current_cmd)
            literal = lib.literal_data_re.match(line)
            if literal:
                current_cmd = command or lib.Command("NIL", "unused")
                current_cmd.begin_literal_data(int(literal["size"]))
            elif command is not None and command.wait_data():
                current_cmd = command
            else:
                current_cmd = None
        if self.pending_sync_command is not None:
            self.pending_sync_command.flush()
        if current_cmd is not None and current_cmd.wait_data():
            raise lib.IncompleteRead(current_cmd)

    def _handle_line(self, line: bytes, current_cmd: Any) -> Any:
        pending = self.pending_sync_command
        if line[:6].upper() == b"* BYE " and (pending is None or pending.name != "LOGOUT"):
            self._is_lost(None)
        return super()._handle_line(line, current_cmd)

    def _continuation(self, line: bytes) -> None:
        pending = self.pending_sync_command
        if pending is not None and pending.name == "AUTHENTICATE":
            # With XOAUTH2 the reason for a no comes first, and waits for an empty line.
            with suppress(ValueError):
                self.refusal = str(json.loads(base64.b64decode(line[1:].strip())).get("status", ""))
            self.transport.write(lib.CRLF)
            return
        super()._continuation(line)

    def send(self, line: str, scrub: str | None = None) -> None:
        self.transport.write(f"{line}\r\n".encode())


@asynccontextmanager
async def open_session(
    settings: MailboxSettings, tokens: Tokens | None = None
) -> AsyncIterator["ImapSession"]:
    """A connection that is signed in. Raises `ImapTrouble`."""
    protocol = await _connect(settings)
    session = ImapSession(settings, protocol)
    try:
        await session.sign_in(tokens)
        yield session
    finally:
        await session.end()


async def _connect(settings: MailboxSettings) -> _Protocol:
    loop = asyncio.get_running_loop()
    where = f"{settings.host}:{settings.at_port}"
    protocol = _Protocol(loop)
    try:
        async with asyncio.timeout(settings.connect_seconds):
            context = await asyncio.to_thread(_tls, settings)
            await loop.create_connection(
                lambda: protocol,
                settings.host,
                settings.at_port,
                ssl=context if settings.security == "tls" else None,
            )
            greeted = asyncio.ensure_future(protocol.wait("AUTH|NONAUTH"))
            try:
                await asyncio.wait({greeted, protocol.lost}, return_when=asyncio.FIRST_COMPLETED)
                if not greeted.done():
                    raise ImapTrouble(f"{where} hung up before it greeted us.")
            finally:
                greeted.cancel()
            if settings.security == "starttls":
                await _start_tls(protocol, settings, context)
    except TimeoutError as error:
        _abort(protocol)
        raise ImapTrouble(
            f"{where} does not answer within {settings.connect_seconds:g} s. Is a firewall "
            "between us, or security wrong?"
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise ImapTrouble(
            f"The certificate of {where} is not to be trusted ({error.verify_message}). With a "
            "certificate authority of your own, name its file in ca_file."
        ) from error
    except ssl.SSLError as error:
        raise ImapTrouble(
            f"{where} does not speak TLS as security = {settings.security!r} wants it "
            f"({error.reason})."
        ) from error
    except OSError as error:
        raise ImapTrouble(
            f"{where} cannot be reached ({error.strerror or error}). Are host and port right?"
        ) from error
    except BaseException:
        _abort(protocol)
        raise
    return protocol


async def _start_tls(
    protocol: _Protocol, settings: MailboxSettings, context: ssl.SSLContext | None
) -> None:
    if "STARTTLS" not in protocol.capabilities:
        raise ImapTrouble(
            f'{settings.host} offers no STARTTLS: choose security = "tls" (usually port 993).'
        )
    answer = await protocol.execute(lib.Command("STARTTLS", protocol.new_tag()))
    if answer.result != "OK" or protocol.incomplete_line:
        raise ImapTrouble(f"{settings.host} does not start TLS.")
    loop = asyncio.get_running_loop()
    assert context is not None  # noqa: S101  `_tls` gives one for every security but none
    protocol.transport = await loop.start_tls(
        protocol.transport, protocol, context, server_hostname=settings.host
    )
    # What was said in the clear counts for nothing.
    await protocol.capability()


def _tls(settings: MailboxSettings) -> ssl.SSLContext | None:
    if settings.security == "none":
        return None
    return ssl.create_default_context(cafile=settings.ca_file)


def _abort(protocol: _Protocol) -> None:
    if protocol.transport is not None:
        protocol.transport.abort()


class ImapSession:
    """Signed in; whatever raises `ImapTrouble` ends it."""

    def __init__(self, settings: MailboxSettings, protocol: _Protocol) -> None:
        self._settings = settings
        self._protocol = protocol
        self._is_well = True

    # ── coming and going ────────────────────────────────────────────────────────────────────────

    async def sign_in(self, tokens: Tokens | None) -> None:
        settings = self._settings
        if tokens is not None:
            try:
                token = await tokens.token()
            except NoToken as error:
                raise (SignInRefused if error.lasting else ImapTrouble)(str(error)) from error
            said = base64.b64encode(f"user={settings.username}\1auth=Bearer {token}\1\1".encode())
            command = self._command("AUTHENTICATE", "XOAUTH2", said.decode())
        else:
            password = settings.password.get_secret_value() if settings.password else ""
            if _PLAIN.fullmatch(settings.username + password):
                command = self._command("LOGIN", _quoted(settings.username), _quoted(password))
            else:
                said = base64.b64encode(f"\0{settings.username}\0{password}".encode())
                command = self._command("AUTHENTICATE", "PLAIN", said.decode())
        answer = await self._ask(command, settings.command_seconds)
        if answer.result != "OK":
            if tokens is not None:
                tokens.forget()
            self._is_well = False
            words = (_last_words(answer) or self._protocol.refusal).rstrip(".")
            if re.search(r"UNAVAILABLE|temporar|try again|\[INUSE\]", words, re.IGNORECASE):
                raise ImapTrouble(f"{settings.host} lets nobody in at the moment ({words}).")
            what = "our access token" if tokens is not None else "username and password"
            raise SignInRefused(f"{settings.host} does not accept {what} ({words}).")
        self._protocol.state = lib.AUTH
        await self._ask_capabilities()

    async def end(self) -> None:
        """Says goodbye where that is still possible."""
        if self._is_well:
            with suppress(ImapTrouble, CommandRefused, asyncio.CancelledError):
                await self._ask(self._command("LOGOUT"), _FAREWELL)
        self._is_well = False
        _abort(self._protocol)

    def can(self, capability: str) -> bool:
        return capability in self._protocol.capabilities

    async def _ask_capabilities(self) -> None:
        answer = await self._ok(self._command("CAPABILITY"))
        words = b" ".join(bytes(line) for line in answer.lines[:-1]).decode("ascii", "replace")
        self._protocol.capabilities = {one.upper() for one in words.split()}

    # ── folders ─────────────────────────────────────────────────────────────────────────────────

    async def select(self, folder: str) -> Selected:
        """Opens a folder. Raises `CommandRefused` when there is none."""
        answer = await self._ok(self._command("SELECT", _folder(folder)))
        self._protocol.state = lib.SELECTED
        validity, exists = 0, 0
        for line in answer.lines:
            if found := _VALIDITY.search(bytes(line)):
                validity = int(found[1])
            if found := _EXISTS.search(bytes(line)):
                exists = int(found[1])
        return Selected(validity, exists)

    async def make(self, folder: str) -> None:
        """The folder is there. Raises `CommandRefused` when it cannot be made."""
        listed = await self._ok(self._command("LIST", '""', _folder(folder)))
        if len(listed.lines) > 1:
            return
        try:
            await self._ok(self._command("CREATE", _folder(folder)))
        except CommandRefused as error:
            if "ALREADYEXISTS" not in str(error):
                raise
        with suppress(CommandRefused):
            await self._ok(self._command("SUBSCRIBE", _folder(folder)))

    # ── mails ───────────────────────────────────────────────────────────────────────────────────

    async def uids(self, *, after: int = 0) -> list[int]:
        """What lies in the open folder with a UID greater than `after`, oldest first."""
        which = f"UID {after + 1}:*" if after else "ALL"
        answer = await self._ok(self._command("SEARCH", which, prefix="UID"))
        found = {int(word) for line in answer.lines[:-1] for word in bytes(line).split()}
        # `*` is the last mail, also where its UID is smaller than the other end.
        return sorted(uid for uid in found if uid > after)

    async def deleted(self, uids: Sequence[int]) -> set[int]:
        """Which of these are marked as deleted."""
        marked: set[int] = set()
        for some in _portions(uids):
            which = f"UID {_set(some)} DELETED"
            answer = await self._ok(self._command("SEARCH", which, prefix="UID"))
            marked |= {int(word) for line in answer.lines[:-1] for word in bytes(line).split()}
        return marked

    async def sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """How many bytes each has; what is gone is left out."""
        told: dict[int, int] = {}
        for some in _portions(uids):
            answer = await self._ok(self._fetching(_set(some), "(UID RFC822.SIZE)"))
            for line in answer.lines:
                uid, size = _UID.search(bytes(line)), _SIZE.search(bytes(line))
                if uid and size:
                    told[int(uid[1])] = int(size[1])
        return told

    async def fetch(self, uid: int, *, most: int | None = None) -> bytes | None:
        """A mail as it stands, or its first bytes; None when it is gone. Sets no flag."""
        part = "BODY.PEEK[]" if most is None else f"BODY.PEEK[]<0.{most}>"
        answer = await self._ok(
            self._fetching(str(uid), f"(UID {part})"), self._settings.fetch_seconds
        )
        for line, after in zip(answer.lines, [*answer.lines[1:], b""], strict=True):
            if isinstance(after, bytearray) and _LITERAL_BODY.search(line):
                return bytes(after)
            # An empty mail may come as a quoted string, or as nothing.
            if not isinstance(line, bytearray) and (inline := _INLINE_BODY.search(line)):
                return re.sub(rb"\\(.)", rb"\1", inline[1] or b"")
        return None

    async def move(self, uids: Sequence[int], folder: str) -> Moved:
        """
        They lie in `folder` and no longer here; what was gone before is passed over. A server that
        can neither move nor expunge single mails leaves them here, marked as deleted.
        """
        validity, now = 0, dict[int, int]()
        stay = not (self.can("MOVE") or self.can("UIDPLUS"))
        if stay:
            # Copied before we died and could write it down; or somebody else wants it gone.
            done = await self.deleted(uids)
            uids = [uid for uid in uids if uid not in done]
        for some in _portions(uids):
            which, to = _set(some), _folder(folder)
            if self.can("MOVE"):
                answer = await self._ok(self._command("MOVE", which, to, prefix="UID"))
            else:
                answer = await self._ok(self._command("COPY", which, to, prefix="UID"))
                flag = ("STORE", which, "+FLAGS.SILENT", r"(\Deleted)")
                await self._ok(self._command(*flag, prefix="UID", answers="FETCH"))
                if self.can("UIDPLUS"):
                    await self._ok(self._command("EXPUNGE", which, prefix="UID"))
            for line in answer.lines:
                if told := _COPYUID.search(bytes(line)):
                    validity = int(told[1])
                    now |= dict(zip(_numbers(told[2]), _numbers(told[3]), strict=False))
        return Moved(validity, now, stay=stay)

    async def wait_for_news(self, seconds: float, *wakes: asyncio.Event) -> None:
        """
        Returns when something happened in the open folder, after `seconds`, or when one of `wakes`
        is set. Without IDLE it only waits.
        """
        if not self.can("IDLE"):
            await self._sleep(seconds, *wakes)
            await self._ok(self._command("NOOP"))
            return
        self._drain()
        command = lib.IdleCommand(self._protocol.new_tag(), self._protocol.idle_queue)
        idling = asyncio.ensure_future(self._protocol.execute(command))
        news = asyncio.ensure_future(self._news())
        waking = [asyncio.ensure_future(one.wait()) for one in wakes]
        anything: set[asyncio.Future[Any]] = {idling, news, *waking, self._protocol.lost}
        try:
            await asyncio.wait(
                anything,
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not idling.done() and not self._protocol.lost.done():
                self._protocol.idle_done()
                await asyncio.wait(
                    {idling, self._protocol.lost},
                    timeout=self._settings.command_seconds,
                    return_when=asyncio.FIRST_COMPLETED,
                )
            if not idling.done():
                self._is_well = False
                raise ImapTrouble(f"{self._settings.host} hung up, or does not answer any more.")
            self._check(idling.result())
        except (lib.AioImapException, OSError) as error:
            self._is_well = False
            raise ImapTrouble(f"{self._settings.host}: {type(error).__name__}") from error
        finally:
            for one in (idling, news, *waking):
                one.cancel()

    async def _news(self) -> None:
        while True:
            lines = await self._protocol.idle_queue.get()
            if any(re.search(rb"EXISTS|EXPUNGE|RECENT|BYE", bytes(line)) for line in lines):
                return

    async def _sleep(self, seconds: float, *wakes: asyncio.Event) -> None:
        waking = [asyncio.ensure_future(one.wait()) for one in wakes]
        anything: set[asyncio.Future[Any]] = {*waking, self._protocol.lost}
        try:
            await asyncio.wait(anything, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waking:
                one.cancel()

    def _drain(self) -> None:
        while not self._protocol.idle_queue.empty():
            self._protocol.idle_queue.get_nowait()

    # ── asking ──────────────────────────────────────────────────────────────────────────────────

    def _command(self, name: str, *words: str, prefix: str = "", answers: str = "") -> Any:
        return lib.Command(
            name,
            self._protocol.new_tag(),
            *words,
            prefix=prefix or None,
            untagged_resp_name=answers or None,
        )

    def _fetching(self, which: str, what: str) -> Any:
        return lib.FetchCommand(self._protocol.new_tag(), which, what, prefix="UID")

    async def _ok(self, command: Any, seconds: float | None = None) -> Any:
        answer = await self._ask(command, seconds or self._settings.command_seconds)
        self._check(answer)
        return answer

    def _check(self, answer: Any) -> None:
        if answer.result != "OK":
            raise CommandRefused(_last_words(answer))

    async def _ask(self, command: Any, seconds: float) -> Any:
        """The answer, within `seconds`; whatever else happens ends the session."""
        where = self._settings.host
        if not self._is_well or self._protocol.lost.done():
            self._is_well = False
            raise ImapTrouble(f"{where} hung up.")
        asking = asyncio.ensure_future(self._protocol.execute(command))
        try:
            await asyncio.wait(
                {asking, self._protocol.lost},
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if asking.done():
                return asking.result()
        except (lib.AioImapException, OSError, ValueError) as error:
            self._is_well = False
            raise ImapTrouble(f"{where}: {command.name}: {type(error).__name__}") from error
        except BaseException:
            self._is_well = False  # whoever asked was cancelled, and the answer is still to come
            raise
        finally:
            asking.cancel()
        self._is_well = False
        if self._protocol.lost.done():
            raise ImapTrouble(f"{where} hung up while we asked for {command.name}.")
        raise ImapTrouble(f"{where} did not answer {command.name} within {seconds:g} s.")


def utf7(name: str) -> str:
    """A folder's name as it travels: modified UTF-7 (RFC 3501)."""
    said, strange = "", ""
    for letter in [*name, ""]:
        if letter and not " " <= letter <= "~":
            strange += letter
            continue
        if strange:
            packed = base64.b64encode(strange.encode("utf-16-be")).decode().rstrip("=")
            said += "&" + packed.replace("/", ",") + "-"
            strange = ""
        said += "&-" if letter == "&" else letter
    return said


def _folder(name: str) -> str:
    return _quoted(utf7(name))


def _quoted(words: str) -> str:
    return '"' + words.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _last_words(answer: Any) -> str:
    said = bytes(answer.lines[-1]).decode("utf-8", "replace") if answer.lines else ""
    return said[:200]


def _portions(uids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (uids[start : start + AT_ONCE] for start in range(0, len(uids), AT_ONCE))


def _set(uids: Sequence[int]) -> str:
    return ",".join(str(uid) for uid in uids)


def _numbers(told: bytes) -> list[int]:
    """The numbers of a set as `4:6,9`."""
    numbers: list[int] = []
    for one in told.decode().split(","):
        first, _, last = one.partition(":")
        low, high = sorted((int(first), int(last or first)))
        numbers.extend(range(low, min(high, low + 100_000) + 1))
    return numbers
