"""What is wrong at the places outside: where channels look, where mail leaves, what ends (pure)."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from bus.signs import Place
from gateway.operator.expiring import Ending
from gateway.operator.figures import ChannelFigures
from gateway.operator.finding import (
    AGAIN,
    GO_ON,
    LOOK,
    Finding,
    Level,
    level_of_days,
    seconds_since,
)
from gateway.pages.i18n import noted as N_
from store.levers import CHANNEL, OperatorAct

# The longest pause between two looks that the settings allow is an hour.
PLACE_LATE = 3900.0  # seconds


def of_channel(
    channel: ChannelFigures, now: datetime, pauses: Mapping[str, OperatorAct]
) -> Iterator[Finding]:
    if channel.looks and channel.unheard:
        yield Finding(
            Level.WRONG,
            "channel_silent",
            N_("Nobody looks after the channel %(channel)s (%(seconds)d s)."),
            N_(
                "What was sent stays where it lies. The service channels does not run: start it "
                "again, on the page Operations or where it runs (`buckstop run channels`)."
            ),
            {"channel": channel.name, "seconds": round(channel.silent)},
            link="/ops/again?what=channels",
            way=AGAIN,
        )
        return
    if pause := pauses.get(CHANNEL + channel.name):
        yield Finding(
            Level.LOOK,
            "channel_paused",
            N_("The channel %(channel)s is paused by %(by)s."),
            N_(
                "What is sent stays where it lies. It goes on by itself when the time is over; "
                "`buckstop bus resume` ends it now."
            ),
            {"channel": channel.name, "by": pause.by},
            link="/ops/levers",
            way=GO_ON,
        )
        return
    for place in channel.places:
        values = {"place": place.place, "trouble": place.trouble.rstrip(".")}
        if place.refused:
            yield Finding(
                Level.WRONG,
                "place_refuses",
                N_("%(place)s does not let us in: %(trouble)s."),
                N_(
                    "What lies there is not lost. Enter the password that is right now, on the "
                    "page Operations: it is tried before it is kept."
                ),
                values,
                link="/ops/places",
                way=N_("Enter it"),
            )
        elif place.trouble:
            yield Finding(
                Level.WRONG,
                "place_in_trouble",
                N_("%(place)s cannot be read: %(trouble)s."),
                N_(
                    "What lies there is not lost, and it is tried again by itself. Where the "
                    "settings of this channel are wrong, mend them, try them with "
                    "`buckstop doctor`, and have the service channels started again."
                ),
                values,
                link="/ops/places",
                way=LOOK,
            )
        elif place.looked_at is not None and seconds_since(place.looked_at, now) >= PLACE_LATE:
            yield Finding(
                Level.LOOK,
                "place_late",
                N_("Nobody has looked into %(place)s for %(minutes)d min."),
                N_("The log of the service channels says on what it waits."),
                values | {"minutes": round(seconds_since(place.looked_at, now) / 60)},
                link="/ops/places",
                way=LOOK,
            )


def of_way_out(place: Place) -> Iterator[Finding]:
    values = {"place": place.place, "trouble": place.trouble.rstrip(".")}
    if place.refused:
        yield Finding(
            Level.WRONG,
            "mail_server_refuses",
            N_("No mail is sent: the mail server %(place)s does not accept our password."),
            N_(
                "Mails wait, and are tried again for a day. Enter the password that is right now, "
                "on the page Operations: it is tried before it is kept."
            ),
            values,
            link="/ops/places",
            way=N_("Enter it"),
        )
    elif place.trouble:
        yield Finding(
            Level.LOOK,
            "mail_server_away",
            N_("The mail server %(place)s did not let us in: %(trouble)s."),
            N_(
                "Mails wait, and are tried again for a day. Where the settings are wrong, mend "
                "them, try them with `buckstop doctor`, and have the service notifier started "
                "again."
            ),
            values,
            link="/ops/places",
            way=LOOK,
        )


def of_ending(ending: Ending, now: datetime) -> Iterator[Finding]:
    days = ending.days(now)
    level = level_of_days(days)
    if days is None or not level:
        # What could not be seen is on the page; a server that is away has a sentence of its own.
        return
    if ending.kind == "access":
        yield Finding(
            level,
            "access_ends",
            N_("Our access to the mailbox %(what)s ends soon. Days that are left: %(days)d."),
            N_(
                "Allow Buckstop into the mailbox again at the provider, and enter the new refresh "
                "token on the page Operations. After that day no mail is fetched; it stays where "
                "it lies."
            ),
            {"what": ending.what, "days": max(0, days)},
            link="/ops/places",
            way=N_("Enter it"),
        )
    elif ending.trouble:
        yield Finding(
            level,
            "certificate_ended",
            N_("The certificate of %(what)s has expired."),
            N_(
                "Renew it on that server, now. Until then browsers warn residents, or we neither "
                "fetch nor send mail there."
            ),
            {"what": ending.what},
        )
    else:
        yield Finding(
            level,
            "certificate_ends",
            N_("The certificate of %(what)s ends soon. Days that are left: %(days)d."),
            N_(
                "Renew it on that server. After that day browsers warn residents, or we neither "
                "fetch nor send mail there."
            ),
            {"what": ending.what, "days": max(0, days)},
        )
