"""What `buckstop doctor` says about the Twilio account: can we ask, can we text, are we called."""

from typing import Any

from twilio.base.exceptions import TwilioException

from channels.sms_client import TROUBLE, open_twilio
from channels.sms_settings import TwilioSettings
from gateway.settings import Settings, texting_of


class BadAccount(Exception):
    """What is wrong, as a sentence that says what to do."""


async def look_at_texts(settings: Settings) -> str:
    """A sentence about an account that works. Raises `BadAccount`."""
    sms, sending = settings.channels.sms, texting_of(settings)
    if not sms.account_sid and not sending.account_sid:
        return "no Twilio account is set: no text comes in, and texts stay in the local mailbox"
    said = []
    if sms.account_sid:
        said.append(await _incoming(sms, settings.base_url + sms.webhook_path))
    if not sending.account_sid:
        said.append("texts that we send stay in the local mailbox, for no number of ours is set")
    elif sending.account_sid != sms.account_sid:
        asks = TwilioSettings(
            account_sid=sending.account_sid, auth_token=sending.auth_token, api_url=sending.api_url
        )
        await _account(asks)
        said.append("another account sends, and it answers")
    elif not sending.status_callback:
        said.append("no report of what became of our texts, for http.base_url is empty")
    return "; ".join(said)


async def _incoming(sms: TwilioSettings, webhook: str) -> str:
    await _account(sms)
    if not sms.numbers:
        raise BadAccount(
            "The account answers. Name the city's number in channels.sms.numbers, as "
            '["+18165550100"], so that its webhook can be looked at.'
        )
    async with open_twilio(sms) as twilio:
        for number in sms.numbers:
            try:
                found = await twilio.incoming_phone_numbers.list_async(phone_number=number, limit=1)
            except TROUBLE as error:
                raise BadAccount(f"Twilio did not list the numbers ({_kind(error)}).") from error
            if not found:
                raise BadAccount(f"{number} is not a number of this Twilio account.")
            _check_number(number, found[0], webhook)
    return f"Twilio knows us, and calls {webhook} for {len(sms.numbers)} number(s)"


def _check_number(number: str, found: Any, webhook: str) -> None:
    if not (found.capabilities or {}).get("sms"):
        raise BadAccount(f"{number} takes no texts. Choose a number with SMS.")
    if found.sms_application_sid:
        raise BadAccount(
            f"{number} hands its texts to a TwiML app. Take the app away from the number, and set "
            f"its webhook to {webhook}."
        )
    called = (found.sms_url or "").partition("#")[0]
    if called != webhook:
        where = f"is {called}" if called else "is empty"
        raise BadAccount(
            f"The webhook of {number} {where}; at Twilio, set “A message comes in” to {webhook} "
            "(or set http.base_url right). Where a Messaging Service has its own webhook, set it "
            "to use the number's."
        )
    if found.sms_method != "POST":
        raise BadAccount(f"Twilio calls the webhook of {number} with {found.sms_method}; set POST.")
    if not webhook.startswith("https://"):
        raise BadAccount(f"Twilio calls {webhook}: over plain http anyone on the way reads along.")


async def _account(sms: TwilioSettings) -> None:
    try:
        async with open_twilio(sms) as twilio:
            account = await twilio.api.v2010.accounts(sms.account_sid).fetch_async()
    except TwilioException as error:
        status = getattr(error, "status", 0)
        if status in (401, 403, 404):
            raise BadAccount(
                "Twilio does not accept account_sid and auth_token; are they of the same account, "
                "and was the token changed?"
            ) from error
        raise BadAccount(f"Twilio answers HTTP {status}; try again later.") from error
    except TROUBLE as error:
        raise BadAccount(
            f"{sms.api_url} cannot be reached ({_kind(error)}); may this machine call it?"
        ) from error
    if account.status != "active":
        raise BadAccount(f"The Twilio account is {account.status}; look into Twilio's console.")


def _kind(error: Exception) -> str:
    return type(error).__name__
