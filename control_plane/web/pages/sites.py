"""Every site in one table: searched, filtered, sorted; the address holds the question. Also as CSV and JSON."""

import csv as csv_format
import io
from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec
from msgspec import Struct

from control_plane.store.views import STANDINGS, SiteView, summary_of
from control_plane.web.directory import FACETS, SORTED, Directory, Query, directory_of, query_of
from control_plane.web.present import SiteRow, fact, site_row
from control_plane.web.visit import Download, Room, Shown, Visit
from control_plane.web.words import Words

PAGE_SITES: Final = 100


class Choice(Struct, frozen=True, kw_only=True):
    """A filter: its values with how many sites have them."""

    key: str
    label: str
    options: list[tuple[str, str, str]]
    chosen: str


class Column(Struct, frozen=True, kw_only=True):
    """The head of a column; `order` is ascending, descending or none."""

    key: str
    label: str
    link: str
    order: str
    end: bool = False


class SitesPage(Struct, frozen=True, kw_only=True):
    """The table. `matching` of `all` sites are asked for, `rows` are those of this page."""

    rows: list[SiteRow]
    columns: list[Column]
    choices: list[Choice]
    matching: int
    all: int
    query: Query
    pages: int
    previous: str
    next: str
    csv: str
    json: str


async def show(room: Room, visit: Visit) -> Shown:
    """The table."""
    fleet, directory = await directory_of(room, visit)
    return Shown("sites.html", sites_page(directory, query_of(visit.query), fleet.read_at, visit.words))


async def csv(room: Room, visit: Visit) -> Download:
    """The asked sites as CSV (RFC 4180), every one of them."""
    return Download("sites.csv", "text/csv", _as_csv(await _asked(room, visit)))


async def json(room: Room, visit: Visit) -> Download:
    """The asked sites as `GET /v1/sites` gives them."""
    body = msgspec.json.encode([summary_of(view) for view in await _asked(room, visit)])
    return Download("sites.json", "application/json", body)


async def _asked(room: Room, visit: Visit) -> list[SiteView]:
    _, directory = await directory_of(room, visit)
    return directory.select(query_of(visit.query))


def sites_page(directory: Directory, query: Query, now: datetime, words: Words) -> SitesPage:
    """The table of these sites."""
    wanted = directory.select(query)
    pages = max(1, -(-len(wanted) // PAGE_SITES))
    page = min(max(1, query.page), pages)
    shown = msgspec.structs.replace(query, page=page)
    return SitesPage(
        rows=[site_row(view, now, words) for view in wanted[(page - 1) * PAGE_SITES : page * PAGE_SITES]],
        columns=[_column(key, shown, words) for key in SORTED],
        choices=list(choices_of(directory, shown, words)),
        matching=len(wanted),
        all=len(directory),
        query=shown,
        pages=pages,
        previous=shown.address(page=page - 1) if page > 1 else "",
        next=shown.address(page=page + 1) if page < pages else "",
        csv="/sites.csv" + shown.address(page=1),
        json="/sites.json" + shown.address(page=1),
    )


def choices_of(directory: Directory, query: Query, words: Words) -> Iterable[Choice]:
    """The filters that tell sites apart, or that are set."""
    for key in FACETS:
        counts, chosen = directory.counts[key], query.facets.get(key, "")
        if len(counts) < 2 and not chosen:
            continue
        ordered = [word for word in STANDINGS if word in counts] if key == "standing" else sorted(counts)
        options = [(value, _named(key, value, words), words.number(counts[value])) for value in ordered]
        if chosen and chosen not in counts:
            options.append((chosen, _named(key, chosen, words), words.number(0)))
        yield Choice(key=key, label=words(f"filter.{key}"), options=options, chosen=chosen)


def _named(key: str, value: str, words: Words) -> str:
    return words.known(f"{key}.{value}", value)


def _column(key: str, query: Query, words: Words) -> Column:
    """A click on a column sorts by it; another one turns the order round."""
    order = {key: "ascending", f"-{key}": "descending"}.get(query.sort, "none")
    turned = f"-{key}" if order == "ascending" else key
    return Column(
        key=key,
        label=words(f"column.{key}"),
        link="/sites" + query.address(sort=turned, page=1),
        order=order,
        end=key in _NUMBERS,
    )


_NUMBERS: Final = ("cpu", "memory", "disk", "temperature", "report", "waiting")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def _as_csv(views: Iterable[SiteView]) -> bytes:
    out = io.StringIO()
    writer = csv_format.writer(out)
    head = ("site", "name", "standing", "reason", "release", "desired_release", "generation", "reported_generation")
    writer.writerow((*head, "last_report_at", "club", "city", "region"))
    for view in views:
        said = summary_of(view)
        reported = said.last_report_at.isoformat() if said.last_report_at else ""
        running = said.release.version if said.release else ""
        stands = (said.site, said.name, said.standing, said.reason, running, said.desired_release or "")
        reached = (str(said.generation), str(said.reported_generation or ""), reported)
        place = (fact(view, "club"), fact(view, "city"), fact(view, "region"))
        writer.writerow([_tame(cell) for cell in (*stands, *reached, *place)])
    return out.getvalue().encode()


def _tame(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
