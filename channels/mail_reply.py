"""
What is new in a reply: the writer's own words parted from the mail they answer and from what a
telephone signs.

Nothing is thrown away: what is parted comes back beside the words. In doubt a line stays with the
writer's words, since a quotation too much is a nuisance and a sentence too few is a complaint
that nobody hears.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import quotequail

MOST_LINES = 1500
"""Lines looked at; what comes below them stays with the words above."""
LONGEST_LINE = 1000
LONGEST_INTRODUCTION = 4
LONGEST_SIGNATURE = 12

# "wrote" as mail programs say it, at the end of the line that introduces what is quoted.
_WROTE = (
    "wrote|writes|said|a écrit|écrivait|a ecrit|escribió|escribio|escribi[oó] lo siguiente|"
    "escreveu|escreve|ha scritto|scrisse|scriveva|schrieb|schreef|geschreven|geschrieben|"
    "skrev|skriver|skrev följande|kirjoitti|napisał(?:a|\\(a\\))?|napisal(?:a|\\(a\\))?|pisze|"
    "написал(?:а|\\(а\\))?|писал(?:а)?|пишет|пише|написав(?:ла)?|napsal(?:a|\\(a\\))?|"
    "napísal(?:a)?|írta|ezt írta|a scris|a scrie|yazdı|şunu yazdı|έγραψε|va escriure|"
    "escrigué|rašė|kirjutas|idatzi du|ha escrito|написа|je napisao|je napisala|"
    "viết|đã viết|đã viết như sau|написали|menulis|menulis:|写道|写到|寫道|寫到|님이 작성|"
    "のメール|さんは書きました|書きました|كتب|כתב(?:ה)?|नेलिखा|ने लिखा"
)
_ENDS_WITH_WROTE = re.compile(
    rf"(?:^|[\s\W])(?:{_WROTE})(?: [^\s:]{{1,12}}){{0,2}}\s*[:：]?\s*[-–—_*]*\s*$", re.IGNORECASE
)
_SAYS_WROTE = re.compile(rf"(?:^|[\s\W])(?:{_WROTE})(?:[\s\W]|$)", re.IGNORECASE)
_TIME = re.compile(r"\b\d{1,2}[:.h]\d{2}(?!\d)")
_DATE = re.compile(
    r"\b(?:19|20)\d{2}\b|\b\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b|\b\d{4}[./-]\d{1,2}[./-]\d{1,2}\b"
    r"|\d{4}年"
)
_EMAIL = re.compile(r"[^\s<>()\[\]]+@[^\s<>()\[\]]+\.[^\s<>()\[\]]+")
_LEADS = re.compile(
    r"^[\W_]*(?:(?:On|At|Le|Am|El|Em|Il|Den|Op|Dne|Dnia|W dniu|Pe|På|Vào|Στις|El dia|"
    r"(?:mon|tue|wed|thu|fri|sat|sun|lun|mar|mer|jeu|ven|sam|dim|dom)[^\W\d_]*)\b|\d|"
    r"[^\W\d_]+,? \d)",
    re.IGNORECASE,
)
_DATED_NAME = re.compile(
    r"^\W*\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?:\s+\d{1,2}:\d{2}(?::\d{2})?)?"
    r"(?:\s+(?:GMT|UTC)[+-]?[\d:]*)?\s+\S.{0,120}$"
)

# Names of the lines above a quoted mail, by what they tell.
_NAMES = {
    "from": "from|von|de|da|van|från|fra|od|от|от кого|від|von|lähettäjä|kimden|gönderen|feladó|"
    "发件人|寄件者|差出人|보낸 사람|מאת|من|từ|desde|remitente|expéditeur|mittente|nadawca",
    "to": "to|an|para|à|a|pour|aan|till|til|do|кому|до|vastaanottaja|kime|címzett|收件人|収件人|"
    "宛先|받는 사람|אל|إلى|destinataire|destinatario|adresát|komu",
    "cc": "cc|bcc|cco|copie|copia|kopie|kopia|kopi|kopio|копия|копія|抄送|副本|dw|udw",
    "date": "date|sent|datum|gesendet|fecha|enviado|enviado el|enviada em|enviada|data|inviato|"
    "envoyé|verzonden|skickat|sendt|dato|wysłano|data wysłania|дата|отправлено|надіслано|"
    "lähetetty|päivämäärä|tarih|gönderilme tarihi|elküldve|发送时间|日期|寄件日期|送信日時|"
    "보낸 날짜|received|datum doručení|odesláno|am|תאריך|التاريخ",
    "subject": "subject|betreff|objet|sujet|asunto|assunto|oggetto|risposta|onderwerp|ämne|emne|"
    "temat|тема|aihe|konu|tárgy|主题|主旨|件名|제목|předmět|predmet|נושא|الموضوع|re",
    "reply-to": "reply-to|reply to|antwort an|répondre à|responder a|rispondi a|antwoord aan|"
    "svara till|svar til|odpowiedz do|importance|priority|attachments|organization",
}
_NAMED_LINE = re.compile(
    r"^[>\s]*[*_]{0,2}([^\W\d_][^:：*<>@]{0,28}?)[*_]{0,2}\s?[:：][*_]{0,2}\s*(.*)$"
)
_WHAT = {name: what for what, names in _NAMES.items() for name in names.split("|")}

_UNSEEN = re.compile("[\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
# What stands on top of our own mails: `notifier/templates/layout/*/email.txt`.
_OURS = re.compile(r"^## .{10,60} ##\s*$")
_ORIGINAL = re.compile(
    r"^[>\s*]*-{2,}\s*(?:(?:original|forwarded|reply|replied|weitergeleitete|ursprüngliche|"
    r"originalt|ursprungligt|opprinnelig|oprindelig|oorspronkelijk|doorgestuurd|mensaje|"
    r"mensagem|message|messaggio|initial|wiadomość|oryginalna|пересылаемое|исходное|"
    r"alkuperäinen|přeposlaná|původní|原始|邮件|轉寄|转发|元の|original)"
    r"(?: [\w ]{1,40})?)\s*-{2,}[\s*]*$",
    re.IGNORECASE,
)
_FORWARDED = re.compile(
    r"^[>\s*-]*(?:begin forwarded message|forwarded message|anfang der weitergeleiteten (?:e-mail|"
    r"nachricht)|weitergeleitete nachricht|début du message (?:réexpédié|transféré)|message "
    r"transféré|inicio del mensaje reenviado|mensaje reenviado|inizio messaggio inoltrato|"
    r"messaggio inoltrato|mensagem encaminhada|início da mensagem (?:encaminhada|reenviada)|"
    r"doorgestuurd bericht|begin doorgestuurd bericht|vidarebefordrat (?:meddelande|brev)|"
    r"videresendt (?:melding|besked)|wiadomość przekazana|пересылаемое сообщение|"
    r"пересланное сообщение|转发的邮件|轉寄的郵件)[\s:*-]*$",
    re.IGNORECASE,
)
_RULE = re.compile(r"^[\s>*]*(?:[-_=*~#+–—]\s?){3,}\s*$")
_SIGNATURE = re.compile(r"^\s{0,3}(?:--|—|–)\s*$")

_DEVICE = (
    r"sent (?:from|via|with|by|using|on)|"
    r"get (?:\[|<)?outlook|envoy[ée] (?:de|depuis|avec|par|à partir)|"
    r"enviado (?:desde|con|por|a partir)|enviad[oa] d[oe]|inviato da[l]?|von mein(?:em|er)|"
    r"gesendet (?:von|mit)|diese nachricht wurde von meine[mr]|verzonden (?:vanaf|met|via|met)|"
    r"verstuurd vanaf|sendt fra|skickat från|lähetetty|wysłan[eo] z|отправлено (?:с|из)|"
    r"надіслано з|odesláno z|iphone'?umdan|从我的|從我的|发自我的|發自我的|iphoneから送信|"
    r"나의 iphone|download (?:the )?(?:official )?(?:twitter|mail) app|(?:someone )?from (?:my )?"
    r"(?:mobile|iphone|ipad|phone|android)"
)
_SIGNED_BY_DEVICE = re.compile(
    rf"^[\W_]*(?:{_DEVICE})\b.{{0,90}}$|^[\W_]*(?:從我的|从我的|发自我的)", re.IGNORECASE
)
_DEVICE_WORD = re.compile(
    r"\b(?:i(?:phone|pad|pod)|i?os|android|mobile?|phone|cell|samsung|galaxy|htm?c|nokia|pixel|"
    r"blackberry|outlook|mail(?:box|spring)?|yahoo!?|gmail|windows|airmail|device|tablet|laptop|"
    r"ti-\d+|alcatel|huawei|xiaomi|oneplus|motorola|moto|lg|sony|xperia|surface|mac(?:book)?|"
    r"proton ?mail|thunderbird|spark|sparrow|zoho|aol|verizon|at&t|t-mobile|smartphone|handy|"
    r"mobiltelefon|mobilgerät|telefon|teléfono|móvil|celular|appareil|portable|dispositivo|"
    r"телефона|huawei|redmi|web ?mail|app|hey|superhuman|mimestream|mailbird|bluemail|k-9)\b|"
    r"iphone|手机|手機",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Line:
    text: str
    quoted: bool
    blank: bool


def split_reply(text: str) -> tuple[str, str]:
    """
    What the writer added, and what was taken from beside it: the quoted mail, the line that
    introduces it, a signature. The first is empty where all is quoted.
    """
    every = text.split("\n")
    texts, beyond = every[:MOST_LINES], every[MOST_LINES:]
    lines = [_Line(one, _is_quoted(one), not one.strip(" \t>\u1427\u200b\ufeff")) for one in texts]
    dropped = [False] * len(lines)

    end = _end_of_words(lines, dropped)
    if end < len(lines) and beyond:
        beyond, after = [], beyond
    else:
        after = []
    end = _without_tail(lines, dropped, end)

    kept = [line.text for at, line in enumerate(lines[:end]) if not dropped[at]]
    gone = [line.text for at, line in enumerate(lines) if dropped[at] or at >= end]
    fresh = "\n".join([*kept, *beyond]).strip("\n").rstrip()
    return _trimmed(fresh), "\n".join([*gone, *after]).strip("\n").rstrip()


def _trimmed(fresh: str) -> str:
    lines = fresh.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    return "\n".join(lines)


def _is_quoted(line: str) -> bool:
    return line.lstrip().startswith((">", "|"))


def _end_of_words(lines: Sequence[_Line], dropped: list[bool]) -> int:
    """Where the answered mail begins; marks the lines inside that only introduce or quote."""
    at = 0
    while at < len(lines):
        if lines[at].blank:
            at += 1
            continue
        if (last := _introduction(lines, at)) is None:
            at += 1
            continue
        has_words = any(
            not line.blank and not line.quoted and not _is_rule(line.text) and not dropped[where]
            for where, line in enumerate(lines[:at])
        )
        start, below = _with_rule_above(lines, at), _next_words(lines, last + 1)
        if below is None:
            return start
        quoted = lines[below].quoted or lines[at].quoted
        if not quoted:
            # Nothing marks where the old mail ends: below words it goes to the bottom; with no
            # words above, some may be below.
            if has_words:
                return start
            _drop(dropped, at, last + 1)
            at = last + 1
            continue
        bottom = _end_of_quote(lines, below if lines[below].quoted else at)
        if not _own_words(lines, bottom):
            return start
        # The writer's words go on below the quotation.
        if has_words or _answers_in_between(lines, bottom):
            _drop(dropped, at, last + 1)
            at = last + 1
        else:
            _drop(dropped, at, bottom)
            at = bottom
    return len(lines)


def _drop(dropped: list[bool], start: int, end: int) -> None:
    for at in range(start, end):
        dropped[at] = True


def _next_words(lines: Sequence[_Line], at: int) -> int | None:
    return next((where for where in range(at, len(lines)) if not lines[where].blank), None)


def _end_of_quote(lines: Sequence[_Line], at: int) -> int:
    """One past the quoted block that starts here."""
    end = at
    while end < len(lines) and (lines[end].quoted or lines[end].blank):
        end += 1
    return end


def _answers_in_between(lines: Sequence[_Line], at: int) -> bool:
    """Whether what is quoted goes on below here, with words below that again."""
    quote = next((where for where in range(at, len(lines)) if lines[where].quoted), None)
    return quote is not None and _own_words(lines, _end_of_quote(lines, quote))


def _own_words(lines: Sequence[_Line], at: int) -> bool:
    """Whether below here somebody writes, other than by signing."""
    end = _without_tail(lines[at:], [False] * (len(lines) - at), len(lines) - at)
    return any(not line.blank and not line.quoted for line in lines[at : at + end])


def _is_rule(line: str) -> bool:
    return bool(_RULE.match(line))


def _with_rule_above(lines: Sequence[_Line], at: int) -> int:
    where = at - 1
    while where >= 0 and lines[where].blank:
        where -= 1
    return where if where >= 0 and _is_rule(lines[where].text) else at


def _introduction(lines: Sequence[_Line], at: int) -> int | None:
    """The last line of what introduces a quoted mail and starts here; None if none does."""
    first = _bare(lines[at].text)
    if _ORIGINAL.match(first) or _FORWARDED.match(first) or _OURS.match(first):
        return at
    if (last := _block(lines, at)) is not None:
        return last
    joined = ""
    for last in range(at, min(at + LONGEST_INTRODUCTION, len(lines))):
        bare = _bare(lines[last].text)
        if lines[last].quoted != lines[at].quoted and joined.count("<") <= joined.count(">"):
            break
        if not bare.strip():
            break
        joined = f"{joined} {bare.strip()}".strip()
        if len(joined) > 400:
            break
        if _introduces(joined, lines, at, last):
            return None if _starts_below(lines, at, last) else last
    if _opens_address(first) and (last := _spread(lines, at)) is not None:
        return last
    return None


def _starts_below(lines: Sequence[_Line], at: int, last: int) -> bool:
    """Whether the introduction is whole without its first line, which is somebody's words then."""
    if last == at or any(letter.isdigit() for letter in lines[at].text):
        return False
    joined = " ".join(_bare(line.text).strip() for line in lines[at + 1 : last + 1])
    return bool(_DATE.search(joined) or _TIME.search(joined)) and _introduces(
        joined, lines, at + 1, last
    )


def _bare(line: str) -> str:
    return _UNSEEN.sub("", line[:LONGEST_LINE]).lstrip(">| \t")


def _introduces(joined: str, lines: Sequence[_Line], at: int, last: int) -> bool:
    first = _bare(lines[at].text)
    is_dated = bool(_DATE.search(joined) or _TIME.search(joined))
    has_email = bool(_EMAIL.search(joined))
    if not (is_dated or has_email):
        return False
    below = _next_words(lines, last + 1)
    quote_follows = below is not None and lines[below].quoted and below - last <= 3
    starts = bool(_LEADS.match(first)) or bool(_EMAIL.search(first)) or first.startswith('"')
    if _ENDS_WITH_WROTE.search(joined) or _library_says(joined):
        ends = joined.rstrip(" -–—_*").endswith((":", "：")) or joined.startswith("-")
        if last > at and not starts:
            return False
        is_sure = ends and (has_email or bool(_TIME.search(joined)))
        return quote_follows or lines[at].quoted or (is_sure and (starts or has_email))
    if joined.endswith((":", "：")) and _SAYS_WROTE.search(joined) and starts:
        return quote_follows or (is_dated and has_email)
    if joined.endswith((":", "：")) and starts and has_email and bool(_TIME.search(joined)):
        return quote_follows or bool(_DATE.search(joined))
    if quote_follows and joined.endswith((":", "：")):
        return starts and (has_email or (is_dated and bool(_TIME.search(joined))))
    if last == at and _DATED_NAME.match(joined):
        return quote_follows or (below is not None and "GMT" in joined) or has_email
    return False


def _library_says(joined: str) -> bool:
    """Whether quotequail knows this line from a mail program."""
    # It is asked about one short line at a time, where its patterns cannot run away.
    return len(quotequail.quote(joined)) > 1


def _opens_address(joined: str) -> bool:
    return bool(_LEADS.match(joined)) and bool(_DATE.search(joined)) and bool(_TIME.search(joined))


def _spread(lines: Sequence[_Line], at: int) -> int | None:
    """An introduction that a mail program tore apart, with empty lines between its pieces."""
    joined = ""
    for last in range(at, min(at + 8, len(lines))):
        joined = f"{joined} {_bare(lines[last].text).strip()}".strip()
        if len(joined) > 400:
            return None
        if _ENDS_WITH_WROTE.search(joined) and _EMAIL.search(joined):
            return last
    return None


def _block(lines: Sequence[_Line], at: int) -> int | None:
    """The last of several lines like `From:`, `Sent:`, `To:` that stand above a quoted mail."""
    told: dict[str, str] = {}
    last = at
    if _what(lines[at].text) is None:
        return None
    for where in range(at, min(at + 14, len(lines))):
        if lines[where].blank:
            # One empty line between each is how some programs write them.
            if where + 1 < len(lines) and len(told) < 6 and _what(lines[where + 1].text):
                continue
            break
        named = _what(lines[where].text)
        if named is not None:
            told.setdefault(*named)
            last = where
        elif where - last > 1:
            break
    if "from" not in told and not {"date", "to", "subject"} <= told.keys():
        return None
    who = told.get("from", "")
    when = told.get("date", "")
    looks_sent = (
        bool(_EMAIL.search(who))
        or ("subject" in told and bool(re.search(r"\d", when)))
        or (bool(_DATE.search(when)) and bool(_TIME.search(when)))
    )
    if len(told) >= 3 and looks_sent:
        return last
    return last if len(told) >= 2 and lines[at].quoted and bool(_EMAIL.search(who)) else None


def _what(line: str) -> tuple[str, str] | None:
    found = _NAMED_LINE.match(_UNSEEN.sub("", line[:LONGEST_LINE]))
    if found is None:
        return None
    what = _WHAT.get(found[1].strip(" *_").lower())
    return (what, found[2]) if what else None


def _without_tail(lines: Sequence[_Line], dropped: Sequence[bool], end: int) -> int:
    """The end of the words without signature, device's words, rules and quotations below them."""
    first = next(
        (
            at
            for at in range(end)
            if not lines[at].blank and not lines[at].quoted and not dropped[at]
        ),
        None,
    )
    if first is None:
        return end
    if (signed := _signature(lines, end)) is not None and signed > first:
        end = signed
    while end > first + 1:
        line = lines[end - 1]
        if (
            line.blank
            or line.quoted
            or _is_rule(line.text)
            or _SIGNATURE.match(line.text)
            or _is_device(line.text)
        ):
            end -= 1
            continue
        break
    if end == first + 1 and _is_device(lines[first].text):
        return end  # it is all there is
    return end


def _is_device(line: str) -> bool:
    text = line.strip()
    return (
        len(text) <= 140 and bool(_SIGNED_BY_DEVICE.match(text)) and bool(_DEVICE_WORD.search(text))
    )


def _signature(lines: Sequence[_Line], end: int) -> int | None:
    """Where a signature below `--` starts: short lines, few of them, nothing quoted below."""
    for at in range(end - 1, -1, -1):
        if not _SIGNATURE.match(lines[at].text):
            continue
        below = [line for line in lines[at + 1 : end] if not line.blank]
        own = [line for line in below if not line.quoted]
        if len(own) <= LONGEST_SIGNATURE and all(len(line.text) <= 120 for line in own):
            return at
        return None
    return None
