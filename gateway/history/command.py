"""`buckstop import`: a city's past from a file, or from its Open311 endpoint."""

from datetime import date, datetime, time
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from cyclopts import Parameter

from gateway.command import HERE, Format, Where, go, line, out, progress, trouble
from gateway.history.column_map import ColumnMap, Open311Map, load_map
from gateway.history.georeport import Source
from gateway.history.pull import city_of_import, import_open311, map_for
from gateway.history.take_in import Imported, import_past
from gateway.history.told import as_json, as_text


def import_(
    file: Annotated[Path | None, Parameter(help="CSV, gzipped or not")] = None,
    *,
    open311: Annotated[
        str | None,
        Parameter(help="Instead of a file: an Open311 endpoint, as https://…/open311/v2"),
    ] = None,
    map: Annotated[
        str | None,
        Parameter(help="kansas-city, or a file of your own (docs/history.md); Open311 needs none"),
    ] = None,
    since: Annotated[date | None, Parameter(help="Open311: from this day on (all)")] = None,
    until: Annotated[date | None, Parameter(help="Open311: until this day (today)")] = None,
    jurisdiction: Annotated[
        str, Parameter(help="Open311: what a server of several cities calls this one")
    ] = "",
    every: Annotated[
        float, Parameter(help="Open311: seconds between two questions, at least")
    ] = 1.0,
    dry_run: Annotated[
        bool, Parameter(help="Write nothing; say what would become of it", negative=())
    ] = False,
    format: Format = "text",
    where: Where = HERE,
) -> int:
    """
    Take in a city's past requests from another system, running or not. They send no notices.

    The same again brings nothing new; what is newer brings what has changed. Prints what did not
    fit, in words, with the numbers of some rows. Exit 1 when a row became no case.
    """
    if (file is None) == (open311 is None):
        return trouble("Say either a file, or an endpoint with --open311.", 1)
    settings = where.settings()

    def tell(name: str, how: ColumnMap, imported: Imported, unit: str) -> int:
        if format == "json":
            line(as_json(name, how, imported, dry=dry_run))
        else:
            out.print(as_text(name, how, imported, dry=dry_run, unit=unit), markup=False)
        return 1 if imported.reading.left_out else 0

    if open311 is None:
        if file is None or map is None:
            return trouble("A file needs a map: --map kansas-city, or one of your own.", 1)
        how = load_map(map, ColumnMap)

        async def read_file() -> int:
            with progress("read", None) as step:
                imported = await import_past(settings, file, how, dry=dry_run, read_so_far=step)
            return tell(file.name, how, imported, "row")

        return go(read_file())

    if every < 0:
        return trouble("--every is a number of seconds.", 1)
    source = Source(open311, jurisdiction, every)
    if map is None:
        asked = map_for(source, city_of_import(settings))
    else:
        asked = load_map(map, Open311Map)
    zone = ZoneInfo(asked.timezone)

    async def read_endpoint() -> int:
        with progress("read", None) as step:
            imported = await import_open311(
                settings,
                source,
                asked,
                since=None if since is None else datetime.combine(since, time(), zone),
                until=None if until is None else datetime.combine(until, time.max, zone),
                dry=dry_run,
                read_so_far=step,
            )
        return tell(source.url, asked, imported, "request")

    return go(read_endpoint())
