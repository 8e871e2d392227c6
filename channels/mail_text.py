"""
The readable text of a body: HTML as text, flowed lines joined, files inside the text taken out.

Values in, values out; what cannot be read well is read badly rather than not at all.
"""

import binascii
import re
from collections.abc import Sequence
from html import unescape
from html.parser import HTMLParser

from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

from channels.mail_charset import plain

MOST_HTML = 1_000_000
"""Letters of HTML that are turned into text; a mail that has more is no letter."""
MOST_ELEMENTS = 60_000

_ROOTS = re.compile(r"<(?:!doctype|/?html|/?body|\?xml)\b[^<>]*>", re.IGNORECASE)
_UNSEEN = re.compile(
    r"<(script|style|title|template|noframes)\b[^<>]*>.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)",
    re.IGNORECASE | re.DOTALL,
)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:-]+)", re.I)
_NO_TAG = re.compile(r"<(?![a-zA-Z/!?][^<>]{0,5000}>)")
"""A `<` that starts no tag, or one so long that the parser would never come back."""
_BLANK_LINES = re.compile(r"\n{3,}")
_TAG = re.compile(r"<[a-zA-Z/!]")
_SPACES = re.compile(r"[^\S\n\xa0]+$", re.MULTILINE)

_BLOCKQUOTE = re.compile(r"<(/?)blockquote\b([^<>]*)>", re.IGNORECASE)

# Private-use letters that mark where a quotation starts and ends until its lines get a `>`.
_OPEN, _SHUT = "\ue0f0", "\ue0f1"

_BEGIN = re.compile(r"begin [0-7]{3,4} (\S.{0,255})")
_UU_LINE = re.compile(r"[\x20-\x60]{0,90}")

_RTF_WORD = re.compile(
    r"\\u(-?\d{1,6})\s?\??|\\'([0-9a-fA-F]{2})|\\([a-zA-Z]{1,32})(-?\d{1,10})?[ ]?|"
    r"\\([^a-zA-Z])|([{}])"
)
_RTF_SILENT = frozenset(
    "fonttbl colortbl stylesheet info pict object themedata datastore generator xmlnstbl "
    "listtable listoverridetable rsidtbl latentstyles header footer".split()
)


def meta_charset(html: bytes) -> str | None:
    """The charset that a page names inside itself."""
    found = _META_CHARSET.search(html[:4096])
    return found[1].decode("ascii") if found else None


def html_to_text(html: str) -> str:
    """
    What a person sees of a page. Quotations of another mail get a `> ` before each line, as in a
    text mail; scripts, styles and pictures go.
    """
    html = plain(html)[:MOST_HTML].replace(_OPEN, "").replace(_SHUT, "")
    # Several pages in one body, or words before the first: one page.
    body = _marked(_NO_TAG.sub("&lt;", _ROOTS.sub(" ", _UNSEEN.sub(" ", html))))
    if not body.strip():
        return ""
    text = ""
    if len(_TAG.findall(body)) <= MOST_ELEMENTS:
        try:
            layout = ParserConfig(css=CSS_PROFILES["strict"].copy())
            text = _quoted(get_text(f"<div>{body}</div>", layout))
        except Exception:  # nested beyond what it can follow
            text = ""
    if not text.strip():
        text = _quoted(_without_tags(body))
    return tidy(text)


def tidy(text: str) -> str:
    """No blanks at line ends, no more than two empty lines in a row."""
    return _BLANK_LINES.sub("\n\n", _SPACES.sub("", text.replace("\xa0", " "))).strip("\n ")


def _marked(html: str) -> str:
    """The page with a line before and after each quotation of another mail."""
    open_ones: list[bool] = []

    def mark(found: re.Match[str]) -> str:
        if found[1]:
            is_shut = bool(open_ones) and open_ones.pop()
            return f"<div>{_SHUT}</div>{found[0]}" if is_shut else found[0]
        open_ones.append(bool(re.search("cite|quote", found[2], re.IGNORECASE)))
        return f"{found[0]}<div>{_OPEN}</div>" if open_ones[-1] else found[0]

    return _BLOCKQUOTE.sub(mark, html)


def _quoted(text: str) -> str:
    if _OPEN not in text:
        return text.replace(_SHUT, "")
    depth, lines = 0, []
    for line in text.split("\n"):
        if _OPEN in line or _SHUT in line:
            words = line.replace(_OPEN, "").replace(_SHUT, "").strip()
            depth = max(0, depth + line.count(_OPEN) - line.count(_SHUT))
            if not words:
                continue
        else:
            words = line.removeprefix(" " * 4 * depth)
        lines.append((">" * min(depth, 20) + " " + words).rstrip() if depth else words)
    return "\n".join(lines)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"br", "p", "div", "tr", "li", "h1", "h2", "h3", "blockquote", "table"}:
            self.words.append("\n")


def _without_tags(html: str) -> str:
    reader = _Words()
    try:
        reader.feed(html)
        reader.close()
    except Exception:  # what is left when nothing else goes
        return unescape(re.sub(r"<[^<>]{0,2000}>", " ", html))
    lines = "".join(reader.words).split("\n")
    return "\n".join(" ".join(line.split()) for line in lines)


def unflowed(text: str, *, delete_space: bool = False) -> str:
    """`format=flowed` as it was typed: lines that end in a blank go on in the next one."""
    lines: list[tuple[int, str]] = []
    flows = False
    for line in text.split("\n"):
        quoted = line.lstrip(">")
        depth = len(line) - len(quoted)
        words = quoted.removeprefix(" ")
        goes_on = words.endswith(" ") and words != "-- "
        if flows and lines and lines[-1][0] == depth and words != "-- ":
            lines[-1] = (depth, lines[-1][1] + words)
        else:
            lines.append((depth, words))
        flows = goes_on
        if goes_on and delete_space:
            lines[-1] = (depth, lines[-1][1][:-1])
    return "\n".join(
        (">" * depth + " " + words).rstrip()
        if depth
        else words
        if words == "-- "
        else words.rstrip()
        for depth, words in lines
    )


def take_out_files(text: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The text without the uuencoded files in it, and those files."""
    files: list[tuple[str, bytes]] = []
    if "begin " not in text:
        return text, files
    lines, kept, at = text.split("\n"), [], 0
    while at < len(lines):
        begins = _BEGIN.fullmatch(lines[at].rstrip())
        if begins and (file := _uudecoded(lines, at + 1)):
            data, at = file
            files.append((begins[1].strip(), data))
            continue
        kept.append(lines[at])
        at += 1
    return "\n".join(kept), files


def _uudecoded(lines: Sequence[str], start: int) -> tuple[bytes, int] | None:
    """The file whose lines start here, and the line below its `end`."""
    data = bytearray()
    for at in range(start, len(lines)):
        line = lines[at].rstrip()
        if line == "end":
            return (bytes(data), at + 1) if data else None
        if not _UU_LINE.fullmatch(line):
            return None
        try:
            data += binascii.a2b_uu(line or "`")
        except binascii.Error:
            try:  # some encoders count their lines wrong
                data += binascii.a2b_uu(line[: (((ord(line[0]) - 32) & 63) * 4 + 5) // 3])
            except binascii.Error:
                return None
    return None


def rtf_to_text(rtf: str) -> str:
    """The words of a rich-text body, without its looks."""
    words: list[str] = []
    silent = 0  # how deep inside a group whose words nobody sees
    depth = at = 0
    for found in _RTF_WORD.finditer(rtf[:MOST_HTML]):
        between = rtf[at : found.start()]
        at = found.end()
        if not silent:
            words.append(between.replace("\r", "").replace("\n", ""))
        letter, byte, word, _, symbol, brace = found.groups()
        if brace == "{":
            depth += 1
        elif brace == "}":
            depth -= 1
            silent = 0 if depth < silent else silent
        elif silent:
            continue
        elif symbol == "*" or (word and word in _RTF_SILENT):
            silent = depth
        elif letter:
            words.append(chr(int(letter) % 0x10000))
        elif byte:
            words.append(bytes.fromhex(byte).decode("cp1252", "replace"))
        elif word in {"par", "line", "row", "sect"}:
            words.append("\n")
        elif word in {"tab", "cell"}:
            words.append("\t")
        elif symbol in {"\\", "{", "}"}:
            words.append(symbol)
        elif symbol == "~":
            words.append(" ")
    return tidy(plain("".join(words)))
