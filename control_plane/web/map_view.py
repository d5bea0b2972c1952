"""The map as its templates show it: a window with marks, and the list beside it that says the same; pure."""

import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from msgspec import Struct

from control_plane.store.views import STANDINGS, SiteView, standings
from control_plane.web.map_marks import Mark, SiteLink, Writer, most_common
from control_plane.web.map_outlines import Drawn, NoOutlines, Outlines
from control_plane.web.map_places import Place, attention, gather, locate
from control_plane.web.map_plane import (
    MOST_ZOOM,
    X_OF_LON,
    Y_OF_LAT,
    Point,
    Rect,
    Window,
    project,
    unproject,
    whole_of,
    window,
)
from control_plane.web.present import Segment, fact, standing_bar
from control_plane.web.words import Words

CELLS: Final = 14
"""Columns in a window of the grid that gathers sites."""
MARK_UNITS: Final = 640
"""A window is so many of a mark's own units wide."""
SHOWN_FAR: Final = 40
SHOWN_PLACELESS: Final = 200
SHOWN_REGIONS: Final = 24
_STEPS: Final = (20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Degrees between lines of latitude and longitude."""


class Asked(Struct, frozen=True, kw_only=True):
    """What a reader asks to see: how close, around which point."""

    zoom: int = 0
    at: Point | None = None


class RegionMarks(Struct, frozen=True, kw_only=True):
    """The marks of a region. What lies across a border belongs to where most of its sites do.

    `link` leads to the window that shows them all, '' where none is closer.
    """

    name: str
    link: str
    marks: Sequence[Mark]


class Line(Struct, frozen=True, kw_only=True):
    """A line of latitude or longitude as a path, and its name with its place."""

    path: str
    label: str
    x: str
    y: str


class Move(Struct, frozen=True, kw_only=True):
    """A way to another window; `link` is '' where none leads there."""

    key: str
    label: str
    link: str


class MapView(Struct, frozen=True, kw_only=True):
    """The map. `box` is the window, `unit` how much of the plane a mark's own unit is.

    `regions` are in the window, `far` outside of it, `placeless` nowhere: every site is in one of them.
    """

    label: str
    box: str
    unit: str
    moves: Sequence[Move]
    drawn: Drawn | None
    lines: Sequence[Line]
    regions: Sequence[RegionMarks]
    far: Sequence[Mark]
    more_far: int
    placeless: Sequence[SiteLink]
    more_placeless: int
    without: str
    placed: bool
    zoom: int
    plane: str
    """What the page's script needs to write a window's address, as `project` has it."""


class RegionRow(Struct, frozen=True, kw_only=True):
    """A region in a line: how its sites stand."""

    name: str
    link: str
    count: str
    bar: Sequence[Segment]
    said: str


class OverviewMap(Struct, frozen=True, kw_only=True):
    """The map on the first page, whose marks lead to the map's own page; `regions` beside it."""

    map: MapView
    regions: Sequence[RegionRow]
    more_regions: int


def asked_of(given: Mapping[str, str]) -> Asked:
    """The window that an address asks for; what makes no sense asks for nothing."""
    zoom = given.get("zoom", "")
    level = int(zoom) if zoom.isascii() and zoom.isdecimal() and len(zoom) < 4 else 0
    return Asked(zoom=min(level, MOST_ZOOM), at=_point(given.get("at", "")))


def _point(text: str) -> Point | None:
    try:
        lat, lon = (float(part) for part in text[:60].split(","))
    except ValueError:
        return None
    return project(lat, lon) if abs(lat) <= 90 and abs(lon) <= 180 else None


def map_view(
    views: Iterable[SiteView],
    asked: Asked,
    outlines: Outlines | NoOutlines,
    words: Words,
    *,
    here: str = "/map",
    named: bool = True,
) -> MapView:
    """The map of these sites; `here` and `named` as for a Writer."""
    spots, placeless = locate(views)
    seen = window(whole_of(spots), asked.zoom, asked.at)
    write, shown = Writer(seen, words, here, named=named), seen.shown
    inside = [spot for spot in spots if shown.holds(spot.x, spot.y)]
    outside = [spot for spot in spots if not shown.holds(spot.x, spot.y)]
    far = sorted(gather(outside, seen.whole.width / 3), key=_first_the_gravest)
    drawn = _drawn(outlines, seen)
    return MapView(
        label=words.count("map.label", len(inside)),
        box=" ".join(write.number(edge) for edge in shown),
        unit=f"{shown.width / MARK_UNITS:.5g}",
        moves=list(_moves(seen, write, words)),
        drawn=drawn,
        lines=[] if drawn else list(_lines(shown, write)),
        regions=[
            RegionMarks(
                name=name or words("map.no.region"),
                link=write.around(places) if name else "",
                marks=[write.mark(place) for place in places],
            )
            for name, places in _by_region(gather(inside, shown.width / CELLS))
        ],
        far=[write.far_mark(place) for place in far[:SHOWN_FAR]],
        more_far=sum(len(place.sites) for place in far[SHOWN_FAR:]),
        placeless=[write.site(view) for view in sorted(placeless, key=attention)[:SHOWN_PLACELESS]] if named else (),
        more_placeless=max(0, len(placeless) - SHOWN_PLACELESS),
        without=words.count("map.without", len(placeless)) if placeless else "",
        placed=bool(spots),
        zoom=seen.zoom,
        plane=" ".join(str(number) for number in (*X_OF_LON, *Y_OF_LAT)),
    )


def overview_map(views: Sequence[SiteView], outlines: Outlines | NoOutlines, words: Words) -> OverviewMap | None:
    """The map on the first page; None while no site has a place."""
    shown = map_view(views, Asked(), outlines, words, named=False)
    if not shown.placed:
        return None
    found: dict[str, list[SiteView]] = {}
    for view in views:
        found.setdefault(fact(view, "region"), []).append(view)
    largest = sorted(found, key=lambda name: (-len(found[name]), name))[:SHOWN_REGIONS]
    return OverviewMap(
        map=shown,
        regions=[_region_row(name, found[name], words) for name in sorted(largest, key=_nameless_last)],
        more_regions=len(found) - len(largest),
    )


def same_on_map(one: Sequence[SiteView], other: Sequence[SiteView]) -> bool:
    """Whether a map of these sites is a map of those: a report seldom changes what a map shows."""
    return len(one) == len(other) and all(a is b or _on_map(a) == _on_map(b) for a, b in zip(one, other, strict=True))


def _on_map(view: SiteView) -> tuple[object, ...]:
    facts = [view.facts.get(key) for key in ("at", "region", "city")]
    return (view.site, view.name, view.verdict.standing, *facts)


def _region_row(name: str, views: Sequence[SiteView], words: Words) -> RegionRow:
    """Every site of the region, whether it has a place or not."""
    bar = standing_bar(standings(views), len(views), words)
    return RegionRow(
        name=name or words("map.no.region"),
        link="/map?" + urlencode({"region": name}) if name else "",
        count=words.number(len(views)),
        bar=bar,
        said=", ".join(segment.text for segment in bar),
    )


def _by_region(places: Iterable[Place]) -> list[tuple[str, list[Place]]]:
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(most_common(place.sites, "region"), []).append(place)
    return [(name, sorted(found[name], key=_first_the_gravest)) for name in sorted(found, key=_nameless_last)]


def _nameless_last(name: str) -> tuple[bool, str, str]:
    return not name, unicodedata.normalize("NFKD", name).casefold(), name


def _first_the_gravest(place: Place) -> tuple[int, int, str]:
    return STANDINGS.index(place.worst), -len(place.sites), place.key


def _drawn(outlines: Outlines | NoOutlines, seen: Window) -> Drawn | None:
    """The outlines in the window, if there are any."""
    if isinstance(outlines, NoOutlines):
        return None
    drawn = outlines.within(seen.shown, seen.zoom)
    return drawn if drawn.departments else None


def _moves(seen: Window, write: Writer, words: Words) -> Iterator[Move]:
    """Closer, farther, the whole; and half a window to each side."""
    shown, zoom = seen.shown, seen.zoom
    (x, y), right, down = shown.middle, shown.width / 2, shown.height / 2
    ways = {
        "in": (zoom + 1, Point(x, y)),
        "out": (zoom - 1, Point(x, y)),
        "all": (0, Point(x, y)),
        "west": (zoom, Point(x - right, y)),
        "north": (zoom, Point(x, y - down)),
        "south": (zoom, Point(x, y + down)),
        "east": (zoom, Point(x + right, y)),
    }
    for key, (to, at) in ways.items():
        there = 0 <= to <= MOST_ZOOM and (zoom > 0 or key == "in")
        yield Move(key=key, label=words(f"map.{key}"), link=write.address(to, at) if there else "")


def _lines(shown: Rect, write: Writer) -> Iterator[Line]:
    """Lines of latitude and longitude, for a window where no outline says where one is."""
    far_corner = Point(shown.x + shown.width, shown.y + shown.height)
    (north, west), (south, east) = unproject(Point(shown.x, shown.y)), unproject(far_corner)
    step = next((step for step in _STEPS if (east - west) / step >= 4), _STEPS[-1])
    for number in range(math.ceil(south / step), math.floor(north / step) + 1):
        y = write.number(project(number * step, 0).y)
        path = f"M{write.number(shown.x)} {y}h{write.number(shown.width)}"
        yield Line(path=path, label=_degrees(number * step, "N", "S"), x=write.number(shown.x), y=y)
    for number in range(math.ceil(west / step), math.floor(east / step) + 1):
        x, bottom = write.number(project(0, number * step).x), write.number(shown.y + shown.height)
        path = f"M{x} {write.number(shown.y)}v{write.number(shown.height)}"
        yield Line(path=path, label=_degrees(number * step, "E", "W"), x=x, y=bottom)


def _degrees(degrees: float, ahead: str, behind: str) -> str:
    return f"{abs(degrees):g}° {behind if degrees < 0 else ahead}"
