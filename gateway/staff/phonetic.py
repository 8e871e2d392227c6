"""How a reference is read out over the phone, so that it is written down right (pure)."""

_WORDS = {
    word[0]: word
    for word in (
        "Alfa Bravo Charlie Delta Echo Foxtrot Golf Hotel India Juliett Kilo Lima Mike November "
        "Oscar Papa Quebec Romeo Sierra Tango Uniform Victor Whiskey X-ray Yankee Zulu"
    ).split()
}


def spoken(reference: str) -> list[list[tuple[str, str]]]:
    """
    The groups of a reference, each a list of (letter, word to say): `7KQ-2MX-94` begins with
    `[("7", "7"), ("K", "Kilo"), ("Q", "Quebec")]`.
    """
    return [
        [(letter, _WORDS.get(letter, letter)) for letter in group] for group in reference.split("-")
    ]
