"""Places are read out of sentences: addresses, corners, names; and not what only looks like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.mentions import Kind, Mention
from router.place_reader import mentions_in
from router.place_words import Street, place_key, street_named
from router.vocabulary import Vocabulary

KNOWN = Vocabulary(
    [
        Street(core)
        for core in (
            "noland", "truman", "crysler", "sterling", "arlington", "main", "maple", "park",
            "lees summit", "rd mize", "hwy 24", "hwy 291", "i 70", "liberty", "blue springs",
        )
    ]
    + [Street("susquehanna", "", "rdg")],
    [["Truman Library"], ["Independence Square", "the Square"], ["City Hall"], ["McCoy Park"]],
    [["Kansas City", "KC"], ["Blue Springs"], ["Liberty"], ["Lee's Summit"]],
    "Independence",
)  # fmt: skip


def read(text: str) -> list[Mention]:
    return mentions_in(text, KNOWN)


def one(text: str) -> Mention:
    (mention,) = read(text)
    return mention


# ── addresses ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "words", "number", "street"),
    [
        ("111 E Maple Ave", "111 E Maple Ave", 111, ("maple", "e", "ave")),
        ("111 E. Maple Avenue.", "111 E. Maple Avenue", 111, ("maple", "e", "ave")),
        ("at 1420 North 14th Street,", "1420 North 14th Street", 1420, ("14th", "n", "st")),
        ("317 W US Highway 24", "317 W US Highway 24", 317, ("hwy 24", "w", "")),
        ("24810 Us Highway 24", "24810 Us Highway 24", 24810, ("hwy 24", "", "")),
        ("18300 E State Route 78", "18300 E State Route 78", 18300, ("hwy 78", "e", "")),
        ("21001 E M-78 Hwy", "21001 E M-78 Hwy", 21001, ("hwy 78", "e", "")),
        ("17300 E R D Mize Rd", "17300 E R D Mize Rd", 17300, ("rd mize", "e", "rd")),
        ("17300 E RD Mize Road", "17300 E RD Mize Road", 17300, ("rd mize", "e", "rd")),
        ("1510 Kings Hwy", "1510 Kings Hwy", 1510, ("kings", "", "hwy")),
        ("3880 Blue Ridge Blvd", "3880 Blue Ridge Blvd", 3880, ("blue ridge", "", "blvd")),
        ("17130 E 39th St S", "17130 E 39th St S", 17130, ("39th", "e", "st")),
        ("2600 S Lee's Summit Rd", "2600 S Lee's Summit Rd", 2600, ("lees summit", "s", "rd")),
        ("GRASS AT 1109 S ARLINGTON", "1109 S ARLINGTON", 1109, ("arlington", "s", "")),
        ("1109 arlington has trash", "1109 arlington", 1109, ("arlington", "", "")),
        ("1109 so arlington", "1109 so arlington", 1109, ("arlington", "s", "")),
        ("1109A S. Arlington", "1109A S. Arlington", 1109, ("arlington", "s", "")),
        ("1109 1/2 S Main St", "1109 1/2 S Main St", 1109, ("main", "s", "st")),
        ("1109 S\nArlington Ave", "1109 S Arlington Ave", 1109, ("arlington", "s", "ave")),
        ("House number 2417 on Arlington", "2417 on Arlington", 2417, ("arlington", "", "")),
        ("bache en 2437 S Hardy Ave", "2437 S Hardy Ave", 2437, ("hardy", "s", "ave")),
        ("en la calle Arlington 1109", "calle Arlington 1109", 1109, ("arlington", "", "")),
        ("at 812 twenty-third st", "812 twenty-third st", 812, ("23rd", "", "st")),
    ],
)
def test_an_address(text: str, words: str, number: int, street: tuple[str, str, str]) -> None:
    mention = one(text)

    assert (mention.kind, mention.words) == (Kind.ADDRESS, words)
    assert (mention.number, mention.streets) == (number, (Street(*street),))


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("1109 S Arlington Ave Apt 3B", "Apt 3B"),
        ("1109 S Arlington Ave, apt. 12", "apt. 12"),
        ("1109 S Arlington Ave #12", "# 12"),
        ("4505 S Noland Rd Suite B", "Suite B"),
        ("14308 E 40 Hwy lot 22", "lot 22"),
        ("3312 S Sterling apto 2", "apto 2"),
        ("1109 S Arlington Ave 3 dogs", ""),
    ],
)
def test_a_flat_belongs_to_the_address(text: str, unit: str) -> None:
    assert one(text).unit == unit


def test_town_state_and_zip_belong_to_it() -> None:
    mention = one("see 1109 S Arlington Ave, Independence, MO 64053-1234 please")

    assert mention.words == "1109 S Arlington Ave, Independence, MO 64053-1234"
    assert (mention.town, mention.state, mention.zip) == ("Independence", "mo", "64053")


@pytest.mark.parametrize(
    ("text", "words", "number", "upto"),
    [
        ("trash 1300 blk s hardy, 2 flats", "1300 blk s hardy", 1300, None),
        ("the 1200 block of W 23rd", "1200 block of W 23rd", 1200, None),
        ("12 hundred block of Sterling", "12 hundred block of Sterling", 1200, None),
        ("in the 100 of nw 20th street", "100 of nw 20th street", 100, None),
        ("E 31st Terr S, the 14000 block", "E 31st Terr S, the 14000 block", 14000, None),
        ("la cuadra 1200 de W Maple", "1200 de W Maple", 1200, None),
        ("1109-1115 S Arlington Ave", "1109-1115 S Arlington Ave", 1109, 1115),
        ("1109 to 1115 S Arlington Ave", "1109 to 1115 S Arlington Ave", 1109, 1115),
    ],
)
def test_a_block(text: str, words: str, number: int, upto: int | None) -> None:
    mention = one(text)

    assert (mention.kind, mention.words) == (Kind.BLOCK, words)
    assert (mention.number, mention.upto) == (number, upto)


# ── corners ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("corner of Noland and 23rd", "Noland and 23rd"),
        ("NE corner of Noland Rd & E 23rd St", "Noland Rd & E 23rd St"),
        ("23rd & Noland", "23rd & Noland"),
        ("Noland Rd / 23rd St", "Noland Rd / 23rd St"),
        ("noland/23rd", "noland/23rd"),
        ("HUGE POTHOLE AT NOLAND AND 23RD", "NOLAND AND 23RD"),
        ("light at 23rd at Noland", "23rd at Noland"),
        ("hole at 35th n noland fix it", "35th n noland"),
        ("twenty third and Sterling", "twenty third and Sterling"),
        ("E 39th St S & S Noland Rd", "E 39th St S & S Noland Rd"),
        ("corner 35th Noland", "35th Noland"),
        ("corner of Archer and Boone", "Archer and Boone"),
        ("at Archer & 23rd", "Archer & 23rd"),
        ("24 and Noland", "24 and Noland"),
        ("at 23rd and 291", "23rd and 291"),
        ("I-70 & Noland", "I-70 & Noland"),
        ("M-291 and Truman Road", "M-291 and Truman Road"),
        ("esquina de Noland y 23rd", "Noland y 23rd"),
        ("en la esquina de la 23 y Noland", "la 23 y Noland"),
        ("por la 35 y Noland", "la 35 y Noland"),
        ("Noland con 35th", "Noland con 35th"),
        ("la calle 39 y Noland", "calle 39 y Noland"),
        ("Noland Rd just south of 23rd", "Noland Rd just south of 23rd"),
        ("23rd St just past Crysler", "23rd St just past Crysler"),
        ("24 HWY NR STERLING", "24 HWY NR STERLING"),
        ("NW 7th Ave immediately west of NW 7th St", "NW 7th Ave immediately west of NW 7th St"),
    ],
)
def test_a_corner(text: str, words: str) -> None:
    mention = one(text)

    assert (mention.kind, mention.words) == (Kind.CORNER, words)
    assert len({*mention.streets}) == 2


@pytest.mark.parametrize(
    ("text", "words", "cores"),
    [
        ("Noland between 23rd and 24th", "Noland between 23rd and 24th", "noland 23rd 24th"),
        ("between 23rd & 24th on Noland", "between 23rd & 24th on Noland", "noland 23rd 24th"),
        ("from 23rd to 35th on Crysler", "from 23rd to 35th on Crysler", "crysler 23rd 35th"),
        ("on Crysler, right between 23rd and 35th", "Crysler between 23rd and 35th",
         "crysler 23rd 35th"),
        ("calle 23 entre Crysler y Noland", "calle 23 entre Crysler y Noland",
         "23rd crysler noland"),
    ],
)  # fmt: skip
def test_a_street_between_two_others(text: str, words: str, cores: str) -> None:
    mention = one(text)

    assert (mention.kind, mention.words) == (Kind.BLOCK, words)
    assert " ".join(street.core for street in mention.streets) == cores


# ── names ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("light out at Truman Library", "Truman Library"),
        ("swings at mccoy park broken", "mccoy park"),
        ("parking on the Square is awful", "the Square"),
        ("At City Hall the flag is torn", "City Hall"),
        ("graffiti at Truman Libary", "Truman Libary"),
        ("trash at mcoy park", "mcoy park"),
    ],
)
def test_a_place_that_is_known(text: str, words: str) -> None:
    mention = one(text)

    assert (mention.kind, mention.words) == (Kind.PLACE, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("behind Van Horn High School there is graffiti", "Van Horn High School"),
        ("benches broken in Archer Park", "Archer Park"),
        ("by the Truman Memorial Library", "Truman Memorial Library"),
        ("trash at boone park", "boone park"),
        ("St. Mark's church parking lot", "St. Mark's church"),
        ("near Blackburn Elementary", "Blackburn Elementary"),
    ],
)
def test_a_place_with_a_name_that_is_not_known(text: str, words: str) -> None:
    mention = one(text)

    assert (mention.kind, mention.words) == (Kind.NAMED, words)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("potholes on Noland", "Noland"),
        ("down Archer Lane", "Archer Lane"),
        ("along 39th", "39th"),
        ("slippery on 28 th terrace", "28 th terrace"),
        ("water running down Liberty St", "Liberty St"),
        ("pavement is sinking on Liberty", "Liberty"),
        ("down Susquehanna Ridge every day", "Susquehanna Ridge"),
        ("pothole on I-70", "I-70"),
        ("carretera 291 tiene un hoyo", "carretera 291"),
        ("alley between Maple and Main", "between Maple and Main"),
    ],
)
def test_a_street_alone(text: str, words: str) -> None:
    mention = one(text)

    assert (mention.kind, mention.words) == (Kind.STREET, words)


def test_a_town_alone_needs_in() -> None:
    assert [mention.kind for mention in read("there is trash in Blue Springs")] == [Kind.TOWN]
    assert read("he came over from Lee's Summit") == []


def test_home_is_marked() -> None:
    home, here = read("I live at 1109 S Arlington Ave, the hole is at 23rd & Noland")
    assert (home.home, here.home) == (True, False)
    assert one("Mi dirección es 1109 S Arlington").home
    assert one("my address is 1109 S Arlington").home


def test_what_is_only_near_is_marked() -> None:
    assert one("across from Truman Library").near
    assert not one("at Truman Library").near


# ── what only looks like a place ────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3 dogs loose for 2 weeks",
        "2 cars on the road",
        "called 3 times",
        "grass 18 inches tall",
        "the police and the fire department",
        "call me at 816-555-0134 or 816 555 0135",
        "$500 drive train damage",
        "trash on my street",
        "the gravel road is bad",
        "a four way stop on a 2 lane road",
        "there are 100 maple trees",
        "on the 23rd of May",
        "on March 23rd my trash was missed",
        "at 7:30 on the 23rd",
        "the 2nd street light is out",
        "the 2nd and 3rd time",
        "every 3rd Tuesday",
        "I called City Hall twice",
        "told City Hall about it",
        "2019 Ford F150 parked",
        "at 2004 Malibu Classic",
        "lights out at the park",
        "no one is at home",
        "stopped up all the way to the main",
        "the main road was plowed",
        "the square footage is wrong",
        "the Fort Osage School District",
        "24/7 noise",
        "between 7 and 8 in the morning",
        "between 70 and 85 dollars",
        "in the eastbound lane",
        "LARGE HOLE IN NB LANE",
        "report from 9/12/2024",
        "ticket 20241103",
        "I uploaded one to 311GNV",
        "at the child playground",
        "Jackson County assessor",
        "la calle está oscura",
        "hay 3 perros en la calle",
        "el 23 de mayo",
        "pot holes and more pot holes",
    ],
)
def test_no_place(text: str) -> None:
    assert read(text) == []


def test_only_so_much_is_read() -> None:
    assert read("x " * 2_500 + "1109 S Arlington Ave") == []


@given(st.text(max_size=300))
def test_any_text_is_read_without_harm(text: str) -> None:
    for mention in read(text):
        assert mention.words


# ── one form for all ways of writing ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "street"),
    [
        ("S Lee's Summit Rd", ("lees summit", "s", "rd")),
        ("E US Highway 24", ("hwy 24", "e", "")),
        ("24 Hwy", ("hwy 24", "", "")),
        ("MO-291", ("hwy 291", "", "")),
        ("Interstate 70", ("i 70", "", "")),
        ("North St", ("north", "", "st")),
        ("E North St", ("north", "e", "st")),
        ("Avenue E", ("avenue e", "", "")),
        ("W Park", ("park", "w", "")),
        ("E 23rd St S", ("23rd", "e", "st")),
        ("Twenty-third Street", ("23rd", "", "st")),
    ],
)
def test_a_street_of_a_list(name: str, street: tuple[str, str, str]) -> None:
    assert street_named(name) == Street(*street)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("111 E Maple Ave", "111 East Maple"),
        ("Noland Rd & 23rd St", "corner of 23rd and Noland"),
        ("Noland Rd & 23rd St", "S. Noland Road / E 23rd Street, Independence, MO"),
        ("Lee's Summit Rd & 39th St", "39th St at Lees Summit Rd"),
    ],
)
def test_two_ways_of_writing_a_place_have_one_key(one: str, other: str) -> None:
    assert place_key(one) == place_key(other)


def test_two_places_have_two_keys() -> None:
    assert place_key("111 E Maple Ave") != place_key("111 W Maple Ave")
    assert place_key("111 E Maple Ave") != place_key("1111 E Maple Ave")


@given(st.text(max_size=300))
def test_any_text_has_a_key(text: str) -> None:
    assert isinstance(place_key(text), str)
