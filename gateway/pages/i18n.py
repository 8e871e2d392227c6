"""
Every page in the reader's language: English in the source, translations from our .po files.

A text in a template or in code is written as `_("…")` in English. The language belongs to the
request: `?lang=` (which sets a cookie), then the cookie, then what the browser asks for.
"""

import contextvars
import gettext as std_gettext
import io
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from aiohttp import web
from aiohttp.typedefs import Handler
from babel.core import negotiate_locale
from babel.dates import format_date, format_datetime, format_timedelta
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

LANGUAGES = {"en": "English", "es": "Español"}
"""The languages we speak, each named in itself."""
DEFAULT = "en"
COOKIE = "lang"
LOCALE_FOLDER = Path(__file__).resolve().parent.parent / "locale"

_language: contextvars.ContextVar[str] = contextvars.ContextVar("language", default=DEFAULT)


def gettext(text: str) -> str:
    """`text` in the language of the request that is being answered."""
    return translations(_language.get()).gettext(text)


def ngettext(one: str, many: str, count: int) -> str:
    """`one` or `many`, as the language counts."""
    return translations(_language.get()).ngettext(one, many, count)


def noted(text: str) -> str:
    """Marks a text that is translated later, where it is shown: `N_("…")`."""
    return text


def current_language() -> str:
    """The language of the request that is being answered."""
    return _language.get()


def use_language(language: str) -> None:
    """Make `language` the one of what runs from here on; unknown ones become English."""
    _language.set(language if language in LANGUAGES else DEFAULT)


@cache
def translations(language: str) -> std_gettext.NullTranslations:
    """What our .po files of a language say, read once."""
    folder = LOCALE_FOLDER / language / "LC_MESSAGES"
    paths = sorted(folder.glob("*.po")) if folder.is_dir() else []
    if not paths:
        return std_gettext.NullTranslations()
    whole = Catalog(locale=language)
    for path in paths:
        for message in read_catalog(path, language):
            if message.id and not message.fuzzy:
                whole.add(message.id, message.string, context=message.context)
    compiled = io.BytesIO()
    write_mo(compiled, whole)
    compiled.seek(0)
    return std_gettext.GNUTranslations(compiled)


def read_catalog(path: Path, language: str) -> Catalog:
    """One .po file; a file that cannot be read stops the start."""
    with path.open("rb") as source:
        return read_po(source, locale=language, abort_invalid=True)


def wanted_language(request: web.Request) -> str:
    """The language that this request asks for."""
    for asked in (request.query.get("lang"), request.cookies.get(COOKIE)):
        if asked in LANGUAGES:
            return asked
    accepted = []
    for part in request.headers.get("Accept-Language", "")[:200].split(","):
        name, _, quality = part.strip().partition(";q=")
        try:
            accepted.append((-float(quality or 1), name.strip().replace("-", "_")))
        except ValueError:
            continue
    accepted.sort(key=lambda one: one[0])
    return negotiate_locale([name for _, name in accepted], list(LANGUAGES)) or DEFAULT


@web.middleware
async def speak_the_language(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers in the language the request asks for, and remembers an explicit choice."""
    language = wanted_language(request)
    use_language(language)
    response = await handler(request)
    if request.query.get("lang") in LANGUAGES and not response.prepared:
        response.set_cookie(
            COOKIE, language, max_age=365 * 24 * 3600, samesite="Lax", httponly=True
        )
    return response


def date_words(moment: datetime, zone: str) -> str:
    """A day as a resident reads it, in the city's own time."""
    return format_date(moment.astimezone(ZoneInfo(zone)), "long", locale=_language.get())


def time_words(moment: datetime, zone: str) -> str:
    """A day and an hour as a resident reads them, in the city's own time."""
    local = moment.astimezone(ZoneInfo(zone))
    return (
        f"{format_date(local, 'long', locale=_language.get())}, "
        f"{format_datetime(local, 'h:mm a', locale=_language.get())}"
    )


def ago_words(moment: datetime) -> str:
    """How long ago, in one unit: `3 hours ago`."""
    return format_timedelta(
        moment - datetime.now(UTC),
        granularity="minute",
        threshold=1.2,
        add_direction=True,
        locale=_language.get(),
    )


def phone_words(number: str) -> str:
    """A number as people here write it: `(816) 555-0123`; others as they stand."""
    here = re.fullmatch(r"(?:\+?1)?(\d{3})(\d{3})(\d{4})", re.sub(r"[\s().-]", "", number))
    return f"({here[1]}) {here[2]}-{here[3]}" if here else number
