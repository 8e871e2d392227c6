"""Which reports go out by email, when, and to whom."""

from datetime import time
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from channels.intake import read_email

Every = Literal["day", "week", "month", "quarter", "year"]
Format = Literal["pdf", "csv", "json", "html"]


def _an_address(given: str) -> str:
    address = read_email(given)
    if address is None:
        raise ValueError(f'"{given}" is no email address')
    return address


Address = Annotated[str, AfterValidator(_an_address)]


class ReportMail(BaseModel):
    """One report that goes out when its span is over."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    report: Literal["service-requests"] = "service-requests"
    every: Every = "month"
    """The span that is over: yesterday, last week from Monday to Sunday, last month, …"""
    at: time = time(7)
    """The hour of the day after the span, where the city is."""
    to: tuple[Address, ...] = Field(min_length=1)
    language: Literal["en", "es"] = "en"
    formats: tuple[Format, ...] = ("pdf",)


class ReportSettings(BaseModel):
    """What is made of the figures by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mail: tuple[ReportMail, ...] = ()
