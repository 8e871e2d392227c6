"""
Mail that says that a mail of ours did not arrive, and what it says: to whom, why, which mail.

A report made for machines is believed first; without one, who sends it, what its subject says and
what it tells about the delivery decide together. A subject alone never makes a bounce, since
residents pass them on and ask.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import cast

from channels.mail_headers import addresses, header, headers, message_ids, words

MOST_RECIPIENTS = 100
LOOKED_AT = 30_000
"""Letters of a bounce's words that are searched."""
LONGEST_DIAGNOSTIC = 500


@dataclass(frozen=True)
class Bounced:
    """One address that a mail did not reach."""

    address: str
    status: str
    """As `5.1.1`; empty where nobody tells."""
    action: str
    """As the report says it: `failed`, `delayed`, `delivered`, …; `complaint` where somebody
    marked our mail as unwanted."""
    diagnostic: str
    kind: str
    """`hard`: the address is bad. `soft`: it may go another time. `reputation`: the other side
    does not want mail from us. `none`: it did arrive."""


@dataclass(frozen=True)
class Bounce:
    """What a bounce tells."""

    recipients: tuple[Bounced, ...]
    original_message_id: str | None
    kind: str
    """The gravest of its recipients' kinds."""

    @property
    def status(self) -> str:
        return next((one.status for one in self.recipients if one.status), "")


_DAEMON = re.compile(
    r"mailer[-_. ]?daemon|post[-_ ]?master|\bmdaemon\b|mail[-_. ]?delivery[-_. ]?(?:sub)?system|"
    r"mail ?deliver(?:y)? (?:sub)?system|delivery ?subsystem|^(?:ndr|bounces?|double-bounce)@|"
    r"mail administrator|antispam_ndr|ndr administrator|poostmaster|smtp_mail_service|"
    r"internet mail delivery|system administrator|mail system|bounce notification|smtp_gateways",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"undeliver(?:ed|able)|non[- ]?deliver(?:y|able)|not (?:yet )?(?:been )?delivered|"
    r"returned mail|"
    r"mail return|delivery (?:status )?(?:notif\w+|fail\w*|problem|report|error|warning)|"
    r"fail(?:ure|ed) (?:notice|delivery|mail)|mail(?:ing)? (?:delivery )?(?:fail|error|"
    r"system error)"
    r"\w*|fail(?:ed|ure) to deliver|could ?n[o']t (?:be )?deliver|(?:message|"
    r"mail) (?:was )?(?:blocked|"
    r"rejected|bounced|delayed)|message (?:\S+ )?delayed|delayed mail|unable to deliver|"
    r"address not found|unzustellbar|nicht zugestellt|zustellung fehlgeschlagen|échec de la remise|"
    r"non remis|no se (?:puede|pudo) entregar|no entregado|devuelto|mancata consegna|"
    r"niet bezorgd|onbestelbaar|не доставлено|недоставлен|не может быть доставлено|"
    r"配信(?:不能|できません|エラー)|送信(?:できません|エラー)|メールを配送できません|"
    r"退信|无法投递|系统退信|"
    r"投递失败|"
    r"メール(?:送信)?エラー|エラー(?:通知|メール)|"
    r"kan ikke leveres|ikke leveret|kunde inte levereras|"
    r"nie można dostarczyć|"
    r"mail status report|auto.?reply.{0,20}undeliver|user unknown|unknown user|"
    r"permanent delivery|warning.{0,40}(?:not send|not been delivered|delayed|user unknown)|"
    r"error (?:sending|delivering|during delivery)|error report|"
    r"(?:mail|message) error|processing error|delivery problem|automatically rejected mail|"
    r"could not (?:be )?sent?|non[- ]?remis|rejected:|bounce",
    re.IGNORECASE,
)
_TELLS = re.compile(
    r"could ?n[o']t (?:be )?(?:deliver|send|sent)|unable to (?:deliver|relay|send)|"
    r"not (?:be )?delivered|"
    r"undeliver(?:ed|able)|(?:did|was|has) ?n[o']t (?:been )?(?:reach|delivered|sent)|"
    r"(?:message|mail) (?:that )?you sent|permanent (?:fatal )?error|delivery (?:to|has|of|attempt|"
    r"fail|error|status|temporar)\w*.{0,80}(?:fail|delay|error|reject|problem|not|unable)|"
    r"failed (?:permanently|to deliver|"
    r"recipient)|rejected (?:your|by|the)|your (?:message|mail|e-?mail).{0,60}(?:reject|block|"
    r"return|"
    r"not|delay|undeliver|fail)|returned (?:to sender|below|message|mail)|"
    r"user (?:is )?(?:unknown|not)|unknown "
    r"(?:user|address|recipient|local)|no such (?:user|address|mailbox|recipient|person)|"
    r"recipient (?:address )?(?:rejected|unknown|not)|(?:mailbox|account|address|user|recipient)"
    r".{0,60}(?:does ?n[o']t exist|unavailable|not found|full|disabled|over ?quota|invalid|"
    r"rejected|inactive)|"
    r"exceeded.{0,40}quota|quota exceeded|mail ?box is full|transcript of (?:the )?session|"
    r"(?:smtp|server|host).{0,60}(?:said|returned|replied|respon|error)|reason(?: of failure|"
    r" for failure|:)|"
    r"host (?:unknown|not found)|doesn't have an? .{0,30}account|not listed in|"
    r"could not be reached|have been trying|still being retried|will (?:re)?try|retry(?:ing)? "
    r"timeout|mail system is|final-recipient|original message (?:follows|header)|"
    r"не доставлено|не может быть доставлено|не найден|недоступен|переполнен|не существует|"
    r"配送でき|配信でき|届けられ|送信でき|"
    r"存在しません|退信|无法|不存在|nicht zugestellt|nicht zustell|"
    r"unbekannt|n'a pas pu|n'existe pas|no (?:se )?pudo|no existe|non (?:è stato possibile|esiste)|"
    r"kunne ikke|kunde inte|nie (?:można|istnieje)|has been blocked|spam detected|"
    r"too many hops|loops? back|mail loop|message (?:size )?exceeds",
    re.IGNORECASE,
)
_REPLY_CODE = re.compile(r"(?<![\d.:])([45]\d\d)[\s\-#(]{1,3}(?=[\d#<(A-Za-z])")
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
# What no house number is taken for.
_SMTP_TALK = re.compile(
    r"\b[45]\d\d[ \-]{1,2}#?[45]\.\d{1,3}\.\d{1,3}|#[45]\.\d{1,3}\.\d{1,3}|\bsmtp\b|"
    r"\b(?:status|code|error)\W{1,3}[45]\.\d{1,3}\.\d|(?:user|recipient|host) unknown|"
    r"mail ?box (?:is )?full|quota exceeded|remote host|mail server",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\-]{1,128}@[A-Za-z0-9.\-]{1,200}[A-Za-z0-9]")
_ORIGINAL = re.compile(
    r"^[\s>|*\-=#_]*(?:(?:the )?(?:original|returned|bounced|unsent|undelivered|"
    r"failed) (?:e-?mail|message|mail|text)"
    r"|(?:below|this|here|following|enclosed) (?:this line )?is a copy|(?:your|"
    r"the) message (?:follows|is (?:attached|returned))"
    r"|included is a copy|message header|copy of|---+ ?(?:this is|below|returned|header|"
    r"original|unsent|start|message)"
    r"|元のメール|исходное|原始|mensaje original|ursprüngliche).{0,80}$",
    re.IGNORECASE | re.MULTILINE,
)
_HEADER_BLOCK = re.compile(
    r"^[> \t]*(?:Return-Path|Received|Message-ID|Date|From|Subject|To|MIME-Version|"
    r"X-\w[\w-]*):[^\n]*\n"
    r"(?:[> \t]*(?:[A-Za-z][\w-]*:|[ \t]+\S)[^\n]*\n){2,}",
    re.IGNORECASE | re.MULTILINE,
)
_ID_LINE = re.compile(r"^[> \t|]*message-id:\s*<([^<>\s]+)>", re.IGNORECASE | re.MULTILINE)
_PASSED_ON = re.compile(r"^\s*(?:fwd?|wg|tr|rv|enc|i|vs|vb|doorst)\s*:", re.IGNORECASE)

# What the other side says, and the status that says the same.
_MEANS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (status, re.compile(said, re.IGNORECASE))
    for status, said in (
        (
            "5.2.2",
            r"quota|mail ?box.{0,20}full|full mail ?box|over its disk|out of (?:disk )?space|"
            r"insufficient (?:system )?storage|not enough (?:storage|space)|переполнен",
        ),
        (
            "5.7.1",
            r"spam|blacklist|blocklist|block(?:ed)? (?:list|using|by)|\bblocked\b|dmarc|\bspf\b|"
            r"dkim|reputation|"
            r"policy|spamhaus|spamcop|\brbl\b|dnsbl|not allowed to send|access denied|"
            r"relay(?:ing)? "
            r"(?:access )?denied|not permitted|unsolicited|prohibited|banned",
        ),
        (
            "5.1.1",
            r"(?:user|recipient|address|mailbox|account|alias|person|name)\W.{0,60}?(?:unknown|"
            r"not found|not exist|"
            r"n't exist|invalid|no longer|not (?:a )?valid|not listed|not known|unrouteable)|"
            r"unknown (?:user|recipient|address|"
            r"local|mailbox|account)|no such (?:user|address|mailbox|recipient|person|account|"
            r"name|local)|invalid "
            r"(?:recipient|address|user|mailbox)|no mailbox|not a valid (?:mailbox|user|recipient)|"
            r"does ?n[o']t have an? .{0,40}account|addressee unknown|not our customer|"
            r"не найден|не существует|存在しません|unbekannt|n'existe pas|no existe",
        ),
        (
            "5.1.2",
            r"host (?:or domain name )?(?:unknown|not found)|unknown (?:host|domain)|nxdomain|"
            r"domain (?:name )?(?:not found|does ?n[o']t exist|invalid)|"
            r"unrouteable (?:mail )?domain|"
            r"name or service not known|no such (?:host|domain)|could ?n[o']t find any host|"
            r"nameserver error|can't find host",
        ),
        (
            "4.4.1",
            r"timed? ?out|connection (?:refused|reset|dropped|lost)|temporar|try again|will retry|"
            r"still being retried|greylist|delayed|deferred|no route to host|"
            r"not yet been delivered",
        ),
        ("5.2.1", r"disabled|suspended|inactive|deactivated|not accepting|unavailable"),
        ("5.3.4", r"too (?:large|big)|size (?:limit )?exceed|exceeds (?:the )?(?:maximum )?size"),
    )
)
_GRAVEST = ("hard", "reputation", "soft", "none")


def read_bounce(message: Message, text: str) -> Bounce | None:
    """What a bounce tells; None for every other mail. `text` is the mail's readable text."""
    parts = list(_parts(message))
    if (complaint := _complaint(message, parts)) is not None:
        return complaint
    report = next((part for part in parts if _type(part).endswith("delivery-status")), None)
    subject = header(message, "Subject")
    if report is not None and not _is_reply(message):
        told = list(_reported(report, text))
        if told:
            return _bounce(told, _original_id(parts, text))
    if not _is_bounce(message, parts, subject, text, reported=report is not None):
        return None
    return _bounce(_guessed(message, subject, text), _original_id(parts, text))


def kind_of(status: str, diagnostic: str = "", action: str = "failed") -> str:
    """
    What becomes of an address. Only what says that nobody is there makes it bad at once; a full
    box, a broken server and all that nobody explained may go another time.
    """
    if action in {"delivered", "relayed", "expanded"} or status.startswith("2."):
        return "none"
    if action == "complaint":
        return "reputation"
    if action == "delayed" or status.startswith("4."):
        return "soft"
    if status.startswith("5.7."):
        # Some servers answer so when there is nobody of that name.
        return "hard" if _nobody_there(diagnostic) else "reputation"
    if status in {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"}:
        return "hard"
    if status.startswith("5.4."):
        return "hard" if _means(diagnostic) == "5.1.2" else "soft"
    if status in {"5.2.2", "5.3.4", "5.2.3"}:
        return "soft"
    meant = _means(diagnostic)
    if meant in {"5.1.1", "5.1.2"}:
        return "hard"
    return "reputation" if meant == "5.7.1" else "soft"


def _nobody_there(diagnostic: str) -> bool:
    return _means(diagnostic) == "5.1.1"


def _means(said: str) -> str:
    return next((status for status, words_ in _MEANS if words_.search(said[:2000])), "")


def _bounce(told: Sequence[Bounced], original_id: str | None) -> Bounce:
    kinds = {one.kind for one in told} or {"soft"}
    gravest = next(kind for kind in _GRAVEST if kind in kinds)
    return Bounce(tuple(told[:MOST_RECIPIENTS]), original_id, gravest)


def _type(part: Message) -> str:
    return part.get_content_type()


def _parts(message: Message) -> Iterator[Message]:
    """The parts of the mail itself, and each mail inside it as one part."""
    waiting = [message]
    while waiting:
        part = waiting.pop(0)
        if part.get_content_maintype() == "multipart" and part.is_multipart():
            waiting[:0] = cast(list[Message], part.get_payload())
        else:
            yield part


def _is_reply(message: Message) -> bool:
    """A person's answer with a report attached to it."""
    return (
        message.get_content_subtype() != "report"
        and not _from_daemon(message)
        and not _null_path(message)
        and bool(_PASSED_ON.match(header(message, "Subject")) or message.get("In-Reply-To"))
    )


def _complaint(message: Message, parts: Sequence[Message]) -> Bounce | None:
    """Somebody marked our mail as unwanted (an abuse report for machines)."""
    report = next((part for part in parts if _type(part) == "message/feedback-report"), None)
    if report is None and (
        message.get_content_subtype() != "report"
        or str(message.get_param("report-type", "")).lower() != "feedback-report"
    ):
        if not header(message, "Subject").lower().startswith("complaint about message from"):
            return None
        if not any(_type(part).startswith("message/") for part in parts):
            return None
    fields = _fields(report) if report is not None else {}
    told = [
        Bounced(one.email, "", "complaint", fields.get("feedback-type", "abuse"), "reputation")
        for one in addresses(
            fields.get("original-rcpt-to") or fields.get("removal-recipient") or ""
        )
        if one.email
    ]
    return Bounce(tuple(told), _original_id(parts, ""), "reputation")


def _fields(report: Message) -> dict[str, str]:
    payload = report.get_payload()
    blocks = payload if isinstance(payload, list) else []
    return {
        name.lower(): words(str(value))
        for block in blocks
        if isinstance(block, Message)
        for name, value in block.items()
    }


def _reported(report: Message, text: str) -> Iterator[Bounced]:
    """The recipients of a report made for machines (RFC 3464)."""
    payload = report.get_payload()
    blocks = payload if isinstance(payload, list) else []
    for block in blocks[: MOST_RECIPIENTS + 1]:
        if not isinstance(block, Message):
            continue
        named = (
            header(block, "Original-Recipient"),
            header(block, "Final-Recipient"),
            header(block, "X-Actual-Recipient"),
        )
        found = [_EMAIL.search(one.partition(";")[2] or one) for one in named]
        address = next((one[0] for one in found if one), "")
        action = header(block, "Action").split(" ")[0].lower().strip(";,")
        status = _STATUS.search(header(block, "Status"))
        if not address and not action and not status:
            continue
        diagnostic = header(block, "Diagnostic-Code")
        said = diagnostic.partition(";")[2].strip() or diagnostic or header(block, "X-Notes") or ""
        code = _surest(status[1] if status else "", said)
        action = action or ("delayed" if code.startswith("4.") else "failed")
        why = said or _excerpt(text, address)
        yield Bounced(
            address.lower(), code, action, why[:LONGEST_DIAGNOSTIC], kind_of(code, why, action)
        )


def _surest(status: str, said: str) -> str:
    """The report's status; where that only says "failed", what the other server answered."""
    if status and not status.endswith(".0.0"):
        return status
    if found := _STATUS.search(said):
        return found[1]
    meant = _means(said)
    if meant and status[:1] in {"", meant[:1]}:
        return meant
    return status


def _from_daemon(message: Message) -> bool:
    sender = header(message, "From") or header(message, "Sender")
    return bool(_DAEMON.search(sender)) or sender.strip() == "<>"


def _null_path(message: Message) -> bool:
    paths = [one.strip().lower() for one in headers(message, "Return-Path")]
    return any(
        one in {"<>", ""} or "mailer-daemon" in one or one.startswith("<postmaster@")
        for one in paths[:1]
    )


def _is_bounce(
    message: Message, parts: Sequence[Message], subject: str, text: str, *, reported: bool
) -> bool:
    if message.get("X-Failed-Recipients"):
        return True
    kind = str(message.get_param("report-type", "")).lower()
    submitted = header(message, "Auto-Submitted").lower()
    daemon, null_path = _from_daemon(message), _null_path(message)
    by_subject = bool(_SUBJECT.search(subject))
    top, _ = _above_original(text)
    tells = bool(_TELLS.search(top)) or bool(_REPLY_CODE.search(top)) or bool(_STATUS.search(top))
    returns = any(_type(part) in {"message/rfc822", "text/rfc822-headers"} for part in parts)
    if message.get_content_subtype() == "report" and kind in {"", "delivery-status"}:
        return reported or daemon or null_path or by_subject
    if _PASSED_ON.match(subject) and not (daemon or null_path):
        return _sendmail_says(text)
    if reported:
        return daemon or null_path or by_subject
    if (
        daemon
        and submitted.startswith("auto-replied")
        and not (by_subject and tells and _knows_which(text, parts, message))
    ):
        return False
    if daemon:
        return tells or by_subject or returns
    if null_path:
        return (by_subject and tells) or (returns and tells) or (tells and _sendmail_says(text))
    machine = _says_machine(message)
    if not machine and ("In-Reply-To" in message or "References" in message):
        return False  # a person who answers, whatever about
    gives_back = returns or bool(_original_in(text))
    in_servers_words = _sendmail_says(text)
    if machine and gives_back and tells:
        return True
    if by_subject and tells:
        return machine or in_servers_words or (gives_back and bool(_SMTP_TALK.search(top)))
    return in_servers_words and (machine or gives_back)


def _says_machine(message: Message) -> bool:
    return bool(
        message.get("Auto-Submitted", "no").lower() != "no"
        or message.get("X-Autoreply")
        or str(message.get("Precedence", "")).lower() in {"bulk", "junk"}
        or re.search(
            r"admin|no-?reply|daemon|robot|mailer|smtp|notification", header(message, "From"), re.I
        )
    )


_TRANSCRIPT = re.compile(
    r"transcript of (?:the )?session follows|the following addresses had permanent|"
    r"had permanent fatal errors|this is the (?:mail system|postfix program) at host|"
    r"this is the qmail-send program|"
    r"a message that you sent (?:could|contained|has|was|using|to the)|"
    r"delivery to the following recipients? (?:has |have )?(?:been )?"
    r"(?:failed|delayed)|this is an automatically generated delivery status|"
    r"i'm afraid i wasn't able to deliver|diagnostic information for administrators|"
    r"your message (?:wasn't|couldn't be|cannot be|could not be|did not) (?:delivered|reach)|"
    r"this message was created automatically by (?:the )?mail (?:delivery )?(?:software|system)|"
    r"notificationType\W{1,12}(?:Bounce|Complaint|Delivery)\W|"
    r"following (?:message|recipient|address).{0,60}(?:could not|undeliver|not be|fail)|"
    r"sorry, (?:we were|i was|i wasn't) (?:un)?able to|"
    r"(?:message|mail|e-?mail).{0,80}(?:(?:could|can) ?not be|was not|were not) delivered",
    re.IGNORECASE,
)


def _sendmail_says(text: str) -> bool:
    """Words that mail servers use, and people do not."""
    return bool(_TRANSCRIPT.search(text[:LOOKED_AT]))


def _original_in(text: str) -> re.Match[str] | None:
    return _HEADER_BLOCK.search(text[:LOOKED_AT]) or _ORIGINAL.search(text[:LOOKED_AT])


def _knows_which(text: str, parts: Sequence[Message], message: Message) -> bool:
    """
    Whether a daemon that calls itself an automatic *reply* gives what a server knows: the answer
    of the other server, or the mail that did not arrive as a part of its own.
    """
    top, _ = _above_original(text)
    return (
        bool(_REPLY_CODE.search(top) or _STATUS.search(top))
        or any(_type(part).startswith(("message/", "text/rfc822")) for part in parts)
        or _sendmail_says(top)
    )


def _above_original(text: str) -> tuple[str, str]:
    """What the server says, and the mail that it gives back below."""
    text = text[:LOOKED_AT]
    starts = [
        found.start() for found in (_ORIGINAL.search(text), _HEADER_BLOCK.search(text)) if found
    ]
    cut = min(starts, default=len(text))
    return (text[:cut], text[cut:]) if cut > 40 else (text, "")


def _guessed(message: Message, subject: str, text: str) -> list[Bounced]:
    top, below = _above_original(text)
    ours = {
        one.email.lower()
        for name in ("From", "To", "Return-Path", "Sender", "Reply-To", "Delivered-To")
        for value in headers(message, name)
        for one in addresses(value)
    }
    named = [
        one.email for value in headers(message, "X-Failed-Recipients") for one in addresses(value)
    ] or _EMAIL.findall(f"{subject}\n{top}")
    if not named and (to := re.search(r"^[> ]*To:.*", below, re.IGNORECASE | re.MULTILINE)):
        named = _EMAIL.findall(to[0])
    kept = [
        one
        for one in dict.fromkeys(one.lower().strip(".'`=") for one in named)
        if one not in ours and not _DAEMON.search(one)
    ]
    return [_guess(one, top, subject) for one in kept[:20]]


def _guess(address: str, top: str, subject: str) -> Bounced:
    said = _excerpt(top, address)
    found = _STATUS.search(said) or _STATUS.search(top)
    code = _surest(found[1] if found else "", said) or _means(top) or _means(subject)
    if not code and (reply := _REPLY_CODE.search(top)):
        code = f"{reply[1][0]}.0.0"
    waits = re.search(
        r"delay|deferred|still being retried|not yet been delivered|warning:|\(delay\)",
        subject,
        re.I,
    )
    action = "delayed" if waits or code.startswith("4.") else "failed"
    return Bounced(
        address, code, action, said[:LONGEST_DIAGNOSTIC], kind_of(code, f"{said} {subject}", action)
    )


def _excerpt(text: str, address: str) -> str:
    """The lines about an address, else the first that tells something."""
    lines = [line.strip() for line in text[:LOOKED_AT].split("\n")]
    for at, line in enumerate(lines):
        if address and address in line.lower():
            about = [line, *lines[at + 1 : at + 4]]
            return " ".join(filter(None, about))
    return next((line for line in lines if _TELLS.search(line) or _STATUS.search(line)), "")


def _original_id(parts: Sequence[Message], text: str) -> str | None:
    """The id of the mail that did not arrive."""
    for part in parts:
        kind = _type(part)
        if kind in {"message/rfc822", "message/global"} and isinstance(part.get_payload(), list):
            inner = part.get_payload(0)
            if isinstance(inner, Message) and (
                ids := message_ids(str(inner.get("Message-ID", "")))
            ):
                return ids[0]
        if kind in {
            "text/rfc822-headers",
            "message/rfc822",
            "message/global-headers",
            "message/rfc822-headers",
        }:
            try:
                raw = part.get_payload(decode=True) or str(part).encode("utf-8", "replace")
            except Exception:  # the words of the bounce may still tell
                raw = None
            if isinstance(raw, bytes) and (
                found := _ID_LINE.search(raw[:LOOKED_AT].decode("latin-1"))
            ):
                return found[1]
    found = _ID_LINE.search(text[: LOOKED_AT * 2])
    return found[1] if found else None
