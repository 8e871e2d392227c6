"""
The shared layout: gives an application its pages, and answers with one.

`prepare(app, …)` is called once by the gateway; a handler then says
`return render(request, "resident/home.html", …)`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp_jinja2
import jinja2
from aiohttp import web
from multidict import MultiDict

from gateway.keys import CITY_PAGE
from gateway.pages import csrf, i18n
from gateway.pages.city_page import CityPage, in_language
from gateway.pages.errors import answer_errors, render_key
from gateway.pages.static import StaticFiles

GATEWAY = Path(__file__).resolve().parent.parent
AUDIENCES = ("pages", "resident", "staff", "operator", "demo", "open311", "open_data", "reports")

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:{tiles}; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def prepare(
    app: web.Application,
    city: CityPage,
    *,
    tiles_host: str = "",
    demo: bool = False,
    compiled: jinja2.BytecodeCache | None = None,
) -> None:
    """
    Give `app` our pages: templates, languages, static files, error pages, security headers.
    `compiled` keeps templates between starts.

    Call it before other middlewares are added: ours stand outermost.
    """
    static = StaticFiles()
    app[CITY_PAGE] = city
    app[render_key] = render
    app.middlewares.extend([i18n.speak_the_language, answer_errors, csrf.refuse_other_sites])
    app.add_routes([*static.routes(), web.get(city.style_url, _city_style)])

    env = aiohttp_jinja2.setup(
        app,
        loader=jinja2.PrefixLoader(
            {name: jinja2.FileSystemLoader(GATEWAY / name / "templates") for name in AUDIENCES}
        ),
        extensions=["jinja2.ext.i18n"],
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=compiled,
    )
    env.install_gettext_callables(  # type: ignore[attr-defined]
        i18n.gettext, i18n.ngettext, newstyle=True
    )
    env.globals["city"] = city
    env.globals["demo"] = demo
    env.globals["open311"] = False  # until its addresses are there
    env.globals["open_data"] = False
    env.globals["static"] = static.url
    env.globals["languages"] = i18n.LANGUAGES
    env.globals["csrf_name"] = csrf.FIELD
    env.filters["in_language"] = lambda words: in_language(words, i18n.current_language())
    env.filters["day"] = lambda moment: i18n.date_words(moment, city.timezone)
    env.filters["ago"] = i18n.ago_words
    env.filters["unbroken"] = _unbroken
    env.filters["phone"] = i18n.phone_words
    env.filters["moment"] = lambda moment: i18n.time_words(moment, city.timezone)

    policy = _POLICY.format(tiles=f" {tiles_host}" if tiles_host else "")

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        response.headers.setdefault("Content-Security-Policy", policy)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        response.headers.setdefault("Referrer-Policy", "same-origin")
        response.headers.setdefault("Permissions-Policy", "geolocation=(self), camera=(self)")

    app.on_response_prepare.append(add_headers)


def render(
    request: web.Request,
    template: str,
    context: Mapping[str, Any] | None = None,
    *,
    status: int = 200,
) -> web.Response:
    """The page, in the language of the request; never kept by caches."""
    language = i18n.current_language()
    told = {
        "lang": language,
        "path": request.path,
        "query": request.query,
        "fragment": is_fragment(request),
        "language_url": lambda code: _language_url(request, code),
        "errors": {},
        "nav": "",
        "account": None,
        **(context or {}),
    }
    response = aiohttp_jinja2.render_template(template, request, told, status=status)
    response.headers["Content-Language"] = language
    # What residents type must not lie in the cache of a shared computer.
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Cookie, Accept-Language, HX-Request"
    return response


def _unbroken(text: str) -> str:
    """The text, in which no line ends within a reference."""
    return re.sub(r"\b(\w{3})-(\w{3})-(\w{2})\b", "\\1-\u2060\\2-\u2060\\3", text)


def is_fragment(request: web.Request) -> bool:
    """Whether htmx asks, which puts the answer into a page that stands already."""
    return request.headers.get("HX-Request") == "true"


def _language_url(request: web.Request, code: str) -> str:
    query = MultiDict(request.query)
    query["lang"] = code
    return str(request.rel_url.with_query(query))


async def _city_style(request: web.Request) -> web.Response:
    return web.Response(
        text=request.app[CITY_PAGE].style,
        content_type="text/css",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )
