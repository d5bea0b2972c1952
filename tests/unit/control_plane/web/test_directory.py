"""The directory of sites: what is asked for is found, whether it was worked out at once or look by look."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.standing import Verdict
from control_plane.store.views import STANDINGS, SiteView
from control_plane.web.directory import FACETS, SORTED, Directory, Query, query_of
from schemas.status import Metrics, RunningRelease, StatusReport, Waiting

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPORTS = ("rugby", "handball")


@st.composite
def sites(draw: st.DrawFn) -> list[SiteView]:
    """Some of ten sites, by name."""
    names = draw(st.sets(st.sampled_from([f"club-{number}" for number in range(10)])))
    return [draw(site(name)) for name in sorted(names)]


@st.composite
def site(draw: st.DrawFn, name: str) -> SiteView:
    reported = draw(st.booleans())
    facts = draw(
        st.fixed_dictionaries(
            {"sports": st.lists(st.sampled_from(SPORTS), unique=True), "region": st.sampled_from(["", "Bretagne"])},
            optional={"tenant": st.sampled_from(["kalon", "fff"]), "connectivity": st.just("rare")},
        )
    )
    return SiteView(
        site=name,
        name=draw(st.sampled_from([name, "Été", "été 2", "Zebra"])),
        state=draw(st.sampled_from(["active", "suspended"])),
        gone=False,
        has_identity=draw(st.booleans()),
        revoked=False,
        generation=1,
        manifest="sha256:" + "0" * 64,
        commit="0" * 40,
        published_at=NOW,
        desired_release=None,
        facts=facts,
        received_at=NOW if reported else None,
        report=draw(reports) if reported else None,
        verdict=Verdict(standing=draw(st.sampled_from(STANDINGS)), reason="Because", message="Because."),
    )


reports = st.builds(
    StatusReport,
    run_id=st.just("a" * 32),
    sequence=st.just(1),
    at=st.just(NOW),
    agent_version=st.just("1.0.0"),
    release=st.none() | st.builds(RunningRelease, version=st.sampled_from(["2.9.0", "2.10.0"]), tree=st.none()),
    metrics=st.builds(Metrics, cpu_percent=st.none() | st.integers(0, 100).map(float)),
    waiting=st.lists(st.builds(Waiting, step=st.just("release"), reason=st.just("Window"), message=st.just(""))),
)
VALUES = (*STANDINGS, *SPORTS, "Bretagne", "kalon", "active", "2.10.0")
questions = st.builds(
    Query,
    text=st.sampled_from(["", "club", "ÉTÉ", "zebra club-1", "nowhere"]),
    facets=st.dictionaries(
        st.sampled_from(FACETS),
        st.sampled_from([*STANDINGS, *SPORTS, "Bretagne", "kalon", "active", "2.10.0"]),
        max_size=2,
    ),
    sort=st.sampled_from(["", *SORTED, *(f"-{key}" for key in SORTED)]),
)


@given(sites(), sites(), questions)
def test_directory_made_out_of_the_one_before_is_the_one_made_at_once(
    before: list[SiteView], after: list[SiteView], query: Query
) -> None:
    kept = {view.site: view for view in before[::2]}
    views = [kept.get(view.site, view) for view in after]
    renewed, fresh = Directory(views, Directory(before)), Directory(views)
    assert renewed.select(query) == fresh.select(query)
    assert renewed.counts == fresh.counts
    assert len(renewed) == len(views)


@given(sites(), questions)
def test_order_and_filters_take_nothing_away_that_was_asked_for(views: list[SiteView], query: Query) -> None:
    directory = Directory(views)
    found = directory.select(query)
    unsorted = directory.select(Query(text=query.text, facets=query.facets))
    assert sorted(view.site for view in found) == sorted(view.site for view in unsorted)
    column = query.sort.removeprefix("-")
    if column:
        values = [SORTED[column](view) for view in found]
        known = [value for value in values if value is not None]
        assert values == [*sorted(known, reverse=query.sort.startswith("-")), *[None] * (len(values) - len(known))]


@given(sites())
def test_count_of_a_filter_is_how_many_sites_it_finds(views: list[SiteView]) -> None:
    directory = Directory(views)
    for key in FACETS:
        for value, number in directory.counts[key].items():
            assert number == len(directory.select(Query(facets={key: value})))


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, Query()),
        ({"q": "brest", "page": "3", "sort": "-cpu"}, Query(text="brest", page=3, sort="-cpu")),
        ({"sort": "nothing", "page": "-1", "other": "x"}, Query()),
        ({"region": "Bretagne", "sport": ""}, Query(facets={"region": "Bretagne"})),
        ({"q": "x" * 1000}, Query(text="x" * 100)),
    ],
)
def test_address_asks_what_it_says_and_nothing_for_what_makes_no_sense(given: Mapping[str, str], asked: Query) -> None:
    assert query_of(given) == asked
