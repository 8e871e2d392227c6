"""The pages of staff: what answers where, and what an application needs for them."""

import aiohttp_jinja2
from aiohttp import web
from aiohttp_session import session_middleware

from channels.phone_transcript import PhoneTranscript
from gateway.keys import CITY, INTAKE, SECOND_LOOK, SETTINGS
from gateway.staff import (
    absences,
    calls,
    case_page,
    desk,
    incident_pages,
    mailbox,
    messages,
    people,
    performance,
    reports,
    rules,
    standby,
)
from gateway.staff.access import close_session, requires
from gateway.staff.pages import MAILBOX, mailbox_for
from gateway.staff.roles import Act
from gateway.staff.sessions import PostgresSessions
from gateway.staff.sign_in import SignIn
from gateway.staff.words import filters


def prepare(app: web.Application) -> None:
    """
    Give `app` what the staff pages need, and the pages; after `gateway.pages.layout.prepare`.

    The app holds POOL, FILES, DRAFTS, CITY, ROUTER, INTAKE, SECOND_LOOK, TELL and SETTINGS.
    """
    settings = app[SETTINGS]
    secure = settings.base_url.startswith("https://")
    app.middlewares.append(session_middleware(PostgresSessions(secure=secure)))
    app[MAILBOX] = mailbox_for(settings, app[CITY])
    app[calls.PHONE] = PhoneTranscript(app[INTAKE])
    app.on_cleanup.append(_close_second_look)
    aiohttp_jinja2.get_env(app).filters.update(filters(app[CITY]))
    app.add_routes(routes())


def routes() -> list[web.RouteDef]:
    door = SignIn()
    return [
        web.get("/staff/sign-in", door.show),
        web.post("/staff/sign-in", door.sign_in),
        web.post("/staff/sign-out", sign_out),
        web.get("/staff", desk.desk),
        web.get("/staff/", desk.desk),
        web.get("/staff/queue", desk.queue),
        web.get("/staff/absences", absences.show),
        web.post("/staff/absences", absences.add),
        web.post("/staff/absences/{absence}/end", absences.end),
        web.get("/staff/rules", rules.show),
        web.get("/staff/rules/reroute", rules.ask),
        web.post("/staff/rules/reroute", rules.apply),
        web.get("/staff/people/options", case_page.people_options),
        web.get("/staff/people", people.show_all),
        web.get("/staff/people/{login}", people.show_one),
        web.post("/staff/people/{login}", people.save),
        web.get("/staff/reports", reports.show_all),
        web.get("/staff/reports/service-requests", reports.service_requests),
        web.get("/staff/reports/how-are-we-doing", performance.show),
        web.get("/staff/cases/{case}", case_page.show),
        web.post("/staff/cases/{case}/start", case_page.start),
        web.post("/staff/cases/{case}/assign", case_page.assign),
        web.post("/staff/cases/{case}/type", case_page.set_type),
        web.post("/staff/cases/{case}/emergency", case_page.set_emergency),
        web.post("/staff/cases/{case}/note", case_page.note),
        web.post("/staff/cases/{case}/close", case_page.close),
        web.post("/staff/cases/{case}/reopen", case_page.reopen),
        web.post("/staff/cases/{case}/merge", case_page.merge),
        web.post("/staff/cases/{case}/unmerge", case_page.unmerge),
        web.get("/staff/cases/{case}/{action}", case_page.back),
        *incident_pages.routes(),
        web.get("/staff/files/{sha256}", case_page.file),
        web.get("/staff/notices/{id}", mailbox.notice),
        web.get("/staff/notices/{id}/html", mailbox.notice_html),
        web.get("/staff/messages", messages.show_all),
        web.get("/staff/messages/{message}", messages.show_one),
        web.get("/staff/messages/{message}/original", messages.original),
        web.post("/staff/messages/{message}/bring-in", messages.bring_in),
        web.post("/staff/messages/{message}/leave", messages.leave),
        web.get("/staff/calls/new", calls.new),
        web.post("/staff/calls/new", calls.save),
        web.post("/staff/calls/suggest", calls.suggest),
        web.post("/staff/calls/draft", calls.draft),
        web.get("/staff/calls/{call}", calls.saved),
        web.get("/mailbox", mailbox.show_all),
        web.get("/mailbox/{id}", mailbox.show_one),
        web.get("/mailbox/{id}/html", mailbox.show_html),
    ]


async def _close_second_look(app: web.Application) -> None:
    await app[SECOND_LOOK].close()


@requires(Act.READ)
async def sign_out(request: web.Request) -> web.StreamResponse:
    await close_session(request)
    answer = web.HTTPSeeOther("/staff/sign-in?signed-out")
    standby.revoke(answer)
    raise answer
