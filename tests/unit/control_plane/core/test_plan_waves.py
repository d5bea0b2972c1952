"""The waves of a plan: the ones that the server will walk, and what a change does to rollouts that are under way."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.core.compile import CompiledFleet
from control_plane.core.plan import Plan, plan
from control_plane.core.plan_load import Observed
from control_plane.core.plan_markdown import plan_markdown
from control_plane.core.plan_text import plan_lines, site_lines
from control_plane.core.rollout import Commit, Rollout, Served, advance, enrol
from control_plane.core.rollout_info import detail_of, rollout_of
from control_plane.core.rollout_outcome import Outcome
from schemas.names import SiteId
from tests.support.commits import agent, changed, compiled, release, site, small_fleet
from tests.support.fleet_generator import trust_documents

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
STANDARD = "{waves: [10%, 25%, 50%, 100%], soak: 30m}"
SITES = [f"box-{number:02}" for number in range(12)]


def fleet(
    version: str = "2.1.3",
    *,
    policies: str = f"{{standard: {STANDARD}, fast: {{waves: [100%]}}}}",
    rollout: str = "standard",
    layer: str = "",
    sites: Iterable[str] = SITES,
    more: Mapping[str, bytes | None] = {},
) -> dict[str, bytes]:
    """A fleet of so many boxes, all on one release."""
    by = f"  rollout: {rollout}\n" if rollout else ""
    text = f"schema: 1\ndefaults:\n  release: {version}\n  video_sets: [national]\n{by}{layer}rollouts: {policies}\n"
    files: dict[str, bytes | None] = {f"sites/{name}.yaml": site(name) for name in sites}
    gone = dict.fromkeys(("sites/rennes.yaml", "sites/vannes.yaml", "groups/rugby.yaml"))
    versions = ("2.1.3", "2.2.0", "2.3.0")
    releases = {f"releases/{one}.yaml": release(one) for one in versions}
    head = {"fleet.yaml": text.encode(), **releases, **trust_documents(7, versions), **files, **gone, **more}
    return changed(small_fleet(), head)


@cache
def _base() -> CompiledFleet:
    return good(fleet())


def good(files: Mapping[str, bytes], previous: CompiledFleet | None = None) -> CompiledFleet:
    found = compiled(files, previous)
    assert not found.has_errors, found.problems
    return found


def planned(head: Mapping[str, bytes], base: CompiledFleet | None = None, opened: Iterable[Rollout] = ()) -> Plan:
    before = _base() if base is None else base
    observed = Observed(at=NOW, sites={}, manifests={}, rollouts=list(opened))
    return plan(before, good(head, before), observed, NOW, names=("BASE", "HEAD"))


def begun(head: CompiledFleet, base: CompiledFleet, opened: Iterable[Rollout] = ()) -> list[Rollout]:
    """The rollouts that the server begins when `head` follows on `base`."""
    commit = Commit(
        revision="a" * 40,
        policies=head.policies,
        wishes={name: one.wish for name, one in head.sites.items()},
        allowed=head.allowed,
        heard=frozenset(),
    )
    served = {name: Served(one.release, one.agent) for name, one in base.sites.items()}
    return enrol(list(opened), commit, served, 1, NOW)


def well(sites: Iterable[SiteId]) -> dict[SiteId, tuple[Outcome, str]]:
    return dict.fromkeys(sites, ("well", ""))


def failed(sites: Iterable[SiteId]) -> dict[SiteId, tuple[Outcome, str]]:
    return dict.fromkeys(sites, ("failed", "It does not start."))


@settings(deadline=None, max_examples=40)
@given(
    waves=st.lists(st.integers(1, 99), max_size=6, unique=True),
    soak=st.sampled_from([1, 30]),
    sites=st.sampled_from([1, 2, 7, 12]),
)
def test_waves_of_the_plan_are_those_that_the_server_walks(waves: list[int], soak: int, sites: int) -> None:
    shares = ", ".join(f"{share}%" for share in [*sorted(waves), 100])
    policies = f"{{standard: {{waves: [{shares}], soak: {soak}m}}}}"
    head = fleet("2.2.0", policies=policies, sites=SITES[:sites])
    before = good(fleet(policies=policies, sites=SITES[:sites]))
    (told,) = planned(head, before).rollouts
    after = good(head, before)
    (rollout,) = begun(after, before)
    walked, now, policy = [len(rollout.let_in)], NOW, after.policies["standard"]
    while rollout.phase == "rolling":
        had = len(rollout.let_in)
        rollout = advance(rollout, policy, well(rollout.let_in), now)
        if len(rollout.let_in) > had:
            walked.append(len(rollout.let_in) - had)
            last = now
        if rollout.phase == "rolling":
            now += timedelta(minutes=soak)
    assert (told.sites, told.waves) == (sites, walked)
    assert told.last_after_s == (len(walked) - 1) * soak * 60
    assert len(walked) == 1 or last <= NOW + 2 * timedelta(seconds=told.last_after_s)


@pytest.mark.parametrize(
    ("sites", "shares", "waves"),
    [
        (12, ["10%", "50%", "100%"], [2, 4, 6]),
        (1, ["10%", "50%", "100%"], [1]),
        (4, ["10%", "25%", "50%", "100%"], [1, 1, 2]),
        (10, ["100%"], [10]),
    ],
)
def test_waves_reach_their_share_rounded_up_and_those_that_add_nobody_are_passed_over(
    sites: int, shares: list[str], waves: list[int]
) -> None:
    policies = f"{{standard: {{waves: [{', '.join(shares)}]}}}}"
    base = good(fleet(policies=policies, sites=SITES[:sites]))
    (told,) = planned(fleet("2.2.0", policies=policies, sites=SITES[:sites]), base).rollouts
    assert told.waves == waves


PLANNED = b"name: New\nlocation: {city: Rennes, region: Bretagne}\n"
FIRST = "sites/box-00.yaml"


@pytest.mark.parametrize(
    ("before", "after", "takes_part"),
    [
        (site("box-00"), site("box-00"), True),
        (site("box-00"), site("box-00", "rollout: fast\n"), False),
        (site("box-00", "release: 2.2.0\n"), site("box-00", "release: 2.2.0\n"), False),
        (site("box-00", "release: 2.2.0\n"), site("box-00"), False),
        (None, site("box-00"), False),
        (PLANNED, PLANNED, False),
        (PLANNED, site("box-00"), True),
        (site("box-00"), PLANNED, False),
        (site("box-00"), None, False),
        (site("box-00"), site("box-00", "state: suspended\n"), True),
        (site("box-00"), site("box-00", "state: retired\n"), False),
        (site("box-00"), site("box-00", "state: retired\n"), False),
    ],
)
def test_only_sites_with_a_box_that_are_told_another_version_take_part(
    before: bytes | None, after: bytes | None, takes_part: bool
) -> None:
    made = planned(fleet("2.2.0", more={FIRST: after}), good(fleet(more={FIRST: before})))
    told = next(one for one in made.rollouts if one.policy == "standard")
    assert told.sites == (12 if takes_part else 11)


def test_version_that_boxes_may_not_run_any_more_is_held_on_nowhere() -> None:
    revoking = fleet("2.2.0", more={"releases/2.1.3.yaml": None, **trust_documents(7, ("2.2.0", "2.3.0"))})
    assert planned(revoking).rollouts == []
    assert planned(fleet("2.2.0")).rollouts != []


def test_first_publication_and_a_layer_without_a_policy_know_no_waves() -> None:
    assert plan(None, good(fleet("2.2.0")), None, NOW).rollouts == []
    assert planned(fleet("2.2.0", rollout="")).rollouts == []
    assert planned(fleet(layer="  config: {a: 1}\n")).rollouts == []


def test_release_and_agent_of_one_commit_are_two_rollouts() -> None:
    agents = {f"agents/{one}.yaml": agent(one) for one in ("1.1.0", "1.2.0")}
    base = good(fleet(layer="  agent: 1.1.0\n", more=agents))
    made = planned(fleet("2.2.0", layer="  agent: 1.2.0\n", more=agents), base)
    assert [(one.what, one.waves) for one in made.rollouts] == [
        ("agent 1.2.0", [2, 1, 3, 6]),
        ("release 2.2.0", [2, 1, 3, 6]),
    ]


def test_plan_says_in_which_waves_and_when_the_last_goes() -> None:
    made = planned(fleet("2.2.0"))
    sentence = (
        "release 2.2.0 in waves, by the policy standard: 2 + 1 + 3 + 6 of 12 sites, each wave when the one before has "
        "run well for 30 min, the last at the earliest 90 min after the first"
    )
    assert f"  {sentence}" in plan_lines(made)
    assert f"- {sentence}" in plan_markdown(made)
    assert made.timing.first_at == NOW
    assert made.timing.last_at == NOW + timedelta(minutes=90)
    assert "waves that all go well" in "\n".join(plan_lines(made))
    one = planned(fleet("2.2.0", rollout="fast"))
    assert "  release 2.2.0 in waves, by the policy fast: all of them at once (12 sites)" in plan_lines(one)
    assert one.timing.last_at == NOW


def test_site_of_a_later_wave_is_foretold_for_its_turn_and_its_videos_are_not_held() -> None:
    made = planned(fleet("2.2.0"))
    times = sorted(one.at for one in made.sites.values() if one.at)
    assert times == sorted(
        NOW + timedelta(minutes=30 * place) for place, n in enumerate((2, 1, 3, 6)) for _ in range(n)
    )
    last = next(name for name, one in made.sites.items() if one.at == NOW + timedelta(minutes=90))
    assert "  when: at 2026-11-26 13:30 UTC" in site_lines(made, last)
    config = planned(fleet(layer="  config: {a: 1}\n"))
    assert {one.at for one in config.sites.values()} == {NOW}


def test_turn_of_a_site_opens_within_its_hours() -> None:
    hours = '  maintenance: {windows: [{days: daily, from: "14:00", to: "14:20"}]}\n'
    made = planned(fleet("2.2.0", layer=hours), good(fleet(layer=hours)))
    # 14:00 in Paris is 13:00: the waves of 12:00, 12:30 and 13:00 come in time, the last one the day after.
    assert made.timing.first_at == datetime(2026, 11, 26, 13, tzinfo=UTC)
    assert made.timing.last_at == datetime(2026, 11, 27, 13, tzinfo=UTC)


# Under way: BASE has 2.2.0 everywhere, and the first wave has it.


@cache
def _after() -> CompiledFleet:
    return good(fleet("2.2.0"), _base())


def under_way() -> Rollout:
    (rollout,) = begun(_after(), _base())
    return rollout_of(detail_of(rollout, _after().policies["standard"], NOW))


def halted(*, on_failure: str) -> Rollout:
    rollout = under_way()
    policies = f"{{standard: {{waves: [10%, 25%, 50%, 100%], soak: 30m, on_failure: {on_failure}}}}}"
    policy = good(fleet(policies=policies)).policies["standard"]
    return advance(rollout, policy, failed(rollout.let_in), NOW)


def test_revert_is_no_rollout_and_ends_the_one_under_way() -> None:
    made = planned(fleet("2.1.3"), _after(), [under_way()])
    assert made.rollouts == []
    assert "  rollout 1 of release 2.2.0 ends: 10 sites never had it" in plan_lines(made)
    assert made.timing.last_at == NOW
    # Who does not know what is under way takes it for another rollout.
    assert planned(fleet("2.1.3"), _after()).rollouts != []


def test_layer_without_its_policy_lets_everybody_have_it_at_once() -> None:
    made = planned(fleet("2.2.0", rollout=""), _after(), [under_way()])
    assert not made.changes and not made.is_empty
    assert plan_lines(made)[:2] == [
        "BASE → HEAD: of 12 sites none changed",
        "  rollout 1 of release 2.2.0 ends: 10 sites get it at once, without waiting for a wave",
    ]
    assert plan_markdown(made).endswith("10 sites get it at once, without waiting for a wave\n")


def test_another_policy_is_another_rollout_of_those_that_wait() -> None:
    made = planned(fleet("2.2.0", rollout="fast"), _after(), [under_way()])
    assert [(one.what, one.policy, one.sites, one.joins) for one in made.rollouts] == [("release 2.2.0", "fast", 10, 0)]
    assert [(one.number, one.at_once, one.ends) for one in made.left] == [(1, 0, True)]


def test_next_release_takes_the_place_of_the_one_under_way() -> None:
    made = planned(fleet("2.3.0"), _after(), [under_way()])
    assert [(one.what, one.sites) for one in made.rollouts] == [("release 2.3.0", 12)]
    assert [(one.number, one.sites, one.at_once, one.ends) for one in made.left] == [(1, 12, 0, True)]


def test_site_that_leaves_is_told_beside_those_that_stay() -> None:
    waiting = next(name for name, one in under_way().members.items() if one.wave is None)
    own = {f"sites/{waiting}.yaml": site(waiting, "release: 2.1.3\n")}
    made = planned(fleet("2.2.0", more=own), _after(), [under_way()])
    assert "  1 site leaves rollout 1 of release 2.2.0: 1 site never had it" in plan_lines(made)


def joined_by(rollout: Rollout) -> Plan:
    """What a plan says when two sites that were on another release come to it."""
    others = {f"sites/{name}.yaml": site(name, "release: 2.1.3\n") for name in ("late-1", "late-2")}
    base = good(fleet("2.2.0", more=others))
    late = {f"sites/{name}.yaml": site(name) for name in ("late-1", "late-2")}
    return planned(fleet("2.2.0", more=late), base, [rollout])


def test_sites_that_come_later_join_at_the_end_and_wait_for_their_wave() -> None:
    made = joined_by(under_way())
    (told,) = made.rollouts
    assert (told.joins, told.sites, told.waves, told.last_after_s) == (1, 2, [2], 90 * 60)
    sentence = (
        "2 sites join rollout 1 of release 2.2.0, by the policy standard: the last at the earliest 90 min from now"
    )
    assert f"  {sentence}" in plan_lines(made)


@pytest.mark.parametrize("on_failure", ["hold", "rollback"])
def test_sites_that_come_to_a_halted_rollout_wait_for_a_person(on_failure: str) -> None:
    made = joined_by(halted(on_failure=on_failure))
    (told,) = made.rollouts
    assert (told.sites, told.waves, told.last_after_s) == (2, [], 0)
    assert "it has halted, and goes on when somebody says so" in "\n".join(plan_lines(made))
    assert {one.at for one in made.sites.values()} == {None}


@pytest.mark.parametrize(
    ("on_failure", "message", "line"),
    [
        (
            "hold",
            "Resume-Rollout: release 2.2.0",
            "goes on: 10 of 12 sites wait for their wave",
        ),
        (
            "rollback",
            "Resume-Rollout: release 2.2.0",
            "begins anew: 10 of 12 sites wait for their wave",
        ),
        ("hold", "Resume-Rollout: agent 2.2.0", None),
        ("hold", "Resume-Rollout: release 2.3.0", None),
        ("rollback", "", None),
    ],
)
def test_commit_that_goes_on_with_a_rollout_is_no_empty_change(on_failure: str, message: str, line: str | None) -> None:
    observed = Observed(at=NOW, sites={}, manifests={}, rollouts=[halted(on_failure=on_failure)])
    made = plan(_after(), good(fleet("2.2.0"), _after()), observed, NOW, messages=[message])
    assert made.is_empty is (line is None)
    assert line is None or f"  rollout 1 of release 2.2.0 {line}" in plan_lines(made)


def test_rollout_that_rolls_needs_nobody_who_goes_on_with_it() -> None:
    observed = Observed(at=NOW, sites={}, manifests={}, rollouts=[under_way()])
    assert plan(_after(), _after(), observed, NOW, messages=["Resume-Rollout: release 2.2.0"]).is_empty


def test_boxes_that_spoke_lately_have_their_turn_first() -> None:
    from schemas.api import SiteObservation

    seen = {
        name: SiteObservation(site=name, standing="Synced", last_report_at=NOW - timedelta(hours=hours))
        for name, hours in zip(SITES, (1, 2, *[25] * 10), strict=True)
    }
    observed = Observed(at=NOW, sites=seen, manifests={})
    made = plan(_base(), good(fleet("2.2.0"), _base()), observed, NOW)
    assert {name for name, one in made.sites.items() if one.at == NOW} == {"box-00", "box-01"}
