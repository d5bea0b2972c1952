"""Which changes the guards hold: limits crossed with trailers, whose guards count, and what a trailer is."""

import pytest
from msgspec.structs import replace

from control_plane.core.compile import CompiledSite, compile_commit
from control_plane.core.guards import Allowance, Impact, allowance_of, impact_of_marks, judge_impact
from control_plane.core.number import Mark, number
from schemas.desired import Guards
from tests.contract.golden import sample_files
from tests.support.fleet_generator import as_tree

FIFTH = Guards(max_sites="20%")
NO_REMOVALS = Guards(allow_removals=False)
BOTH = Guards(max_sites="20%", allow_removals=False)
NONE = Allowance()


def impact(sites: int, removals: int = 0, total: int = 100) -> Impact:
    return Impact(sites=sites, removals=removals, total=total)


@pytest.mark.parametrize(
    ("change", "guards", "allowed", "trailer"),
    [
        (impact(100, 100), [], NONE, ""),
        (impact(100, 100), [None, None], NONE, ""),
        (impact(20), [FIFTH], NONE, ""),
        (impact(21), [FIFTH], NONE, "Allow-Impact: sites=21"),
        (impact(21), [FIFTH], Allowance(sites=20), "Allow-Impact: sites=21"),
        (impact(21), [FIFTH], Allowance(sites=21), ""),
        (impact(21), [FIFTH], Allowance(removals=21), "Allow-Impact: sites=21"),
        (impact(1, 1), [FIFTH], NONE, ""),
        (impact(1, 1), [NO_REMOVALS], NONE, "Allow-Impact: removals=1"),
        (impact(3, 3), [NO_REMOVALS], Allowance(removals=2), "Allow-Impact: removals=3"),
        (impact(3, 3), [NO_REMOVALS], Allowance(removals=3), ""),
        (impact(100), [NO_REMOVALS], NONE, ""),
        (impact(30, 2), [BOTH], NONE, "Allow-Impact: sites=30 removals=2"),
        (impact(30, 2), [BOTH], Allowance(sites=30), "Allow-Impact: removals=2"),
        (impact(30, 2), [BOTH], Allowance(sites=40, removals=2), ""),
    ],
)
def test_change_beyond_a_guard_is_held_unless_a_trailer_allows_it(
    change: Impact, guards: list[Guards | None], allowed: Allowance, trailer: str
) -> None:
    verdict = judge_impact(change, guards, allowed)
    assert (verdict.held, verdict.trailer) == (bool(trailer), trailer)
    assert trailer in verdict.sentence


@pytest.mark.parametrize("order", [1, -1])
def test_stricter_guard_counts_wherever_it_stands(order: int) -> None:
    guards = [Guards(max_sites="50%"), Guards(max_sites="10%", allow_removals=False)][::order]
    assert judge_impact(impact(11, 1), guards, NONE).trailer == "Allow-Impact: sites=11 removals=1"
    assert judge_impact(impact(11, 1), [None, *guards], NONE).held, "a commit does not lift the guard that holds it"


@pytest.mark.parametrize(("total", "sites", "held"), [(3, 1, False), (3, 2, True), (9, 1, False), (10, 2, False)])
def test_small_fleet_may_change_one_site_at_a_time(total: int, sites: int, held: bool) -> None:
    assert judge_impact(impact(sites, total=total), [FIFTH], NONE).held is held


def test_guard_of_nothing_holds_every_change() -> None:
    assert judge_impact(impact(1), [Guards(max_sites="0%")], NONE).held
    assert not judge_impact(impact(0), [Guards(max_sites="0%")], NONE).held


@pytest.mark.parametrize(
    ("messages", "allowed"),
    [
        ([], Allowance()),
        (["Change\n\nAllow-Impact: sites=240 removals=3\n"], Allowance(sites=240, removals=3)),
        (["Change\n\nallow-impact:removals=3"], Allowance(removals=3)),
        (["One\n\nAllow-Impact: sites=5", "Two\n\nAllow-Impact: removals=2 sites=3"], Allowance(sites=5, removals=2)),
        (["Squashed\n\n* a\n\nAllow-Impact: sites=5\n\n* b\n\nCo-authored-by: B <b@example.org>"], Allowance(sites=5)),
        (["Windows\r\n\r\nAllow-Impact: sites=5 removals=1\r\n"], Allowance(sites=5, removals=1)),
        (["Tell\n\nPlease write Allow-Impact: sites=99 next time"], Allowance()),
        (["Quote\n\n    Allow-Impact: sites=99"], Allowance()),
        (["Boast\n\nAllow-Impact: everything sites=-1 sites=1e9"], Allowance()),
        (["Many\n\nAllow-Impact: sites=99999999999999"], Allowance()),
    ],
)
def test_trailer_counts_at_the_beginning_of_a_line_only(messages: list[str], allowed: Allowance) -> None:
    assert allowance_of(messages) == allowed


SITES = compile_commit(*as_tree(sample_files())).sites
MARKS = number(SITES, {}, 1).heads


@pytest.mark.parametrize(
    ("marks", "sites", "touched", "removals"),
    [
        ({}, {}, 0, 0),
        ({}, {"rennes-fc": None}, 1, 1),
        ({}, {"rennes-fc": replace(SITES["rennes-fc"], state="retired")}, 1, 1),
        ({}, {"rennes-fc": replace(SITES["rennes-fc"], state="suspended")}, 1, 0),
        ({}, {"rennes-fc": replace(SITES["rennes-fc"], identity=None)}, 1, 1),
        ({}, {"rennes-fc": replace(SITES["rennes-fc"], name="Other")}, 0, 0),
        ({}, {"new": replace(SITES["rennes-fc"], site="new")}, 0, 0),
        ({"rennes-fc": replace(MARKS["rennes-fc"], manifest="sha256:" + "0" * 64)}, {}, 1, 0),
        ({"left": replace(MARKS["rennes-fc"], gone=True, state="retired")}, {}, 0, 0),
    ],
)
def test_published_rows_tell_the_impact_where_no_plan_can_be_made(
    marks: dict[str, Mark], sites: dict[str, CompiledSite | None], touched: int, removals: int
) -> None:
    after = {site: one for site, one in (dict(SITES) | sites).items() if one is not None}
    found = impact_of_marks(MARKS | marks, after)
    assert (found.sites, found.removals, found.total) == (touched, removals, len(SITES))
