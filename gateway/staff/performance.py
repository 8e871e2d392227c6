"""How we are doing, for those who lead: as a page, and without people as CSV and JSON."""

from aiohttp import web

from gateway.keys import CITY, POOL
from gateway.reports.performance import Performance, make_performance
from gateway.reports.performance_shown import performance_shown
from gateway.reports.performance_written import performance_csv, performance_json
from gateway.staff.access import requires
from gateway.staff.pages import ACCOUNT, page
from gateway.staff.reports import asked_span, download, usual_spans
from gateway.staff.roles import Act, acts_of
from router.rules import City

_TEMPLATE = "staff/report_performance.html"


@requires(Act.REPORTS)
async def show(request: web.Request) -> web.StreamResponse:
    """How the city did in a span, and what is open now."""
    city = request.config_dict[CITY]
    typed, span, errors = asked_span(request, city)
    context = {
        "typed": typed,
        "errors": errors,
        "usual": usual_spans(city),
        "here": request.path,
        "nav": "reports",
    }
    if span is None:
        return await page(request, _TEMPLATE, {**context, "told": None}, status=422)
    pool = request.config_dict[POOL]
    if wanted := request.query.get("format"):
        return _file(city, await make_performance(pool, city, span), wanted)
    account = request.get(ACCOUNT)
    with_people = account is not None and Act.WORKLOAD in acts_of(account.roles)
    made = await make_performance(pool, city, span, with_people=with_people)
    return await page(
        request,
        _TEMPLATE,
        {
            **context,
            "told": performance_shown(made, city, addresses=True),
            "complete": made.complete,
            "query": {"from": span.first.isoformat(), "to": span.last.isoformat()},
        },
    )


def _file(city: City, made: Performance, wanted: str) -> web.Response:
    name = f"how-are-we-doing-{made.span.first}-{made.span.last}"
    match wanted:
        case "json":
            body = performance_json(made, city.name).encode()
            return download(body, "application/json", f"{name}.json")
        case "csv":
            # With a mark, so that spreadsheets know its letters.
            body = performance_csv(made).encode("utf-8-sig")
            return download(body, "text/csv", f"{name}.csv")
    raise web.HTTPNotFound
