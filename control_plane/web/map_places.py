"""Which sites one mark of the map stands for: pure.

Sites are gathered by a grid that lies fixed on the plane, so that neither moving the window nor a site's state changes
what belongs together; only the zoom does.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from control_plane.store.views import STANDINGS, SiteView
from control_plane.web.map_plane import Point, Rect, bounds, project
from schemas.api import Standing

APART: Final = 0.72
"""No two marks lie closer than so many sides of a cell."""
_ATTENTION: Final[Mapping[Standing, int]] = {standing: rank for rank, standing in enumerate(STANDINGS)}
_Cell = tuple[int, int]


class Spot(NamedTuple):
    """A site and its point of the plane."""

    x: float
    y: float
    site: SiteView


class Place(Struct, frozen=True, kw_only=True):
    """Sites that lie together; `extent` has them all, `middle` is that of most. `key` names the place at its zoom."""

    key: str
    middle: Point
    extent: Rect
    sites: Sequence[SiteView]
    counts: Mapping[Standing, int]
    """Only standings that some have, the gravest first."""

    @property
    def worst(self) -> Standing:
        """The standing that needs attention first."""
        return next(iter(self.counts))


def locate(views: Iterable[SiteView]) -> tuple[list[Spot], list[SiteView]]:
    """The sites with their points, and those whose files give none."""
    spots: list[Spot] = []
    placeless: list[SiteView] = []
    for view in views:
        at = view.facts.get("at")
        if at is None:
            placeless.append(view)
        else:
            x, y = project(*at)
            spots.append(Spot(x, y, view))
    return spots, placeless


def gather(spots: Iterable[Spot], side: float) -> list[Place]:
    """Every spot in one place: the spots of a cell of the grid are one, and cells whose marks would overlap."""
    cells: dict[_Cell, list[Spot]] = {}
    for spot in spots:
        cells.setdefault((math.floor(spot.x / side), math.floor(spot.y / side)), []).append(spot)
    middles = {cell: _middle(found) for cell, found in cells.items()}
    joined = _joined(cells, middles, side)
    return [_place(cell, middles[cell], found) for cell, found in joined.items()]


def attention(view: SiteView) -> tuple[int, str, str]:
    """What sorts sites by how much they need somebody."""
    return _ATTENTION[view.verdict.standing], view.name.casefold(), view.site


def _joined(cells: Mapping[_Cell, list[Spot]], middles: Mapping[_Cell, Point], side: float) -> dict[_Cell, list[Spot]]:
    """The fullest cell takes in those of its neighbours that are too close, then the next one does."""
    joined: dict[_Cell, list[Spot]] = {}
    taken: set[_Cell] = set()
    for cell in sorted(cells, key=lambda cell: (-len(cells[cell]), cell)):
        if cell in taken:
            continue
        near = [other for other in _around(cell) if other in cells and other not in taken]
        close = [other for other in near if math.dist(middles[cell], middles[other]) < APART * side]
        joined[cell] = [spot for one in (cell, *close) for spot in cells[one]]
        taken.update((cell, *close))
    return joined


def _around(cell: _Cell) -> list[_Cell]:
    column, row = cell
    return [(column + x, row + y) for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y]


def _middle(spots: Sequence[Spot]) -> Point:
    return Point(sum([spot.x for spot in spots]) / len(spots), sum([spot.y for spot in spots]) / len(spots))


def _place(cell: _Cell, middle: Point, spots: Sequence[Spot]) -> Place:
    counts = Counter([spot.site.verdict.standing for spot in spots])
    return Place(
        key=f"{cell[0]}.{cell[1]}",
        middle=middle,
        extent=bounds(spots),
        sites=[spot.site for spot in spots],
        counts={standing: counts[standing] for standing in STANDINGS if standing in counts},
    )
