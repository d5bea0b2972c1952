"""What the map shows: every site once, never calmer than it is; and the list beside it that says the same."""

import math
import random
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from control_plane.core.standing import Verdict
from control_plane.store.views import STANDINGS, SiteView
from control_plane.web.map_marks import MOST_RADIUS, ONE_RADIUS, SHOWN_NEAREST, SHOWN_SITES, Mark, radius_of
from control_plane.web.map_outlines import NoOutlines
from control_plane.web.map_places import APART, Spot, gather, locate
from control_plane.web.map_plane import MOST_ZOOM, project
from control_plane.web.map_view import (
    CELLS,
    MARK_UNITS,
    Asked,
    MapView,
    asked_of,
    map_view,
    overview_map,
    same_on_map,
)
from control_plane.web.words import Words
from schemas.api import Standing

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NONE = NoOutlines(path="/nowhere", why="missing")
EN, FR = Words("en"), Words("fr")
Place = tuple[float, float]
BREST, QUIMPER, LILLE, REUNION = (48.3904, -4.4861), (47.996, -4.1024), (50.6292, 3.0573), (-20.8789, 55.4481)


def site(name: str, at: Place | None = None, standing: Standing = "Synced", **facts: str) -> SiteView:
    return SiteView(
        site=name,
        name=name.title(),
        state="active",
        gone=False,
        has_identity=True,
        revoked=False,
        generation=1,
        manifest="sha256:" + "0" * 64,
        commit="0" * 40,
        published_at=NOW,
        desired_release=None,
        facts={**facts, **({"at": list(at)} if at else {})},
        received_at=None,
        report=None,
        verdict=Verdict(standing=standing, reason="Because", message="Because."),
    )


def marks(found: MapView) -> list[Mark]:
    return [mark for region in found.regions for mark in region.marks]


def number(mark: Mark) -> int:
    return int(mark.count.replace(",", "")) if mark.count else 1


near_france = st.tuples(st.floats(42, 51), st.floats(-5, 9))
anywhere = st.tuples(st.floats(-90, 90), st.floats(-180, 180))
sites = st.lists(st.tuples(near_france | anywhere | st.none(), st.sampled_from(STANDINGS)), max_size=60).map(
    lambda found: [site(f"s{number:03d}", at, standing) for number, (at, standing) in enumerate(found)]
)


@given(sites, st.floats(0.1, 500))
def test_every_site_is_in_one_place_or_has_none(views: list[SiteView], side: float) -> None:
    spots, placeless = locate(views)
    gathered = [view.site for place in gather(spots, side) for view in place.sites]
    assert sorted([*gathered, *(view.site for view in placeless)]) == [view.site for view in views]
    assert all("at" not in view.facts for view in placeless)


@given(sites, st.floats(0.1, 500))
def test_place_is_as_grave_as_its_gravest_site_and_counts_each(views: list[SiteView], side: float) -> None:
    for place in gather(locate(views)[0], side):
        standings = [view.verdict.standing for view in place.sites]
        assert place.worst == min(standings, key=STANDINGS.index)
        assert dict(place.counts) == Counter(standings)
        assert list(place.counts) == sorted(place.counts, key=STANDINGS.index)


@given(sites, st.floats(0.1, 500), st.randoms(use_true_random=False))
def test_places_are_apart_and_depend_neither_on_order_nor_on_standing(
    views: list[SiteView], side: float, chance: random.Random
) -> None:
    spots = locate(views)[0]
    places = gather(spots, side)
    for one, other in ((a, b) for a in places for b in places if a.key < b.key):
        assert math.dist(one.middle, other.middle) >= APART * side * 0.999
    shuffled = [Spot(spot.x, spot.y, site(spot.site.site, standing=chance.choice(STANDINGS))) for spot in spots]
    chance.shuffle(shuffled)
    again = gather(shuffled, side)
    assert {frozenset(view.site for view in place.sites) for place in again} == {
        frozenset(view.site for view in place.sites) for place in places
    }
    assert sorted(place.key for place in again) == sorted(place.key for place in places)


@given(sites, st.integers(0, MOST_ZOOM), near_france)
def test_window_and_what_is_outside_of_it_and_the_placeless_are_all_sites(
    views: list[SiteView], zoom: int, at: Place
) -> None:
    found = map_view(views, Asked(zoom=zoom, at=project(*at)), NONE, EN)
    shown = sum(map(number, marks(found)))
    far = sum(map(_counted, found.far))
    assert shown + far + found.more_far + len(found.placeless) + found.more_placeless == len(views)
    everyone = Counter(view.verdict.standing for view in views if "at" in view.facts)
    said = Counter[str]()
    for mark in (*marks(found), *found.far):
        said.update(_said(mark))
    if not found.more_far:
        assert said == Counter({EN(f"standing.{standing}"): n for standing, n in everyone.items()})


def _counted(far: Mark) -> int:
    """How many sites the title of a mark outside of the window says: `La Réunion: 2 sites`, or `2 sites`."""
    return int(far.title.rpartition(" site")[0].split()[-1])


def _said(mark: Mark) -> dict[str, int]:
    """How many sites stand how, by the words that a mark says."""
    if ": " not in mark.said:
        return {mark.said: 1}
    return {word: int(n) for word, n in (part.split(": ") for part in mark.said.split(", "))}


def test_marks_never_cover_each_other() -> None:
    pixels = MARK_UNITS / CELLS * APART
    assert 2 * radius_of(10_000_000) == 2 * MOST_RADIUS < pixels
    assert radius_of(1) == ONE_RADIUS
    assert [radius_of(n) for n in (1, 2, 10, 100, 5000)] == sorted({radius_of(n) for n in (1, 2, 10, 100, 5000)})


def test_site_alone_is_a_link_to_it_with_its_name_and_standing() -> None:
    found = map_view([site("brest xv", BREST, "Degraded", region="Bretagne")], Asked(), NONE, EN)
    (mark,) = marks(found)
    assert (mark.label, mark.link, mark.count, mark.standing) == (
        "Brest Xv, Degraded",
        "/sites/brest xv",
        "",
        "Degraded",
    )
    assert found.regions[0].name == "Bretagne"
    assert map_view([site("brest", BREST)], Asked(), NONE, FR).label == "Carte de 1 site"


def test_sites_together_are_a_link_to_a_window_that_takes_them_apart() -> None:
    views = [
        site("a", BREST, "Offline", city="Brest"),
        site("b", (48.40, -4.50), city="Brest"),
        site("c", QUIMPER, city="Quimper"),
    ]
    (mark,) = marks(map_view(views, Asked(), NONE, EN))
    assert mark.label == "3 sites around Brest, Offline: 1, Synced: 2"
    assert (mark.count, mark.standing, [arc.length for arc in mark.arcs]) == ("3", "Offline", [33.33, 66.67])
    assert [(one.name, one.word) for one in mark.sites] == [("A", "Offline"), ("B", "Synced"), ("C", "Synced")]
    closer = map_view(views, _asked(mark.link), NONE, EN)
    assert sorted(map(number, marks(closer))) == [1, 2]
    assert closer.far == []
    (both,) = [one for one in marks(closer) if one.count]
    closest = map_view(views, _asked(both.link), NONE, EN)
    assert sorted(map(number, marks(closest))) == [1, 1]


def _asked(link: str) -> Asked:
    path, _, query = link.partition("?")
    assert path == "/map"
    return asked_of(dict(part.split("=") for part in query.split("&")))


def test_sites_on_one_spot_are_named_in_the_list_at_the_closest_zoom() -> None:
    views = [site(f"s{number:03d}", BREST) for number in range(SHOWN_NEAREST + 5)]
    (far,) = marks(map_view(views, Asked(), NONE, EN))
    assert (len(far.sites), far.more) == (SHOWN_SITES, SHOWN_NEAREST + 5 - SHOWN_SITES)
    asked = _asked(far.link)
    assert asked.zoom == MOST_ZOOM
    (near,) = marks(map_view(views, asked, NONE, EN))
    assert (near.link, len(near.sites), near.more) == (f"#place-{near.key}", SHOWN_NEAREST, 5)


def test_site_far_from_france_is_a_link_to_a_window_there_and_does_not_change_the_map() -> None:
    home = [site("brest", BREST), site("lille", LILLE)]
    overseas = site("saint-denis", REUNION, "Offline", region="La Réunion")
    found = map_view([*home, overseas], Asked(), NONE, EN)
    assert found.box == map_view(home, Asked(), NONE, EN).box
    (far,) = found.far
    assert (far.label, far.standing) == ("La Réunion: 1 site, Offline: 1", "Offline")
    there = map_view([*home, overseas], _asked(far.link), NONE, EN)
    assert [mark.label for mark in marks(there)] == ["Saint-Denis, Offline"]
    assert sum(map(_counted, there.far)) == 2


def test_far_sites_of_several_regions_are_named_by_one_and_around() -> None:
    views = [
        site("a", BREST, region="Bretagne"),
        site("b", QUIMPER, region="Bretagne"),
        site("c", LILLE, region="Nord"),
    ]
    views.append(site("d", (47.2, -1.55), region="Pays de la Loire"))
    far = map_view(views, Asked(zoom=5, at=project(43.6, 1.44)), NONE, FR).far
    assert {mark.title for mark in far} == {"Bretagne et alentours : 3 sites", "Nord : 1 site"}


def test_regions_are_in_the_order_of_the_alphabet_whatever_their_accents() -> None:
    views = [site(f"s{n}", BREST, region=name) for n, name in enumerate(("Zone", "Île-de-France", "bretagne", ""))]
    found = overview_map(views, NONE, FR)
    assert found
    assert [region.name for region in found.regions] == ["bretagne", "Île-de-France", "Zone", "Sans région"]


def test_site_without_a_place_is_counted_and_named() -> None:
    found = map_view([site("here", BREST), site("b"), site("a", None, "Degraded")], Asked(), NONE, FR)
    assert found.without == "2 sites sans emplacement"
    assert [(one.name, one.word) for one in found.placeless] == [("A", "Dégradé"), ("B", "À jour")]
    nowhere = map_view([site("a")], Asked(), NONE, EN)
    assert (nowhere.placed, marks(nowhere), nowhere.without) == (False, [], "1 site without a place")


def test_marks_go_by_region_and_what_needs_somebody_first() -> None:
    views = [
        site("a", BREST, region="Bretagne"),
        site("b", (47.66, -2.76), "Degraded", region="Bretagne"),
        site("c", LILLE, region=""),
        site("d", (45.76, 4.83), region="Auvergne"),
    ]
    found = map_view(views, Asked(), NONE, EN)
    assert [(region.name, [mark.title for mark in region.marks]) for region in found.regions] == [
        ("Auvergne", ["D"]),
        ("Bretagne", ["B", "A"]),
        ("No region", ["C"]),
    ]


def test_name_of_a_region_leads_to_a_window_with_all_of_its_sites() -> None:
    bretagne = [site("a", BREST, region="Bretagne"), site("b", (48.12, -1.68), region="Bretagne")]
    views = [*bretagne, site("c", LILLE, region="Nord"), site("d", (43.6, 1.44))]
    found = map_view(views, Asked(), NONE, EN)
    links = {region.name: region.link for region in found.regions}
    assert links["No region"] == ""
    near = map_view(views, _asked(links["Bretagne"]), NONE, EN)
    assert [mark.title for mark in marks(near)] == ["A", "B"]
    assert [region.link for region in near.regions] == [""]
    assert [mark.title for mark in marks(map_view(views, _asked(links["Nord"]), NONE, EN))] == ["C"]


def test_place_across_a_border_belongs_to_the_region_of_most_of_its_sites() -> None:
    views = [site("a", BREST, region="Z"), site("b", BREST, region="Z"), site("c", BREST, region="A")]
    (region,) = map_view(views, Asked(), NONE, EN).regions
    assert (region.name, [one.name for one in region.marks[0].sites]) == ("Z", ["A", "B", "C"])


QUERIES = [
    ({}, 0, None),
    ({"zoom": "3", "at": "48.39,-4.49"}, 3, (48.39, -4.49)),
    ({"zoom": "99"}, MOST_ZOOM, None),
    ({"zoom": "-1"}, 0, None),
    ({"zoom": "٣"}, 0, None),
    ({"zoom": "1" * 5000}, 0, None),
    ({"zoom": "2", "at": "91,0"}, 2, None),
    ({"zoom": "2", "at": "nan,0"}, 2, None),
    ({"zoom": "2", "at": "inf,inf"}, 2, None),
    ({"zoom": "2", "at": "1,2,3"}, 2, None),
    ({"zoom": "2", "at": "<script>"}, 2, None),
    ({"zoom": "2", "at": "90,180"}, 2, (90, 180)),
]


@pytest.mark.parametrize(("given_", "zoom", "at"), QUERIES)
def test_address_that_makes_no_sense_asks_for_nothing(given_: dict[str, str], zoom: int, at: Place | None) -> None:
    asked = asked_of(given_)
    assert asked.zoom == zoom
    assert asked.at == (project(*at) if at else None)
    assert map_view([site("a", BREST)], asked, NONE, EN).label


@pytest.mark.parametrize("zoom", [0, 1, 3, MOST_ZOOM])
@pytest.mark.parametrize("here", ["/map", "/map?region=Bretagne"])
def test_moves_lead_where_they_say_and_keep_the_question(zoom: int, here: str) -> None:
    found = map_view([site("a", BREST)], Asked(zoom=zoom, at=project(*BREST)), NONE, EN, here=here)
    links = {move.key: move.link for move in found.moves}
    assert all(link == "" or link.startswith(here) for link in links.values())
    assert bool(links["in"]) == (zoom < MOST_ZOOM)
    assert {key for key, link in links.items() if link} - {"in"} == (
        {"out", "all", "west", "north", "south", "east"} if zoom else set()
    )
    assert links["all"] == (here if zoom else "")
    if zoom:
        joint = "&" if "?" in here else "?"
        west = asked_of(dict(part.split("=") for part in links["west"].partition(here + joint)[2].split("&")))
        assert west.zoom == zoom
        assert west.at is not None
        assert west.at.x < project(*BREST).x
        assert west.at.y == pytest.approx(project(*BREST).y, abs=0.01)


def test_map_without_outlines_has_lines_of_latitude_and_longitude() -> None:
    labels = [line.label for line in map_view([site("a", BREST)], Asked(), NONE, EN).lines]
    assert {"48° N", "0° E", "4° W"} <= set(labels)
    near = map_view([site("a", REUNION)], Asked(zoom=5, at=project(*REUNION)), NONE, EN)
    assert 4 <= len(near.lines) <= 24
    assert all(" S" in line.label or " E" in line.label for line in near.lines)


def test_overview_has_every_region_with_all_of_its_sites_or_no_map() -> None:
    views = [site("a", BREST, "Degraded", region="Bretagne"), site("b", region="Bretagne"), site("c", LILLE)]
    found = overview_map(views, NONE, EN)
    assert found
    assert [(region.name, region.count, region.said, region.link) for region in found.regions] == [
        ("Bretagne", "2", "Synced: 1, Degraded: 1", "/map?region=Bretagne"),
        ("No region", "1", "Synced: 1", ""),
    ]
    assert sum(map(number, marks(found.map))) == 2
    assert overview_map([site("b", region="Bretagne")], NONE, EN) is None


def test_ten_thousand_sites_are_few_marks() -> None:
    chance = random.Random(7)
    views = [site(f"s{n:05d}", (chance.uniform(42.5, 51), chance.uniform(-4.5, 8))) for n in range(10_000)]
    found = map_view(views, Asked(), NONE, EN)
    assert len(marks(found)) <= CELLS * CELLS
    assert sum(map(number, marks(found))) == 10_000
    assert sum(len(mark.sites) for mark in marks(found)) <= SHOWN_SITES * CELLS * CELLS


@given(sites, sites)
def test_map_of_sites_that_are_the_same_on_it_is_the_same(views: list[SiteView], others: list[SiteView]) -> None:
    told_again = [replace(view, received_at=NOW, generation=2) for view in views]
    assert same_on_map(views, told_again)
    for other in (told_again, others, views[1:]):
        same = overview_map(views, NONE, EN) == overview_map(other, NONE, EN)
        assert same or not same_on_map(views, other)


@pytest.mark.parametrize(
    "changed",
    [
        site("brest", QUIMPER, region="Bretagne", city="Brest"),
        site("brest", BREST, "Offline", region="Bretagne", city="Brest"),
        site("brest", BREST, region="Finistère", city="Brest"),
        site("brest", BREST, region="Bretagne", city="Quimper"),
        site("brest", None, region="Bretagne", city="Brest"),
        site("lille", BREST, region="Bretagne", city="Brest"),
    ],
)
def test_map_is_another_when_what_it_shows_of_a_site_is(changed: SiteView) -> None:
    assert not same_on_map([site("brest", BREST, region="Bretagne", city="Brest")], [changed])
