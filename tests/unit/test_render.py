"""The words of the notices: every one in every language, full and bare, and safe to show."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from uuid import uuid4

import pytest

from bus.contracts import (
    CaseAlarmed,
    CaseAssigned,
    CaseChoice,
    CaseClosed,
    CaseFact,
    CaseFollowed,
    CaseIncomplete,
    CaseLocated,
    CaseNoted,
    CaseOpened,
    CaseReopened,
    CaseSummary,
    ChoiceAsked,
    Contact,
    FileRef,
    NoticeQueued,
    Person,
)
from notifier.city_words import CityWords, Phone
from notifier.policy import Notice
from notifier.render import (
    LONGEST_QUOTE,
    MEDIA,
    BadTemplate,
    Links,
    Renderer,
    attachable,
    letters_on,
    one_line,
)
from notifier.sms_text import length_of, to_send

CITY = CityWords(
    name="Independence",
    state="Missouri",
    colour="#1f4173",
    website="https://city.example.org",
    phones=(Phone("(816) 555-0100", {"en": "City hall", "es": "Ayuntamiento"}),),
    emergency_text={"en": "If somebody is hurt, call 911.", "es": "Si hay heridos, llame al 911."},
    type_labels={"en": {"Pothole": "Pothole in the street"}, "es": {"Pothole": "Bache"}},
    department_labels={"en": {"PW-STREETS": "Streets"}, "es": {"PW-STREETS": "Calles"}},
)
LINKS = Links(
    "https://report.example.org",
    "https://maps.example.org/?lat={lat}&lon={lon}",
    "https://maps.example.org/?q={query}",
)
NOON = datetime(2026, 7, 4, 17, 30, tzinfo=UTC)  # 12:30 in Independence
PHOTO = FileRef(sha256="a" * 64, media_type="image/jpeg", name="p.jpg", size=1_000)
BARE = CaseSummary(
    case_id=uuid4(), reference="7KQ-2MX-94", channel="web", opened_at=NOON, text="It smells."
)
FULL = BARE.model_copy(
    update={
        "text": "A deep pothole.\nTwo cars are broken.",
        "problem_type": "Pothole",
        "department": "PW-STREETS",
        "district": "District 2",
        "address": "111 E Maple Ave",
        "lat": 39.0911,
        "lon": -94.4155,
        "emergency": True,
        "reporter": Contact(name="Maria", email="maria@example.org", phone="+18165550123"),
        "assignee": Person(id="sam", name="Sam Hill", email="sam@city.example.org"),
        "attachments": (PHOTO,),
    }
)
CONTRACTS: dict[str, tuple[type[CaseFact], dict[str, object]]] = {
    "receipt": (CaseOpened, {}),
    "assignment": (CaseAssigned, {"assigned_by": "lee"}),
    "danger": (CaseAlarmed, {}),
    "danger_staff": (CaseAlarmed, {}),
    "update": (CaseNoted, {"text": "We come on Monday.", "public": True, "author": "Sam Hill"}),
    "closure_resident": (
        CaseClosed,
        {"outcome": "fixed", "words": "We filled it.", "closed_by": "sam"},
    ),
    "closure_staff": (
        CaseClosed,
        {"outcome": "fixed", "words": "We filled it.", "closed_by": "sam"},
    ),
    "followed": (
        CaseFollowed,
        {"complaint_id": uuid4(), "text": "It is deeper now.", "verified": False},
    ),
    "place_noted": (CaseLocated, {}),
    "question_place": (CaseIncomplete, {"missing": "place"}),
    "reopened": (CaseReopened, {"reason": "It is back.", "reopened_by": "lee"}),
}
RESIDENT = {"receipt", "danger", "update", "closure_resident", "question_place"}
# What several people hear of one thing is another file's, test_shared_notices.py.
SHARED = {
    "apart",
    "follow_receipt",
    "follower_closure",
    "follower_update",
    "incident_assignment",
    "joined",
}
OURS = {notice: media for notice, media in MEDIA.items() if notice not in SHARED}
MAILS = [notice for notice, media in OURS.items() if "email" in media]
TEXTS = [notice for notice, media in OURS.items() if "sms" in media]
PHONE = "+18165550142"


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(CITY, LINKS)


@pytest.fixture(scope="module")
def reading() -> Renderer:
    """One of a city that reads answers."""
    return Renderer(CITY, LINKS, replies_read=True)


class Page(HTMLParser):
    """What a mail program would show of a page, and whether its tags are closed."""

    VOID = frozenset({"meta", "br", "img", "hr"})
    BLOCKS = frozenset({"td", "p", "h2", "li", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.links: list[str] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.links += [value for name, value in attrs if name == "href" and value]
        if tag in self.BLOCKS:
            self.words += "\n"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words += data

    @property
    def hidden(self) -> bool:
        """The preview and the headline, which say nothing that the mail does not say."""
        return bool({"div", "title", "h1"} & set(self.open))


def write(
    renderer: Renderer,
    notice: str,
    case: CaseSummary,
    language: str = "en",
    name: str | None = "Maria Lopez",
    **changes: object,
) -> NoticeQueued:
    contract, more = CONTRACTS[notice]
    fact = contract.model_validate(
        {"message_id": uuid4(), "occurred_at": NOON, "case": case} | more | changes
    )
    return renderer.write(
        fact, Notice(notice, "email", "maria@example.org", name, language), now=NOON
    )


def test_every_notice_is_tested_here() -> None:
    assert set(OURS) == {*CONTRACTS, "choice"}


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("notice", MAILS)
@pytest.mark.parametrize("case", [BARE, FULL], ids=["bare", "full"])
def test_every_notice_can_be_written(
    renderer: Renderer, notice: str, language: str, case: CaseSummary
) -> None:
    queued = write(renderer, notice, case, language, name=None if case is BARE else "Maria Lopez")
    assert queued.html is not None
    page = Page(queued.html)
    assert page.open == []
    assert f'<html lang="{language}">' in queued.html
    assert queued.subject_line.startswith("[7KQ-2MX-94] ")
    assert len(queued.subject_line.splitlines()) == 1
    for words in (queued.text, page.words):
        assert "7KQ-2MX-94" in words
        assert "Independence" in words
        assert "None" not in words
        assert "{" not in words
        assert "[[" not in words
    link = LINKS.track(case.reference) if notice in RESIDENT else LINKS.case(case.case_id)
    assert link in queued.text
    assert link in page.links
    assert "\n\n\n\n" not in queued.text


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("notice", MAILS)
def test_the_plain_text_says_what_the_html_says(
    renderer: Renderer, notice: str, language: str
) -> None:
    queued = write(renderer, notice, FULL, language)
    page = Page(queued.html or "")
    plain = _bare(queued.text)
    sentences = [_bare(one) for one in re.split(r"[.:;!?\n]", page.words) if _bare(one)]
    assert len(sentences) > 8
    assert [one for one in sentences if one not in plain] == []


def _bare(words: str) -> str:
    return re.sub(r"\W+", " ", words).strip().casefold()


def test_the_assignment_says_what_where_and_whom_to_call(renderer: Renderer) -> None:
    queued = write(renderer, "assignment", FULL, name="Sam Hill")
    page = Page(queued.html or "")
    assert queued.subject_line == ("[7KQ-2MX-94] EMERGENCY: Pothole in the street, 111 E Maple Ave")
    assert "https://maps.example.org/?lat=39.091100&lon=-94.415500" in page.links
    assert "tel:+18165550123" in page.links
    assert "mailto:maria@example.org" in page.links
    for words in (
        "Hello Sam Hill",
        "Pothole in the street",
        "111 E Maple Ave",
        "District 2",
        "Maria",
        "(816) 555-0123",
        "maria@example.org",
        "Saturday, July 4, 2026 at 12:30\u00a0PM",
        "on the website",
        "Streets",
        "1, attached to this email",
        "A deep pothole.",
        "This may be an emergency",
    ):
        assert words in page.words
        assert words in queued.text
    assert queued.attachments == (PHOTO,)


def test_an_address_without_a_point_leads_to_a_search(renderer: Renderer) -> None:
    case = FULL.model_copy(update={"lat": None, "lon": None})
    queued = write(renderer, "assignment", case)
    link = "https://maps.example.org/?q=111%20E%20Maple%20Ave%2C%20Independence%2C%20Missouri"
    assert link in queued.text
    assert link in Page(queued.html or "").links


def test_a_resident_reads_spanish_with_the_citys_own_words(renderer: Renderer) -> None:
    queued = write(renderer, "closure_resident", FULL, "es")
    assert queued.subject_line == "[7KQ-2MX-94] Cerramos su reporte: Bache"
    for words in (
        "Hola, Maria Lopez:",
        "Ciudad de Independence",
        "Ayuntamiento",
        "sábado, 4 de julio de 2026",
        "El problema ya está resuelto.",
        "We filled it.",
        "Calles",
    ):
        assert words in queued.text
        assert words in Page(queued.html or "").words


def test_residents_never_read_who_works_for_the_city_nor_get_photos_back(
    renderer: Renderer,
) -> None:
    for notice in RESIDENT:
        queued = write(renderer, notice, FULL)
        everything = f"{queued.subject_line}{queued.text}{queued.html}"
        assert "Sam Hill" not in everything
        assert "sam@city.example.org" not in everything
        assert queued.attachments == ()


def test_what_people_write_is_shown_and_never_obeyed(renderer: Renderer) -> None:
    evil = '<script>alert(1)</script>"><img src=x> {{ city }} & {% if %}'
    case = FULL.model_copy(
        update={
            "text": evil + "\n.\nBcc: x@example.org\x00\u202e",
            "address": evil,
            "problem_type": evil,
            "department": evil,
            "district": evil,
            "reporter": Contact(name=evil, email='a"onclick=x@example.org', phone=evil),
        }
    )
    for notice in MAILS:
        words: dict[str, object] = {
            key: evil
            for key in CONTRACTS[notice][1]
            if key in {"text", "words", "reason", "assigned_by", "reopened_by", "closed_by"}
        }
        queued = write(renderer, notice, case, "en", evil, **words)
        page = Page(queued.html or "")
        assert not {"script", "img"} & page.seen
        assert not any("onclick" in link and '"' in link for link in page.links)
        assert evil in page.words
        assert "\x00" not in queued.text + (queued.html or "")
        assert "\u202e" not in queued.text + (queued.html or "")
        if notice != "danger":  # which repeats nothing, so that its first words stay the first
            assert "> Bcc: x@example.org" in queued.text


def test_a_subject_stays_on_one_line(renderer: Renderer) -> None:
    case = FULL.model_copy(
        update={"address": "1 Main St\r\nBcc: all@example.org\u2028x\x0by", "emergency": False}
    )
    for notice in MAILS:
        subject = write(renderer, notice, case).subject_line
        assert len(subject.splitlines()) == 1
        assert subject.isprintable()
    long = FULL.model_copy(update={"problem_type": "x" * 900})
    assert len(write(renderer, "assignment", long).subject_line) <= 160


def test_a_long_text_is_cut_and_the_mail_says_so(renderer: Renderer) -> None:
    long = FULL.model_copy(update={"text": "é" * (LONGEST_QUOTE + 1)})
    queued = write(renderer, "assignment", long)
    assert queued.text.count("é") == LONGEST_QUOTE
    assert "All of it is on the case page" in queued.text
    assert "All of it is on the case page" in (queued.html or "")
    whole = FULL.model_copy(update={"text": "é" * LONGEST_QUOTE})
    assert "All of it" not in write(renderer, "assignment", whole).text


def test_photos_that_do_not_fit_are_left_on_the_case_page() -> None:
    large = PHOTO.model_copy(update={"size": 900})
    assert attachable([PHOTO, large, large], 1_900) == (PHOTO, large)
    assert attachable([PHOTO], 999) == ()
    renderer = Renderer(CITY, LINKS, attach_up_to=1_500)
    case = FULL.model_copy(update={"attachments": (PHOTO, PHOTO)})
    queued = write(renderer, "assignment", case)
    assert queued.attachments == (PHOTO,)
    assert "1 of 2 are attached" in queued.text


def test_the_same_fact_gives_the_same_notice(renderer: Renderer) -> None:
    fact = CaseOpened(message_id=uuid4(), occurred_at=NOON, case=FULL)
    to = Notice("receipt", "email", "maria@example.org", "Maria", "en")
    assert renderer.write(fact, to, now=NOON) == renderer.write(fact, to, now=NOON)
    other = Notice("receipt", "email", "lee@example.org", "Lee", "en")
    assert (
        renderer.write(fact, to, now=NOON).message_id
        != renderer.write(fact, other, now=NOON).message_id
    )


def test_letters_on_the_citys_colour_can_be_read() -> None:
    assert letters_on("#1f4173") == "#ffffff"
    assert letters_on("#ffcc00") == "#000000"


def test_one_line_takes_what_a_header_cannot_hold() -> None:
    assert one_line(" a\r\n b\x00\u202ec\u2028d\t", 50) == "a b c d"
    assert one_line("abcdef", 4) == "abc…"


def test_a_city_brings_its_own_words(tmp_path: Path) -> None:
    folder = tmp_path / "receipt" / "en"
    folder.mkdir(parents=True)
    (folder / "subject.txt").write_text("[{{ reference }}] Howdy from [[ city_name ]]")
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "en.toml").write_text('[outcome]\nfixed = "All done."\n')
    renderer = Renderer(CITY, LINKS, own_templates=tmp_path)
    assert write(renderer, "receipt", FULL).subject_line == (
        "[7KQ-2MX-94] Howdy from City of Independence"
    )
    assert "All done." in write(renderer, "closure_resident", FULL).text
    assert "Cerramos" in write(renderer, "closure_resident", FULL, "es").subject_line


@pytest.mark.parametrize(
    "words", ["{{ nobody_knows_this }}", "{% if %}", "[[ city.nobody ]]", "{{ reference"]
)
def test_a_template_that_cannot_be_filled_stops_the_start(tmp_path: Path, words: str) -> None:
    folder = tmp_path / "receipt" / "en"
    folder.mkdir(parents=True)
    (folder / "subject.txt").write_text(words)
    with pytest.raises(BadTemplate, match="receipt/en"):
        Renderer(CITY, LINKS, own_templates=tmp_path)


def test_a_citys_name_cannot_smuggle_in_a_template() -> None:
    with pytest.raises(BadTemplate, match="braces"):
        Renderer(CityWords(name="{{ text_html }}", state="Missouri"), LINKS)


def write_text(
    renderer: Renderer,
    notice: str,
    case: CaseSummary,
    language: str = "en",
    choices: int = 3,
    **changes: object,
) -> str:
    fact: CaseFact | ChoiceAsked
    if notice == "choice":
        one = CaseChoice(case_id=uuid4(), reference=case.reference, words=case.text)
        fact = ChoiceAsked(
            message_id=uuid4(),
            occurred_at=NOON,
            complaint_id=uuid4(),
            reference="0KQ-2MX-90",
            reporter=Contact(phone=PHONE, texts=True),
            choices=(one,) * choices,
        )
    else:
        contract, more = CONTRACTS[notice]
        fact = contract.model_validate(
            {"message_id": uuid4(), "occurred_at": NOON, "case": case} | more | changes
        )
    queued = renderer.write(fact, Notice(notice, "sms", PHONE, None, language), now=NOON)
    assert (queued.medium, queued.recipient, queued.html, queued.subject_line) == (
        "sms",
        PHONE,
        None,
        "",
    )
    assert queued.attachments == ()
    return queued.text


LONG = "We went there and " + "looked at it again and again, " * 80
FILLINGS = {
    "nothing": "",
    "plain": LONG,
    "costly": "{[~€|]}" * 100,
    "accents": "Está más allá del número ocho, según él. " * 40,
    "emoji early": "😀 " + LONG,
    "emoji late": "Thank you! " + LONG[:150] + "😀" * 9,
    "another script": "路上有一个大坑，两辆车坏了。" * 40,
    "one word": "x" * 3_000,
    "lines": "a\n\r\nb\u2028c\x00\u202e\t" * 90,
}


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("notice", TEXTS)
@pytest.mark.parametrize("filling", FILLINGS)
def test_a_text_is_short_whatever_it_is_about(
    renderer: Renderer, notice: str, language: str, filling: str
) -> None:
    said = FILLINGS[filling]
    case = FULL.model_copy(
        update={"text": said, "address": said, "problem_type": said or None, "district": said}
    )
    words: dict[str, object] = {
        key: said for key in CONTRACTS.get(notice, (0, {}))[1] if key in {"text", "words"}
    }
    text = write_text(renderer, notice, case, language, choices=5, **words)
    assert length_of(text).segments <= (3 if notice == "choice" else 2)
    assert to_send(text, 3) == text
    assert "Independence" in text
    assert "7KQ-2MX-94" in text
    assert "  " not in text
    if notice in {"receipt", "update", "closure_resident"}:
        assert LINKS.track(case.reference) in text.split()
    if notice == "assignment":
        assert LINKS.case(case.case_id) in text.split()


def test_only_the_resident_is_answered_below_their_own_mail(renderer: Renderer) -> None:
    case = FULL.model_copy(update={"mail_id": "one@resident.example"})
    fact = CaseOpened(message_id=uuid4(), occurred_at=NOON, case=case)
    told = {
        to: renderer.write(fact, Notice("receipt", "email", to, None, "en"), now=NOON).answers
        for to in ("Maria@example.org", "sam@city.example.org")
    }
    assert told == {"Maria@example.org": "one@resident.example", "sam@city.example.org": None}


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("notice", TEXTS)
def test_the_words_of_our_texts_cost_one_unit_a_letter(
    renderer: Renderer, notice: str, language: str
) -> None:
    for outcome in ("fixed", "no_violation", "referred", "duplicate", "cannot"):
        changes: dict[str, object] = {"outcome": outcome} if notice == "closure_resident" else {}
        text = write_text(renderer, notice, BARE, language, 3, **changes)
        assert length_of(text).encoding == "GSM-7"
        assert length_of(text).segments <= 2
        assert not re.search(r"\b(YES|CANCEL|END|QUIT|HELP|INFO|START|UNSTOP)\b", text)


def test_a_text_says_as_much_as_fits(renderer: Renderer) -> None:
    filled = write_text(renderer, "update", FULL, text=LONG)
    assert length_of(filled).units > 300
    assert "..." in filled
    # One emoji must not cost half of the room; who writes in other letters keeps them.
    assert "😀" not in write_text(renderer, "update", FULL, text="😀 " + LONG)
    assert length_of(write_text(renderer, "update", FULL, text="😀 " + LONG)).units > 300
    assert "😀" in write_text(renderer, "update", FULL, text="We come today 😀")
    assert "路上" in write_text(renderer, "update", FULL, text="路上有一个大坑。" * 40)
    # Accents are kept where there is room for them.
    assert "mañana o después" in write_text(renderer, "update", FULL, text="mañana o después")
    assert "mas alla" in write_text(renderer, "update", FULL, text="más allá, " * 30)


def test_what_a_text_asks_can_be_answered_with_a_number(renderer: Renderer) -> None:
    case = FULL.model_copy(update={"text": "Big pothole on 23rd"})
    assert write_text(renderer, "choice", case, choices=2) == (
        "Independence: Is this about\n"
        "1) 7KQ-2MX-94 Big pothole on 23rd\n"
        "2) 7KQ-2MX-94 Big pothole on 23rd\n"
        "or 3) something new?\n"
        "Reply 1, 2 or 3."
    )
    assert write_text(renderer, "choice", case, "es", choices=1) == (
        "Independence: ¿Es sobre\n"
        "1) 7KQ-2MX-94 Big pothole on 23rd\n"
        "o 2) algo nuevo?\n"
        "Responda 1 o 2."
    )
    # Five of them are still told apart.
    long = write_text(renderer, "choice", FULL.model_copy(update={"text": LONG}), choices=5)
    assert long.count(") 7KQ-2MX-94 We went there and looked") == 5


def test_the_question_for_the_place_and_the_way_out(renderer: Renderer) -> None:
    assert "Where is it? Reply with the address or the nearest corner." in write_text(
        renderer, "question_place", BARE
    )
    assert write_text(renderer, "place_noted", FULL) == (
        "Independence, report 7KQ-2MX-94: Thank you. We noted the place: 111 E Maple Ave. "
        "It is now with Streets."
    )
    nowhere = FULL.model_copy(update={"department": None})
    assert write_text(renderer, "place_noted", nowhere, "es") == (
        "Independence, reporte 7KQ-2MX-94: Gracias. Anotamos el lugar: 111 E Maple Ave. "
        "Nuestro personal lo va a revisar."
    )
    assert "Text STOP to end." in write_text(renderer, "receipt", BARE)
    assert "STOP para terminar." in write_text(renderer, "receipt", BARE, "es")


def test_a_text_that_can_never_fit_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadTemplate, match="longer than 2 segments"):
        Renderer(CITY, replace(LINKS, base_url="https://" + "x" * 300))
    folder = tmp_path / "update" / "es"
    folder.mkdir(parents=True)
    (folder / "sms.txt").write_text("路" * 140 + " {{ reference }}")
    with pytest.raises(BadTemplate, match="update/es"):
        Renderer(CITY, LINKS, own_templates=tmp_path)


CUT_HERE = {
    "en": "## Please write above this line ##",
    "es": "## Por favor, escriba arriba de esta línea ##",
}


@pytest.mark.parametrize("language", ["en", "es"])
@pytest.mark.parametrize("notice", MAILS)
def test_a_resident_is_told_where_to_write_an_answer(
    renderer: Renderer, reading: Renderer, notice: str, language: str
) -> None:
    asked = write(reading, notice, FULL, language)
    assert (CUT_HERE[language] in (asked.html or "")) == (notice in RESIDENT)
    assert asked.text.startswith(CUT_HERE[language]) == (notice in RESIDENT)
    assert "## " not in write(renderer, notice, FULL, language).text


def test_the_receipt_of_an_email_asks_for_the_place_that_it_may_lack(
    renderer: Renderer, reading: Renderer
) -> None:
    mail = BARE.model_copy(update={"channel": "email"})
    asks = "just answer this one with the address"
    assert asks in write(reading, "receipt", mail).text
    assert asks in (write(reading, "receipt", mail).html or "")
    assert asks not in write(renderer, "receipt", mail).text
    assert asks not in write(reading, "receipt", BARE).text
    placed = mail.model_copy(update={"address": "111 E Maple Ave"})
    assert asks not in write(reading, "receipt", placed).text
    assert "responda a este con la dirección" in write(reading, "receipt", mail, "es").text


def test_what_was_added_says_whether_we_know_who_wrote_it(renderer: Renderer) -> None:
    known = write(renderer, "followed", FULL, verified=True, attachments=(PHOTO, PHOTO))
    assert "The resident added something" in known.text
    assert "> It is deeper now." in known.text
    assert "New photos or files: 2" in known.text
    assert "We do not know who wrote it" not in known.text
    unknown = write(renderer, "followed", FULL, verified=False)
    assert unknown.subject_line.startswith("[7KQ-2MX-94] Somebody wrote about your case")
    assert "We do not know who wrote it" in unknown.text
    same = write(renderer, "followed", FULL, verified=False, same=True)
    assert same.subject_line.startswith("[7KQ-2MX-94] Reported once more")
    assert "Somebody else reported the same problem" in same.text
    assert "We do not know who wrote it" not in same.text


def test_a_case_that_its_resident_opened_again_says_so(renderer: Renderer) -> None:
    assert "The resident wrote again" in write(renderer, "reopened", FULL, reopened_by="").text
    assert "lee opened case" in write(renderer, "reopened", FULL).text


def test_two_media_are_two_notices(renderer: Renderer) -> None:
    fact = CaseAssigned(message_id=uuid4(), occurred_at=NOON, case=FULL)
    mail = renderer.write(fact, Notice("assignment", "email", "s@x.org", None, "en"), now=NOON)
    text = renderer.write(fact, Notice("assignment", "sms", PHONE, None, "en"), now=NOON)
    assert mail.message_id != text.message_id


@pytest.mark.parametrize(
    ("language", "begins"), [("en", "CALL 911 NOW"), ("es", "LLAME AL 911 YA")]
)
@pytest.mark.parametrize("notice", ["receipt", "danger"])
def test_where_there_is_danger_the_first_words_of_a_text_say_whom_to_call(
    renderer: Renderer, notice: str, language: str, begins: str
) -> None:
    assert write_text(renderer, notice, FULL, language).startswith(begins)
    calm = FULL.model_copy(update={"emergency": False})
    assert not write_text(renderer, "receipt", calm, language).startswith(begins)


@pytest.mark.parametrize(("language", "says"), [("en", "Call 911"), ("es", "Llame al 911")])
def test_where_there_is_danger_the_receipt_says_so_before_anybody_opens_it(
    renderer: Renderer, language: str, says: str
) -> None:
    mail = write(renderer, "receipt", FULL, language)
    assert says in mail.subject_line
    assert mail.text.startswith("*** ")
    assert says not in write(renderer, "receipt", BARE, language).subject_line
