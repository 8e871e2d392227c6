"""The keys under which the web application holds what its handlers use."""

from collections.abc import Mapping

import asyncpg
from aiohttp import web

from bus.connect import Bus
from bus.drafts import Drafts
from bus.files import Files
from bus.publish import Tell
from channels.base import Channel
from channels.intake import Intake
from channels.photos import Darkroom
from channels.second_look import SecondLook
from channels.web_form import WebForm
from gateway.keeper import Keeper
from gateway.likely import LikelyReports
from gateway.pages.city_page import CityPage
from gateway.settings import Settings
from router.rules import City
from router.service import Router

BUS = web.AppKey("bus", Bus)
KEEPER: web.AppKey[Keeper | None] = web.AppKey("keeper")
CHANNELS: web.AppKey[Mapping[str, Channel]] = web.AppKey("channels")
POOL = web.AppKey("pool", asyncpg.Pool)
FILES = web.AppKey("files", Files)
DRAFTS = web.AppKey("drafts", Drafts)
TELL: web.AppKey[Tell] = web.AppKey("tell")
SECOND_LOOK = web.AppKey("second_look", SecondLook)
INTAKE = web.AppKey("intake", Intake)
SETTINGS = web.AppKey("settings", Settings)
CITY = web.AppKey("city", City)
CITY_PAGE = web.AppKey("city_page", CityPage)
ROUTER = web.AppKey("router", Router)
LIKELY = web.AppKey("likely", LikelyReports)
WEB_FORM = web.AppKey("web_form", WebForm)
DARKROOM = web.AppKey("darkroom", Darkroom)
