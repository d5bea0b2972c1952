"""The sites as readers look for them: by words, by filters, in an order. The address holds the question."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from msgspec import Struct

from control_plane.store.views import STANDINGS, Fleet, SiteView, running_release
from control_plane.web.present import fact, visible_to
from control_plane.web.visit import Room, Visit
from schemas.names import SiteId

MAX_TEXT: Final = 100
FACETS: Final = ("standing", "sport", "region", "group", "release", "state", "tenant", "connectivity")
"""What sites are filtered by, beside the text; each is a key of the address."""


class Query(Struct, frozen=True, kw_only=True):
    """What the reader asks for; `page` counts from 1, `sort` is a key of SORTED, `-` before it turns it round."""

    text: str = ""
    facets: Mapping[str, str] = {}
    sort: str = ""
    page: int = 1

    def address(self, **changed: str | int) -> str:
        """The query of the address that asks for this, with these changes."""
        asked: dict[str, str | int] = {"q": self.text, **self.facets, "sort": self.sort}
        given = {key: value for key, value in (asked | changed).items() if value not in ("", 1)}
        return "?" + urlencode(given)


def query_of(given: Mapping[str, str]) -> Query:
    """The question in an address; what makes no sense asks for nothing."""
    sort, page = given.get("sort", ""), given.get("page", "")
    return Query(
        text=given.get("q", "")[:MAX_TEXT],
        facets={key: given[key][:MAX_TEXT] for key in FACETS if given.get(key)},
        sort=sort if sort.removeprefix("-") in SORTED else "",
        page=int(page) if page.isascii() and page.isdecimal() and len(page) < 7 else 1,
    )


class _Entry(NamedTuple):
    """What is looked for in a site: its values for each filter, its words, its place by attention."""

    view: SiteView
    facets: Mapping[str, Sequence[str]]
    words: str
    attention: tuple[bool, int, str]


class Directory:
    """The sites of one look, made out of the one before: only sites of which something is new are worked out again."""

    def __init__(self, views: Iterable[SiteView], before: "Directory | None" = None) -> None:
        self._known: dict[SiteId, _Entry] = {}
        for view in views:
            entry = before._known.get(view.site) if before else None
            self._known[view.site] = entry if entry is not None and entry.view is view else _entry(view)
        self._ordered = sorted(self._known.values(), key=lambda entry: entry.attention)
        self.counts: Mapping[str, Counter[str]] = {
            key: Counter(chain.from_iterable(entry.facets[key] for entry in self._ordered)) for key in FACETS
        }
        """How many sites have which value, by filter."""

    def __len__(self) -> int:
        return len(self._known)

    def select(self, query: Query) -> list[SiteView]:
        """The sites that are asked for, in the order that is asked for; by attention if none is."""
        found = [entry.view for entry in self._ordered if _matches(entry, query)]
        column = query.sort.removeprefix("-")
        if not column:
            return found
        by = [(SORTED[column](view), view) for view in found]
        known = sorted(
            ((value, view) for value, view in by if value is not None),
            key=lambda pair: pair[0],
            reverse=query.sort.startswith("-"),
        )
        return [*(view for _, view in known), *(view for value, view in by if value is None)]


async def directory_of(room: Room, visit: Visit) -> tuple[Fleet, Directory]:
    """The fleet as it is looked at now, and all of it that the reader may know of."""
    fleet, tenant = await room.lookout.fleet(), visit.reader.tenant
    return fleet, room.kept.renewed(
        fleet, ("directory", tenant), lambda before: Directory(visible_to(fleet, tenant).sites, before)
    )


def _entry(view: SiteView) -> _Entry:
    said = (view.site, view.name, *(fact(view, key) for key in view.facts), view.desired_release or "")
    # A site that is only planned needs nobody's attention.
    attention = (not view.has_identity, STANDINGS.index(view.verdict.standing), view.name.casefold())
    return _Entry(view, {key: _facet(view, key) for key in FACETS}, " ".join(said).casefold(), attention)


def _matches(entry: _Entry, query: Query) -> bool:
    if any(wanted not in entry.facets[key] for key, wanted in query.facets.items()):
        return False
    return not query.text or all(word in entry.words for word in query.text.casefold().split())


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


def _version(view: SiteView) -> tuple[tuple[int, int | str], ...] | None:
    running = running_release(view)
    if running is None:
        return None
    return tuple((0, int(part)) if part.isdecimal() else (1, part) for part in running.version.split("."))


SORTED: Final[Mapping[str, Callable[[SiteView], Any]]] = {
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
