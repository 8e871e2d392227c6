"""`buckstop doctor` says in words what is wrong with a Twilio account."""

from collections.abc import AsyncIterator

import pytest

from gateway.doctor_texts import BadAccount, look_at_texts
from gateway.settings import Settings
from tests.support.twilio import ACCOUNT, OURS, TOKEN, Twilio, running_twilio

PUBLIC = "https://report.example.gov"


@pytest.fixture
async def twilio() -> AsyncIterator[Twilio]:
    async with running_twilio() as running:
        running.number["sms_url"] = f"{PUBLIC}/channels/sms#rc=5&rp=all"
        yield running


def settings_for(twilio: Twilio, base_url: str = PUBLIC, **changes: object) -> Settings:
    sms: dict[str, object] = {
        "account_sid": ACCOUNT,
        "auth_token": TOKEN,
        "numbers": [OURS],
        "api_url": twilio.url,
    }
    return Settings.model_validate(
        {"http": {"base_url": base_url}, "channels": {"sms": sms | changes}}
    )


async def test_an_account_that_works_is_called_so(twilio: Twilio) -> None:
    said = await look_at_texts(settings_for(twilio))
    assert (
        said == "Twilio knows us, and calls https://report.example.gov/channels/sms for 1 number(s)"
    )


@pytest.mark.parametrize(
    ("number", "changes", "words"),
    [
        ({}, {"auth_token": "wrong"}, "does not accept account_sid and auth_token"),
        ({}, {"api_url": "http://127.0.0.1:9"}, "cannot be reached"),
        ({}, {"numbers": []}, "Name the city's number"),
        ({}, {"numbers": ["+18165550199"]}, "is not a number of this Twilio account"),
        ({"capabilities": {"sms": False}}, {}, "takes no texts"),
        ({"sms_url": ""}, {}, "is empty"),
        ({"sms_url": "https://old.example.gov/sms"}, {}, "is https://old.example.gov/sms"),
        ({"sms_method": "GET"}, {}, "set POST"),
        ({"sms_application_sid": "AP" + "0" * 32}, {}, "TwiML app"),
    ],
)
async def test_what_is_wrong_is_said(
    twilio: Twilio, number: dict[str, object], changes: dict[str, object], words: str
) -> None:
    twilio.number |= number
    with pytest.raises(BadAccount, match=words):
        await look_at_texts(settings_for(twilio, **changes))


async def test_plain_http_is_no_address_for_twilio(twilio: Twilio) -> None:
    twilio.number["sms_url"] = "http://report.example.gov/channels/sms"
    with pytest.raises(BadAccount, match="plain http"):
        await look_at_texts(settings_for(twilio, "http://report.example.gov"))


async def test_a_twilio_in_trouble_is_told_from_a_wrong_token(twilio: Twilio) -> None:
    twilio.down = True
    with pytest.raises(BadAccount, match="HTTP 503"):
        await look_at_texts(settings_for(twilio))


async def test_no_account_is_no_fault() -> None:
    assert "no Twilio account" in await look_at_texts(Settings())
