"""
Bytes to text, whatever they say they are: declared charset, UTF-8, what the bytes look like,
Windows-1252, and only then marks for what cannot be read. Nothing here raises.
"""

import codecs
import re

import chardet

LOOKED_AT = 64 * 1024
"""Bytes that are enough to guess a charset."""

# What senders call it, and what they send under that name.
_MEANT = {
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "gb_2312-80": "gb18030",
    "ks_c_5601-1987": "cp949",
    "ks_c_5601": "cp949",
    "euc-kr": "cp949",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "x-sjis": "cp932",
    "big5": "big5hkscs",
    "windows-31j": "cp932",
    "iso-8859-8-i": "iso-8859-8",
    "iso-8859-8-e": "iso-8859-8",
    "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman",
    "unicode-1-1-utf-7": "utf-7",
    "utf8mb4": "utf-8",
    "ansi_x3.4-1968": "ascii",
    "ansi_x3.110-1983": "cp1252",
}
_SECOND = {"iso-2022-jp": ("iso2022_jp_ext", "iso2022_jp_2004", "cp932")}
# Python knows these as codecs of text, but they are none of a mail, and some are slow.
_NO_CHARSETS = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"}
)
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def decoded(data: bytes, charset: str | None) -> str:
    """The text of these bytes. Whatever cannot be read becomes �."""
    return decode(data, charset)[0]


def decode(data: bytes, charset: str | None) -> tuple[str, bool]:
    """The text, and whether it could be read without a loss."""
    named = (charset or "").strip("\"' ").lower().replace(" ", "")
    if _MEANT.get(named, named) == "cp1252" and (text := _strictly(data, "utf-8")) is not None:
        return text, True  # UTF-8 under its old name: Latin letters never fall together like that
    for name in (_MEANT.get(named, named), *_SECOND.get(named, ())):
        if (
            name
            and name not in {"ascii", "us-ascii"}
            and (text := _strictly(data, name)) is not None
        ):
            return text, True
    if (text := _strictly(data, "ascii")) is not None and "\x1b$" not in text:
        return text, True
    if (text := _strictly(data, "utf-8")) is not None and "\x1b$" not in text:
        return text, True
    if known := codec_name(_MEANT.get(named, named)):
        # A few bad bytes in what is otherwise as declared.
        text = data.decode(known, "replace")
        if known not in {"ascii", "us-ascii"} and text.count("�") <= 1 + len(text) // 100:
            return text, False
    text = data.decode("utf-8", "replace")
    if text.count("�") <= len(text) // 200:
        return text, False
    if sum(byte > 127 for byte in data[:LOOKED_AT]) * 4 < len(data[:LOOKED_AT]):
        # Mostly Latin letters: too little to tell its relatives apart.
        return data.decode("cp1252", "replace"), True
    guess = chardet.detect(data[:LOOKED_AT])["encoding"]
    if guess and (text := _strictly(data, _MEANT.get(guess.lower(), guess))) is not None:
        return text, True
    return data.decode("cp1252", "replace"), False


def codec_name(charset: str) -> str | None:
    """Python's name for a charset of mail, or None."""
    try:
        name = codecs.lookup(charset).name
        "".encode(charset)  # refuses what turns bytes into bytes
    except (LookupError, ValueError, UnicodeError, TypeError):
        return None
    return None if name.replace("-", "_") in _NO_CHARSETS else name


def _strictly(data: bytes, charset: str) -> str | None:
    if (name := codec_name(charset)) is None:
        return None
    try:
        text = data.decode(name)
    except (UnicodeError, ValueError):
        return None
    # A shift charset without its shifts, or UTF-16 read as something else.
    return text if name == "ascii" or len(text) < 64 or not _mostly_control(text) else None


def _mostly_control(text: str) -> bool:
    return len(_NO_TEXT.findall(text[:4096])) > 64


def plain(text: str) -> str:
    """Text as Postgres and people can take it: one kind of line end, no NUL, no half letters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\x00", "")
    text = _NO_TEXT.sub("", text)
    return text.encode("utf-8", "replace").decode("utf-8")
