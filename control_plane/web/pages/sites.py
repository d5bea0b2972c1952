"""Every site in one table: searched, filtered, sorted; the address holds the question. Also as CSV and JSON."""

import csv as csv_format
import io
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from control_plane.store.views import STANDINGS, Fleet, SiteView, running_release, standings, summary_of
from control_plane.web.present import SiteRow, fact, site_row, visible_to
from control_plane.web.visit import Download, Room, Shown, Visit
from control_plane.web.words import Words
from schemas.names import SiteId

PAGE_SITES: Final = 100
MAX_TEXT: Final = 100
FACETS: Final = ("standing", "sport", "region", "group", "release", "state", "tenant", "connectivity")
"""What the table is filtered by, beside the text; each is a key of the address."""


class Query(Struct, frozen=True, kw_only=True):
    """What the reader asks for; `page` counts from 1, `sort` is a column, `-` before it turns it round."""

    text: str = ""
    facets: Mapping[str, str] = {}
    sort: str = ""
    page: int = 1

    def address(self, **changed: str | int) -> str:
        """The query of the address that asks for this, with these changes."""
        asked: dict[str, str | int] = {"q": self.text, **self.facets, "sort": self.sort}
        given = {key: value for key, value in (asked | changed).items() if value not in ("", 1)}
        return "?" + urlencode(given)


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


class Register(NamedTuple):
    """The sites that a reader may know of, by attention, and how many of them have which value of each filter."""

    views: Sequence[SiteView]
    counts: Mapping[str, Counter[str]]


Texts = Mapping[SiteId, str]
"""What a search looks through, by site."""


async def show(room: Room, visit: Visit) -> Shown:
    """The table."""
    look, query = await room.lookout.fleet(), query_of(visit.query)
    register, texts = _kept(room, look, visit, query)
    return Shown("sites.html", sites_page(register, texts, query, look.read_at, visit.words))


async def csv(room: Room, visit: Visit) -> Download:
    """The asked sites as CSV (RFC 4180), every one of them."""
    return Download("sites.csv", "text/csv", _as_csv(await _asked(room, visit)))


async def json(room: Room, visit: Visit) -> Download:
    """The asked sites as `GET /v1/sites` gives them."""
    body = msgspec.json.encode([summary_of(view) for view in await _asked(room, visit)])
    return Download("sites.json", "application/json", body)


async def _asked(room: Room, visit: Visit) -> Sequence[SiteView]:
    query = query_of(visit.query)
    register, texts = _kept(room, await room.lookout.fleet(), visit, query)
    return select(register.views, texts, query)


def _kept(room: Room, look: Fleet, visit: Visit, query: Query) -> tuple[Register, Texts]:
    """What all of a reader's questions to one look need, made once; texts only for a search."""
    tenant = visit.reader.tenant
    register = room.kept.of(look, ("register", tenant), lambda: register_of(visible_to(look, tenant).sites))
    if not query.text:
        return register, {}
    return register, room.kept.of(
        look, ("texts", tenant), lambda: {view.site: text_of(view) for view in register.views}
    )


def register_of(views: Iterable[SiteView]) -> Register:
    """The register of these sites."""
    ordered = sorted(views, key=_attention)
    return Register(ordered, counts_of(ordered))


def counts_of(views: Sequence[SiteView]) -> dict[str, Counter[str]]:
    """How many of these sites have which value of each filter."""
    counts = {key: Counter(value for view in views for value in _facet(view, key)) for key in FACETS}
    return counts | {"standing": Counter({word: number for word, number in standings(views).items() if number})}


def text_of(view: SiteView) -> str:
    """What a search looks through."""
    said = (view.site, view.name, *(fact(view, key) for key in view.facts), view.desired_release or "")
    return " ".join(said).casefold()


def query_of(given: Mapping[str, str]) -> Query:
    """The question in an address; what makes no sense asks for nothing."""
    sort, page = given.get("sort", ""), given.get("page", "")
    return Query(
        text=given.get("q", "")[:MAX_TEXT],
        facets={key: given[key][:MAX_TEXT] for key in FACETS if given.get(key)},
        sort=sort if sort.removeprefix("-") in _SORTED else "",
        page=int(page) if page.isascii() and page.isdecimal() and len(page) < 7 else 1,
    )


def sites_page(register: Register, texts: Texts, query: Query, now: datetime, words: Words) -> SitesPage:
    """The table of these sites."""
    wanted = select(register.views, texts, query)
    pages = max(1, -(-len(wanted) // PAGE_SITES))
    page = min(max(1, query.page), pages)
    shown = msgspec.structs.replace(query, page=page)
    return SitesPage(
        rows=[site_row(view, now, words) for view in wanted[(page - 1) * PAGE_SITES : page * PAGE_SITES]],
        columns=[_column(key, shown, words) for key in _SORTED],
        choices=list(choices_of(register.counts, shown, words)),
        matching=len(wanted),
        all=len(register.views),
        query=shown,
        pages=pages,
        previous=shown.address(page=page - 1) if page > 1 else "",
        next=shown.address(page=page + 1) if page < pages else "",
        csv="/sites.csv" + shown.address(page=1),
        json="/sites.json" + shown.address(page=1),
    )


def select(views: Sequence[SiteView], texts: Texts, query: Query) -> Sequence[SiteView]:
    """The sites that are asked for, in the order that is asked for; as they are given if none is."""
    asked = bool(query.facets or query.text)
    found = [view for view in views if matches(view, query, texts.get(view.site))] if asked else views
    column = query.sort.removeprefix("-")
    if not column:
        return found
    known = [(value, view) for view in found if (value := _SORTED[column](view)) is not None]
    unknown = [view for view in found if _SORTED[column](view) is None]
    ordered = sorted(known, key=lambda pair: pair[0], reverse=query.sort.startswith("-"))
    return [*(view for _, view in ordered), *unknown]


def matches(view: SiteView, query: Query, text: str | None = None) -> bool:
    """Whether the question asks for the site; `text`: what a search looks through, where it was made before."""
    if any(wanted not in _facet(view, key) for key, wanted in query.facets.items()):
        return False
    words = query.text.casefold().split()
    if not words:
        return True
    haystack = text_of(view) if text is None else text
    return all(word in haystack for word in words)


def _facet(view: SiteView, key: str) -> Sequence[str]:
    """The values that a site has for a filter."""
    match key:
        case "standing":
            return (view.verdict.standing,)
        case "state":
            return (view.state,)
        case "release":
            return (running.version,) if (running := running_release(view)) else ()
        case "sport" | "group":
            return [str(one) for one in view.facts.get(f"{key}s", ())]
        case "connectivity":
            return (str(view.facts.get(key, "always")),)
        case _:
            return (str(view.facts[key]),) if view.facts.get(key) else ()


def choices_of(known: Mapping[str, Counter[str]], query: Query, words: Words) -> Iterable[Choice]:
    """The filters that tell sites apart, or that are set. `known`: as `counts_of` gives it."""
    for key in FACETS:
        counts, chosen = known[key], query.facets.get(key, "")
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


def _attention(view: SiteView) -> tuple[bool, int, str]:
    # A site that is only planned needs nobody's attention.
    return (not view.has_identity, STANDINGS.index(view.verdict.standing), view.name.casefold())


def _version(view: SiteView) -> tuple[tuple[int, int | str], ...] | None:
    running = running_release(view)
    if running is None:
        return None
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in running.version.split("."))


_SORTED: Final[Mapping[str, Callable[[SiteView], Any]]] = {
    "site": lambda view: view.name.casefold(),
    "state": lambda view: STANDINGS.index(view.verdict.standing),
    "release": _version,
    "cpu": lambda view: view.report.metrics.cpu_percent if view.report else None,
    "memory": lambda view: view.report.metrics.memory_percent if view.report else None,
    "disk": lambda view: view.report.metrics.disk_used_percent if view.report else None,
    "temperature": lambda view: view.report.metrics.temperature_celsius if view.report else None,
    "report": lambda view: view.received_at,
    "waiting": lambda view: len(view.report.waiting) if view.report else None,
}
"""Columns -> what they are sorted by; None: the site has none, and comes last either way."""
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
