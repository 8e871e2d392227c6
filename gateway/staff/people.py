"""Who may sign in: administrators make accounts, give roles and passwords, and end them."""

import re

import structlog
from aiohttp import web
from yarl import URL

from channels.intake import clean_line, read_email
from gateway.keys import CITY, POOL
from gateway.pages.i18n import LANGUAGES
from gateway.pages.i18n import gettext as _
from gateway.staff.access import requires
from gateway.staff.forms import Problems
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.roles import Act
from store import accounts, sessions
from store.accounts import Account
from store.model import Role

log = structlog.stdlib.get_logger()

LEAST_PASSWORD = 10
MOST_PASSWORD = 200
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
FIELDS = ("login", "name", "email", "phone", "department", "language")


@requires(Act.PEOPLE)
async def show_all(request: web.Request) -> web.StreamResponse:
    async with request.config_dict[POOL].acquire() as conn:
        people = await accounts.people(conn)
    return await page(
        request,
        "staff/people.html",
        {"people": people, "done": request.query.get("done", ""), "nav": "people"},
    )


@requires(Act.PEOPLE)
async def show_one(request: web.Request) -> web.StreamResponse:
    """The form of one account, or an empty one for `new`."""
    login = request.match_info["login"]
    if login == "new":
        return await _form(request, None, {"language": "en"}, {Role.STAFF})
    account = await _known(request, login)
    if account is None:
        raise web.HTTPNotFound
    typed = {name: str(getattr(account, name) or "") for name in FIELDS}
    return await _form(request, account, typed, set(account.roles), active=account.active)


@requires(Act.PEOPLE)
async def save(request: web.Request) -> web.StreamResponse:
    """Makes or changes an account; a new password or an end signs it out everywhere."""
    form = await request.post()
    typed = {name: clean_line(str(form.get(name, ""))) for name in FIELDS}
    password = str(form.get("password", ""))
    active = "active" in form
    roles = {role for role in Role if role.value in form.getall("roles", [])}
    login = request.match_info["login"]
    account = None if login == "new" else await _known(request, login)
    if account is None and login != "new":
        raise web.HTTPNotFound
    typed["login"] = account.login if account else typed["login"].lower()

    errors = _check(request, typed, password, roles)
    me = account is not None and account.login == request[ACCOUNT].login
    if account is None and await _known(request, typed["login"]) is not None:
        errors["login"] = _("Somebody has this sign-in name already.")
    if me and not active:
        errors["active"] = _("You cannot end your own account. Ask another administrator.")
    if me and Role.ADMIN not in roles:
        errors["roles"] = _("You cannot give up your own role. Ask another administrator.")
    if errors:
        return await _form(request, account, typed, roles, active=active, errors=errors, status=422)

    async with request.config_dict[POOL].acquire() as conn:
        await accounts.put_account(
            conn,
            login=typed["login"],
            name=typed["name"],
            email=typed["email"],
            phone=typed["phone"] or None,
            department=typed["department"] or None,
            language=typed["language"],
            roles=roles,
            active=active,
            password_hash=await accounts.hash_password(password) if password else None,
        )
        if (password and not me) or not active:
            await sessions.forget_all(conn, typed["login"])
    log.info("account saved", login=typed["login"], by=request[ACCOUNT].login, active=active)
    raise web.HTTPSeeOther("/staff/people?done=saved")


def _check(
    request: web.Request, typed: dict[str, str], password: str, roles: set[Role]
) -> Problems:
    errors: Problems = {}
    if not _LOGIN.fullmatch(typed["login"]):
        errors["login"] = _("Use small letters, digits and dots, as in pat.moore.")
    if not typed["name"]:
        errors["name"] = _("Enter the name.")
    if read_email(typed["email"]) is None:
        errors["email"] = _("Enter an email address: assignments are sent to it.")
    departments = {department.name for department in request.config_dict[CITY].departments}
    if typed["department"] and typed["department"] not in departments:
        errors["department"] = _("Choose a department from the list.")
    if typed["language"] not in LANGUAGES:
        typed["language"] = "en"
    if not roles:
        errors["roles"] = _("Choose at least one role.")
    if password and not LEAST_PASSWORD <= len(password) <= MOST_PASSWORD:
        errors["password"] = _("A password needs at least %(least)d characters.") % {
            "least": LEAST_PASSWORD
        }
    return errors


async def _known(request: web.Request, login: str) -> Account | None:
    async with request.config_dict[POOL].acquire() as conn:
        return await accounts.by_login(conn, login)


async def _form(
    request: web.Request,
    account: Account | None,
    typed: dict[str, str],
    roles: set[Role],
    *,
    active: bool = True,
    errors: Problems | None = None,
    status: int = 200,
) -> web.Response:
    departments = [department.name for department in request.config_dict[CITY].departments]
    return await page(
        request,
        "staff/person.html",
        {
            "person": account,
            "action": str(URL.build(path=f"/staff/people/{account.login if account else 'new'}")),
            "typed": {name: typed.get(name, "") for name in FIELDS},
            "roles": roles,
            "all_roles": list(Role),
            "active": active,
            "departments": [(name, name) for name in departments],
            "errors": errors or {},
            "nav": "people",
        },
        status=status,
    )
