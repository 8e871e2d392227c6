"""An address is read as the library reads it, also where its domain has been proven before."""

from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from channels.intake import read_email

LOCALS = st.text("aZ9._+-@ \"ñ'", max_size=8) | st.sampled_from(["a" * 64, "a" * 65, "first.last"])
DOMAINS = st.sampled_from(
    ["mail.example.com", "Mail.example.com", "city.gov", "x", "a..b", "münchen.de", "", "-a.com"]
)


def by_the_library(typed: str) -> str | None:
    try:
        return validate_email(typed, check_deliverability=False).normalized
    except EmailNotValidError:
        return None


@given(LOCALS, DOMAINS)
def test_it_is_read_as_the_library_reads_it(local: str, domain: str) -> None:
    typed = f"{local}@{domain}"
    read_email(f"somebody@{domain}")  # proves the domain, if it can be

    assert read_email(typed) == by_the_library(typed)
