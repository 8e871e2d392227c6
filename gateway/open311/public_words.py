"""
Words and places as everybody may read them: what could name a person, or their door, is taken out.
Pure.

No rule finds every name that somebody writes about a neighbour. A city that wants to be sure shows
no words (`public.toml`), and addresses that are not plainly a street's are never shown.
"""

import re
from collections.abc import Collection
from functools import lru_cache

_GONE = "[…]"

_EMAIL = re.compile(
    r"(?<![\w.+'-])[\w.+'-]+\s?(?:@|\(at\)|\[at\]|＠)\s?[\w-]+(?:\s?(?:\.|\(dot\))\s?[\w-]+)*"
)
_LINK = re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE)
_HANDLE = re.compile(r"(?<![\w/])@\w{2,}")
# Telephone and account numbers, however they are grouped: five digits or more.
_DIGIT = re.compile(r"\d")
_DIGITS = re.compile(r"\+?\(?\d(?:[\s().·/-]{0,2}\d){4,}")
_PLATE = re.compile(
    r"\b(?P<what>(?:licen[cs]e\s+)?plates?|placas?|vin)"
    r"(?P<between>[\s:#]*(?:(?:number|numbers|no\.?|is|are|número|numero|es|son)[\s:#]+)*)"
    r"(?=[A-Z0-9]{0,4}[\s-]?[A-Z0-9]{0,5}\d)[A-Z0-9]{1,4}[\s-]?[A-Z0-9]{1,5}\b",
    re.IGNORECASE,
)
_UNIT = re.compile(
    r"(?:\b(?:apt|apartment|unit|suite|ste|lot|room|rm|depto|apto|departamento)\b\.?\s*#?\s*"
    r"(?=\w*\d|\w\b)\w{1,5}|#\s?\d\w{0,4})",
    re.IGNORECASE,
)
_TITLED = re.compile(
    r"\b(?P<title>Mrs|Mr|Ms|Miss|Mx|Dr|Señora|Señor|Sra|Sr|Don|Doña)\.?"
    r"(?:\s+(?:[A-ZÁÉÍÓÚÑ][\w'’-]+)){1,3}"
)
_NAMED = re.compile(
    r"(?P<front>\b(?:[Mm]y name is|[Mm]y name's|[Nn]ame:|[Ii] am called|[Tt]his is|[Mm]e llamo"
    r"|[Mm]i nombre es|[Nn]ombre:)\s+)(?:[A-ZÁÉÍÓÚÑ][\w'’-]+)(?:\s+[A-ZÁÉÍÓÚÑ][\w'’-]+){0,3}"
)

_STREET_TYPES = (
    "street|st|avenue|ave|av|road|rd|drive|dr|lane|ln|court|ct|circle|cir|boulevard|blvd|place|pl"
    "|terrace|ter|trail|trl|parkway|pkwy|highway|hwy|way|square|sq|alley|aly|loop|pike|plaza|plz"
    "|row|run|path|crossing|xing|cove|cv|ridge|rdg|point|pt|view|vw|heights|hts|expressway|expy"
)
_SIDE = r"(?:north|south|east|west|northeast|northwest|southeast|southwest|[ns][ew]?|[ew])\.?"
_STREET = (
    rf"(?:{_SIDE}\s+)?(?:\d{{1,3}}(?:st|nd|rd|th)|(?!(?:the|at|my|our|his|her|in|on|of|and)\b)"
    rf"[^\W\d_][\w'’.-]*)(?:\s+(?!(?:at|in|on|and|near|by|is|has)\b)[^\W_][\w'’.-]*){{0,3}}?"
    rf"\s+(?:{_STREET_TYPES})\b\.?(?:\s+{_SIDE}(?=\s|,|$))?"
)
_HOUSE = re.compile(
    rf"(?<![\w-])(?P<number>\d{{1,6}})(?:-\d{{1,6}}|[A-Za-z]|\s+1/2)?\s+(?P<street>{_STREET})",
    re.IGNORECASE,
)
_TOWN = (
    r"(?:\s*,?\s+(?P<town>[^\W\d_](?:[^\W\d_]|[ .'’-]){1,40}?))??"
    r"(?:\s*,?\s+(?P<state>[A-Z]{2}|Missouri|Mo\.?))?(?:\s*,?\s+(?P<zip>\d{5})(?:-\d{4})?)?"
    r"(?:\s*,?\s+(?:USA|United States))?"
)
_UNIT_PART = r"(?:\s*,?\s+(?:apt|apartment|unit|suite|ste|lot|rm|#)\.?\s*#?\s*\w{1,6})?"
_AT_HOUSE = re.compile(
    rf"(?P<number>\d{{1,6}})(?:-\d{{1,6}}|[A-Za-z]|\s+1/2)?\s+(?P<street>{_STREET}){_UNIT_PART}{_TOWN}",
    re.IGNORECASE,
)
_ONE = (
    rf"(?:{_STREET}|(?:{_SIDE}\s+)?\d{{1,3}}(?:st|nd|rd|th)"
    r"|(?:[IUS]{1,2}|MO|Hwy|Highway|Route|Rt)[-\s]\d{1,3})"
)
_AT_CORNER = re.compile(
    rf"(?:(?:the\s+)?corner\s+of\s+)?(?P<one>{_ONE})\s*(?:&|/|@|\band\b|\by\b|\bat\b)\s*"
    rf"(?P<other>{_ONE}){_TOWN}",
    re.IGNORECASE,
)
_STREET_ALONE = re.compile(rf"(?P<street>{_STREET}){_TOWN}", re.IGNORECASE)
_ZIP = re.compile(r"\b(\d{5})(?:-\d{4})?\s*(?:,?\s*USA)?$")
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
# Short words that are part of names, and of everything else.
_COMMON = frozenset({"de", "la", "el", "los", "las", "del", "van", "von", "da", "di", "jr", "sr"})


@lru_cache(maxsize=5_000)
def public_words(text: str, names: tuple[str, ...] = ()) -> str:
    """The text without addresses, numbers, links and the given names."""
    plain = text.lower()

    def has(*parts: str) -> bool:
        return any(part in plain for part in parts)

    told = text
    # Most reports have none of these, and looking for a letter is quicker than for a pattern.
    if has("@", "(at)", "[at]", "＠"):
        told = _HANDLE.sub(_GONE, _EMAIL.sub(_GONE, told))
    if has("http", "www."):
        told = _LINK.sub(_GONE, told)
    if _DIGIT.search(told):
        if has("plate", "placa", "vin"):
            told = _PLATE.sub(lambda found: f"{found['what']} {_GONE}", told)
        told = _HOUSE.sub(lambda found: f"{_block(found['number'])} {found['street']}", told)
        told = _DIGITS.sub(_GONE, told)
    if has("apt", "apartment", "unit", "suite", "ste", "lot", "room", "rm", "depto", "#", "apto"):
        told = _UNIT.sub(_GONE, told)
    if has("name", "called", "this is", "llamo", "nombre"):
        told = _NAMED.sub(lambda found: f"{found['front']}{_GONE}", told)
    if has("mr", "ms", "miss", "mx", "dr", "señor", "sr", "do"):
        told = _TITLED.sub(lambda found: f"{found['title']}. {_GONE}", told)
    return _without(told, names)


def _without(text: str, names: Collection[str]) -> str:
    """The text without any word of these names."""
    words = {
        word.casefold()
        for name in names
        for word in _WORD.findall(name)
        if len(word) > 1 and word.casefold() not in _COMMON
    }
    if not words:
        return text

    def kept(found: re.Match[str]) -> str:
        word = found[0].casefold()
        return _GONE if word in words or re.sub(r"['’]s?$", "", word) in words else found[0]

    return _WORD.sub(kept, text)


@lru_cache(maxsize=20_000)
def public_address(
    address: str | None, *, exact: bool, landmarks: frozenset[str], towns: frozenset[str]
) -> str | None:
    """
    The address, if it is plainly one: a house in a street, a corner, a street, or one of the
    city's landmarks. Without `exact`, a house is told by its hundred. Of what stands behind the
    street, only a town that we know, state and ZIP code are told. What else somebody wrote into
    the field (a name, a way to find them) is None. `landmarks` and `towns` are folded.
    """
    typed = " ".join((address or "").split())
    if not typed or len(typed) > 200:
        return None
    if typed.casefold() in landmarks:
        return typed
    if found := _AT_HOUSE.fullmatch(typed):
        number = found["number"] if exact else _block(found["number"])
        return _put(f"{number} {found['street']}", found, towns)
    if found := _AT_CORNER.fullmatch(typed):
        return _put(f"{found['one']} & {found['other']}", found, towns)
    if found := _STREET_ALONE.fullmatch(typed):
        return _put(found["street"], found, towns)
    return None


def zip_code(address: str | None) -> str | None:
    """The ZIP code at the end of an address."""
    found = _ZIP.search((address or "").strip())
    return found[1] if found else None


def _put(place: str, found: re.Match[str], towns: frozenset[str]) -> str:
    town = found["town"] if (found["town"] or "").casefold() in towns else None
    ends = " ".join(part for part in (found["state"], found["zip"]) if part)
    return ", ".join(part for part in (place, town, ends) if part)


def _block(number: str) -> str:
    hundred = int(number) // 100 * 100
    return f"{hundred} block of" if hundred else "first block of"
