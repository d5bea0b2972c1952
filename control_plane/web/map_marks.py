"""Marks on the map and what they say: of one site, or of several that lie together; pure."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct

from control_plane.store.views import SiteView
from control_plane.web.map_places import Place, attention
from control_plane.web.map_plane import MOST_ZOOM, Point, Window, bounds, unproject, zoom_for
from control_plane.web.words import Words
from schemas.api import Standing

ONE_RADIUS: Final = 10.5
MOST_RADIUS: Final = 16.4
"""Less than half of what two marks are apart, so that none covers another."""
CORNER: Final = 0.8
"""Where on a mark of several the sign of the gravest standing sits, to the right and up, in radii."""
SHOWN_SITES: Final = 4
SHOWN_NEAREST: Final = 200
"""Of a place the list names so many sites; of one that no zoom takes apart any more, so many."""
FAR_ZOOM: Final = 4
"""What is looked at as a whole, a region or what lies elsewhere, is looked at from no closer."""


class Arc(Struct, frozen=True, kw_only=True):
    """A part of the ring around a mark, in percent of it."""

    standing: Standing
    start: float
    length: float


class SiteLink(Struct, frozen=True, kw_only=True):
    """A site by its name."""

    name: str
    link: str
    standing: Standing
    word: str


class Mark(Struct, frozen=True, kw_only=True):
    """What stands for a place on the map and in the list. `label` says all of it; `count` is '' for one site."""

    key: str
    x: str
    y: str
    radius: float
    corner: float
    link: str
    title: str
    said: str
    label: str
    count: str
    standing: Standing
    arcs: Sequence[Arc]
    sites: Sequence[SiteLink]
    more: int


class Writer:
    """Writes marks for a window in the reader's language.

    `here` is the address of the map without its window; `named`: the list names sites of each place.
    """

    def __init__(self, shown: Window, words: Words, here: str, *, named: bool) -> None:
        self._shown, self._words, self._here = shown, words, here
        self._nearest = shown.zoom == MOST_ZOOM
        self._most = (SHOWN_NEAREST if self._nearest else SHOWN_SITES) if named else 0

    def mark(self, place: Place) -> Mark:
        """A mark in the window: of one site it leads to it, of several closer; from the closest zoom to the list."""
        if len(place.sites) == 1:
            site = self.site(place.sites[0])
            return self._mark(place, title=site.name, said=site.word, link=site.link)
        link = f"#place-{place.key}"
        if not self._nearest:
            zoom = zoom_for(self._shown.whole, place.extent, least=self._shown.zoom + 1)
            link = self.address(zoom, place.extent.middle)
        return self._mark(place, title=self._title(place, "city"), said=self._said(place), link=link)

    def far_mark(self, place: Place) -> Mark:
        """A mark of what lies outside of the window: it leads to a window that shows it."""
        zoom = min(FAR_ZOOM, zoom_for(self._shown.whole, place.extent, least=1))
        link = self.address(zoom, place.extent.middle)
        alone = len({site.facts.get("region") for site in place.sites}) == 1
        title = self._title(place, "region" if alone else "regions")
        return self._mark(place, title=title, said=self._said(place), link=link)

    def around(self, places: Sequence[Place]) -> str:
        """The address of the closest window that shows all of these; '' where that is no closer than this one."""
        extents = [place.extent for place in places]
        ends = [Point(one.x + one.width, one.y + one.height) for one in extents]
        part = bounds([*extents, *ends])
        zoom = min(FAR_ZOOM, zoom_for(self._shown.whole, part, least=0))
        return self.address(zoom, part.middle) if zoom > self._shown.zoom else ""

    def site(self, view: SiteView) -> SiteLink:
        """A site as lists name it."""
        standing = view.verdict.standing
        word = self._words(f"standing.{standing}")
        return SiteLink(name=view.name or view.site, link=f"/sites/{view.site}", standing=standing, word=word)

    def address(self, zoom: int, at: Point) -> str:
        """The address of a window."""
        lat, lon = unproject(at)
        joint = "&" if "?" in self._here else "?"
        return f"{self._here}{joint}zoom={zoom}&at={lat:.5f},{lon:.5f}" if zoom else self._here

    def number(self, units: float) -> str:
        """A coordinate, to less than a tenth of a pixel of the window."""
        return f"{units:.{1 + self._shown.zoom // 2}f}"

    def _mark(self, place: Place, *, title: str, said: str, link: str) -> Mark:
        number = len(place.sites)
        radius, most = radius_of(number), min(self._most, number)
        return Mark(
            key=place.key,
            x=self.number(place.middle.x),
            y=self.number(place.middle.y),
            radius=radius,
            corner=round(radius * CORNER, 1),
            link=link,
            title=title,
            said=said,
            label=f"{title}, {said}",
            count=self._words.number(number) if number > 1 else "",
            standing=place.worst,
            arcs=list(_arcs(place)) if number > 1 else (),
            sites=[self.site(view) for view in sorted(place.sites, key=attention)[:most]] if most else (),
            more=number - most,
        )

    def _title(self, place: Place, key: str) -> str:
        number, where = len(place.sites), most_common(place.sites, key.removesuffix("s"))
        if not where:
            return self._words.count("map.sites", number)
        return self._words.count(f"map.sites.{key}", number, where=where)

    def _said(self, place: Place) -> str:
        words, counts = self._words, place.counts.items()
        return ", ".join(f"{words(f'standing.{s}')}{words('colon')}{words.number(n)}" for s, n in counts)


def radius_of(sites: int) -> float:
    """How large a mark is, by how many sites it stands for: from one to ten thousand."""
    return round(ONE_RADIUS + (MOST_RADIUS - ONE_RADIUS) * min(1.0, math.log10(sites) / 4), 1)


def most_common(sites: Sequence[SiteView], key: str) -> str:
    """What most of these have for a fact, the first by alphabet of several; '' where it is nothing."""
    counts = Counter([str(site.facts.get(key, "")) for site in sites])
    return min(counts, key=lambda value: (-counts[value], value))


def _arcs(place: Place) -> Iterator[Arc]:
    start, total = 0.0, len(place.sites)
    for standing, number in place.counts.items():
        length = 100 * number / total
        yield Arc(standing=standing, start=round(start, 2), length=round(length, 2))
        start += length
