"""Every text that people read exists in every language we speak."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file

from gateway.pages import i18n

ROOT = Path(i18n.__file__).resolve().parents[2]
KEYWORDS = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "noted": None,
    "N_": None,
}
OTHERS = [language for language in i18n.LANGUAGES if language != i18n.DEFAULT]


def told() -> dict[str | tuple[str, ...], str]:
    """Every text in our templates and code, with where it stands."""
    found: dict[str | tuple[str, ...], str] = {}
    for room in ("gateway", "channels"):
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix not in {".html", ".py"} or "static" in path.parts:
                continue
            method = "python" if path.suffix == ".py" else "jinja2.ext:babel_extract"
            for line, text, _comments, _context in extract_from_file(
                method, path, keywords=KEYWORDS, options={"trimmed": "false"}
            ):
                if text:
                    found.setdefault(text, f"{path.relative_to(ROOT)}:{line}")
    return found


def catalog(language: str) -> Catalog:
    whole = Catalog(locale=language)
    for path in sorted((i18n.LOCALE_FOLDER / language / "LC_MESSAGES").glob("*.po")):
        for message in i18n.read_catalog(path, language):
            if message.id:
                assert not message.fuzzy, f"{path.name}: {message.id!r} is fuzzy"
                whole.add(message.id, message.string)
    return whole


def holes(text: str) -> list[str]:
    return sorted(re.findall(r"%\(\w+\)s|%s|%d", text))


def test_texts_are_found_at_all() -> None:
    assert len(told()) > 100


@pytest.mark.parametrize("language", OTHERS)
def test_every_text_has_a_translation(language: str) -> None:
    known = catalog(language)
    missing = []
    for text, where in told().items():
        message = known.get(text)
        strings = [] if message is None else message.string
        if not strings or not all([strings] if isinstance(strings, str) else strings):
            missing.append((text, where))
    assert not missing, f"add to a .po file of {language!r}:\n\n" + "\n".join(
        entry(text, where) for text, where in missing
    )


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_holes_of_its_text(language: str) -> None:
    for message in catalog(language):
        if not message.id:
            continue
        ours = message.id if isinstance(message.id, tuple) else (message.id,)
        theirs = message.string if isinstance(message.string, tuple) else (message.string,)
        for string in theirs:
            assert holes(string) == holes(ours[-1]), f"{ours[-1]!r}: {string!r}"


def test_a_page_speaks_the_language_that_was_chosen() -> None:
    i18n.use_language("es")
    assert i18n.gettext("Report a problem") == "Reportar un problema"
    i18n.use_language("xx")
    assert i18n.gettext("Report a problem") == "Report a problem"


def entry(text: str | tuple[str, ...], where: str) -> str:
    """What a .po file needs, ready to be filled in."""
    if isinstance(text, tuple):
        one, many = (quoted(part) for part in text[:2])
        return f'#: {where}\nmsgid {one}\nmsgid_plural {many}\nmsgstr[0] ""\nmsgstr[1] ""\n'
    return f'#: {where}\nmsgid {quoted(text)}\nmsgstr ""\n'


def quoted(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{plain}"'
