"""Rollouts: who has it, who waits, and what makes it go on or halt."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.rollout import (
    Commit,
    Held,
    Rollout,
    Served,
    Wish,
    advance,
    enrol,
    held,
    is_overdue,
    resume,
    wait_for_agents,
)
from control_plane.core.rollout_cause import why
from schemas.desired import RolloutPolicy
from schemas.rollouts import Outcome, RolloutKind

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
SOAK = timedelta(minutes=30)
POLICY = RolloutPolicy(waves=["10%", "50%", "100%"])
OLD, NEW = Served("1.0.0", None), Wish("2.0.0", None, "standard")
ALLOWED: frozenset[tuple[RolloutKind, str]] = frozenset(
    {("release", "1.0.0"), ("release", "2.0.0"), ("agent", "1.0.0"), ("agent", "2.0.0")}
)


def names(count: int) -> list[str]:
    return [f"site-{number:02}" for number in range(count)]


def commit(wishes: Mapping[str, Wish | None], **changes: Any) -> Commit:
    usual = Commit("c" * 40, {"standard": POLICY}, wishes, ALLOWED, frozenset(wishes))
    return usual._replace(**changes)


def begun(count: int, policy: RolloutPolicy = POLICY) -> Rollout:
    """A rollout of so many sites, its first wave let in."""
    sites = names(count)
    said = commit(dict.fromkeys(sites, NEW), policies={"standard": policy})
    (found,) = enrol([], said, dict.fromkeys(sites, OLD), 1, NOW)
    return found


def seen(rollout: Rollout, outcome: Outcome, *, only: int | None = None) -> dict[str, tuple[Outcome, str]]:
    """So many of those that have it do so."""
    return dict.fromkeys(list(rollout.let_in)[:only], (outcome, ""))


def walk(rollout: Rollout, policy: RolloutPolicy, outcome: Outcome = "well") -> list[int]:
    """How many have it after each wave, until it does not go on any more."""
    reached, now = [len(rollout.let_in)], NOW
    for _ in range(200):
        now += SOAK
        before, rollout = rollout, advance(rollout, policy, seen(rollout, outcome), now)
        if len(rollout.let_in) != reached[-1]:
            reached.append(len(rollout.let_in))
        if rollout.phase != "rolling" or (before == rollout and outcome != "well"):
            break
    assert outcome != "well" or rollout.phase == "done"
    return reached


def test_first_wave_lets_in_its_share_and_the_rest_is_held_on_what_it_had() -> None:
    rollout = begun(20)
    assert len(rollout.let_in) == 2
    assert held([rollout]) == {site: Held(release="1.0.0") for site in names(20) if site not in rollout.let_in}


@pytest.mark.parametrize(
    ("count", "waves", "reached"),
    [
        (20, ["10%", "50%", "100%"], [2, 10, 20]),
        (1, ["10%", "50%", "100%"], [1]),
        (3, ["10%", "25%", "50%", "75%", "100%"], [1, 2, 3]),
        (101, ["1%", "100%"], [2, 101]),
        (7, ["100%"], [7]),
    ],
)
def test_every_wave_well_reaches_each_share_once_and_passes_empty_waves(
    count: int, waves: list[str], reached: list[int]
) -> None:
    policy = RolloutPolicy(waves=waves)
    assert walk(begun(count, policy), policy) == reached


def test_order_is_by_who_spoke_lately_and_then_other_for_each_version() -> None:
    sites = names(40)
    orders = []
    for version in ("2.0.0", "3.0.0"):
        wishes = dict.fromkeys(sites, Wish(version, None, "standard"))
        said = commit(wishes, heard=frozenset(sites[:20]), allowed=ALLOWED)
        (rollout,) = enrol([], said, dict.fromkeys(sites, OLD), 1, NOW)
        order = sorted(rollout.members, key=lambda site: rollout.members[site].position)
        assert set(order[:20]) == set(sites[:20])
        orders.append(order)
    assert orders[0] != orders[1]


def test_wave_that_has_not_soaked_does_not_go_on() -> None:
    rollout = begun(20)
    rollout = advance(rollout, POLICY, seen(rollout, "well"), NOW)
    assert advance(rollout, POLICY, seen(rollout, "well"), NOW + SOAK - timedelta(seconds=1)).wave == 0
    assert advance(rollout, POLICY, seen(rollout, "well"), NOW + SOAK).wave == 1


def test_trouble_in_between_makes_it_soak_anew() -> None:
    rollout = begun(20)
    said: list[tuple[int, Outcome]] = [(0, "well"), (20, "pending"), (25, "well"), (50, "well")]
    for minutes, outcome in said:
        rollout = advance(rollout, POLICY, seen(rollout, outcome), NOW + timedelta(minutes=minutes))
    assert rollout.wave == 0
    assert advance(rollout, POLICY, seen(rollout, "well"), NOW + timedelta(minutes=55)).wave == 1


WIDE = RolloutPolicy(waves=["50%", "100%"], quorum="80%", success="90%", max_failures=2)


@pytest.mark.parametrize(
    ("well", "failed", "phase", "sound"),
    [
        (0, 0, "rolling", False),
        (7, 0, "rolling", False),  # too few have spoken
        (8, 0, "rolling", True),
        (10, 0, "rolling", True),
        (8, 1, "rolling", False),  # 8 of 9 is less than 90 %, and can still become it
        (9, 1, "rolling", True),
        (0, 2, "rolled_back", False),  # 90 % can never be reached any more
        (8, 2, "rolled_back", False),
    ],
)
def test_quorum_and_success_decide(well: int, failed: int, phase: str, sound: bool) -> None:
    rollout = begun(20, WIDE)
    sites = list(rollout.let_in)
    evidence: dict[str, tuple[Outcome, str]] = dict.fromkeys(sites[:well], ("well", ""))
    evidence |= dict.fromkeys(sites[well : well + failed], ("failed", "broken"))
    after = advance(rollout, WIDE, evidence, NOW)
    assert (after.phase, after.sound_since is not None) == (phase, sound)


def test_failures_of_earlier_waves_count_towards_the_most_that_may_fail() -> None:
    policy = RolloutPolicy(waves=["50%", "100%"], success="1%", max_failures=1, on_failure="hold")
    rollout = begun(20, policy)
    first = list(rollout.let_in)
    rollout = advance(advance(rollout, policy, seen(rollout, "well"), NOW), policy, seen(rollout, "well"), NOW + SOAK)
    assert rollout.wave == 1
    one = advance(rollout, policy, {first[0]: ("failed", "")}, NOW)
    assert one.phase == "rolling"
    two = advance(one, policy, {first[1]: ("failed", "")}, NOW)
    assert (two.phase, why(two.cause)) == ("halted", "2 of the 20 sites that have it failed; max_failures allows 1")


def test_halt_that_holds_leaves_everything_as_it_is() -> None:
    policy = RolloutPolicy(waves=["10%", "100%"], on_failure="hold")
    rollout = begun(20, policy)
    after = advance(rollout, policy, seen(rollout, "failed"), NOW)
    assert after.phase == "halted" and why(after.cause) == "2 of 2 of wave 1 failed; success asks for 95%"
    assert held([after]) == held([rollout])
    assert advance(after, policy, seen(rollout, "well"), NOW + timedelta(days=9)) == after


def test_halt_that_rolls_back_holds_everybody_on_what_each_had() -> None:
    rollout = begun(20)
    after = advance(rollout, POLICY, seen(rollout, "failed"), NOW)
    assert after.phase == "rolled_back"
    assert held([after]) == dict.fromkeys(names(20), Held(release="1.0.0"))


def test_silence_beyond_the_deadline_is_overdue_and_never_rolls_back() -> None:
    rollout = begun(20)
    late = NOW + timedelta(hours=24, seconds=1)
    after = advance(rollout, POLICY, {}, late)
    assert (after.phase, after.wave) == ("rolling", 0)
    assert is_overdue(after, POLICY, late) and not is_overdue(after, POLICY, late - timedelta(minutes=1))
    heard = advance(after, POLICY, seen(after, "well"), late)
    assert not is_overdue(heard, POLICY, late)
    assert advance(heard, POLICY, seen(after, "well"), late + SOAK).wave == 1


def test_last_wave_ends_at_its_deadline_without_the_silent() -> None:
    policy = RolloutPolicy(waves=["100%"])
    rollout = begun(10, policy)
    assert advance(rollout, policy, seen(rollout, "well", only=5), NOW + timedelta(hours=1)).phase == "rolling"
    after = advance(rollout, policy, seen(rollout, "well", only=5), NOW + timedelta(hours=25))
    assert (after.phase, why(after.cause)) == ("done", "5 of 10 sites have not said yet how it runs")


def test_wave_that_reaches_everybody_is_the_last_whatever_shares_follow() -> None:
    rollout = begun(1)
    assert advance(rollout, POLICY, {}, NOW + timedelta(hours=23)).phase == "rolling"
    assert advance(rollout, POLICY, {}, NOW + timedelta(hours=25)).phase == "done"


def test_resumed_halt_goes_on_where_it_was_and_excuses_what_failed() -> None:
    policy = RolloutPolicy(waves=["50%", "100%"], on_failure="hold", max_failures=0)
    rollout = begun(10, policy)
    one = next(iter(rollout.let_in))
    evidence = {**seen(rollout, "well"), one: ("failed", "broken")}
    halted = advance(rollout, policy, evidence, NOW)
    assert halted.phase == "halted"
    again = resume(halted, policy, NOW)
    assert (again.phase, again.wave, again.members[one].excused) == ("rolling", 0, True)
    again = advance(again, policy, evidence, NOW)
    assert advance(again, policy, evidence, NOW + SOAK).wave == 1


def test_resumed_rollback_begins_anew_with_the_same_first_sites() -> None:
    rollout = begun(20)
    back = advance(rollout, POLICY, seen(rollout, "failed"), NOW)
    again = resume(back, POLICY, NOW + timedelta(days=1))
    assert (again.phase, again.wave, again.cause) == ("rolling", 0, None)
    assert again.let_in.keys() == rollout.let_in.keys()
    assert {member.outcome for member in again.members.values()} == {"pending"}


def test_resume_of_what_rolls_changes_nothing() -> None:
    assert resume(begun(20), POLICY, NOW + SOAK) == begun(20)


def test_other_version_takes_sites_along_and_ends_the_first_rollout() -> None:
    rollout = begun(20)
    served = {site: Served("2.0.0", None) if site in rollout.let_in else OLD for site in names(20)}
    wishes = dict.fromkeys(names(20), Wish("3.0.0", None, "standard"))
    ended, new = enrol([rollout], commit(wishes), served, 2, NOW)
    assert (ended.phase, ended.number, new.number, new.version) == ("superseded", 1, 2, "3.0.0")
    assert {site: member.before for site, member in new.members.items()} == {
        s: had.release for s, had in served.items()
    }


def test_revert_takes_sites_home_at_once() -> None:
    rollout = begun(20)
    served = {site: Served("2.0.0", None) if site in rollout.let_in else OLD for site in names(20)}
    (ended,) = enrol([rollout], commit(dict.fromkeys(names(20), Wish("1.0.0", None, "standard"))), served, 2, NOW)
    assert ended.phase == "superseded"
    assert held([ended]) == {}


@pytest.mark.parametrize(
    "wish",
    [None, Wish("2.0.0", None, None), Wish("2.0.0", None, "other"), Wish(None, None, "standard")],
    ids=["gone", "without a policy", "another policy", "no release"],
)
def test_site_that_wants_otherwise_leaves(wish: Wish | None) -> None:
    rollout = begun(20)
    served = dict.fromkeys(names(20), OLD)
    said = commit({"site-00": wish}, policies={"standard": POLICY, "other": POLICY})
    first, *others = enrol([rollout], said, served, 2, NOW)
    assert "site-00" not in first.members and len(first.members) == 19
    assert [other.policy for other in others] == (["other"] if wish and wish.policy == "other" else [])


@pytest.mark.parametrize(
    ("wish", "had"),
    [
        (NEW, None),
        (NEW, Served(None, None)),
        (NEW, Served("2.0.0", None)),
        (NEW, Served("0.9.0", None)),
        (Wish("2.0.0", None, None), OLD),
        (None, OLD),
    ],
    ids=["never served", "was not managed", "has it", "had what is not allowed", "without a policy", "no box"],
)
def test_site_that_gets_it_at_once_joins_nothing(wish: Wish | None, had: Served | None) -> None:
    assert enrol([], commit({"brest": wish}), {"brest": had} if had else {}, 1, NOW) == []


def test_site_held_on_what_was_revoked_gets_the_new_one_at_once() -> None:
    rollout = begun(20)
    said = commit({}, allowed=frozenset({("release", "2.0.0")}))
    (after,) = enrol([rollout], said, {}, 2, NOW)
    assert after.let_in.keys() == rollout.members.keys() and held([after]) == {}
    back = advance(after, POLICY, seen(after, "failed"), NOW)
    assert (back.phase, held([back]), back.let_in) == ("rolled_back", {}, back.members), "there is no way back to it"


def test_site_that_comes_later_takes_its_turn_after_the_others() -> None:
    rollout = begun(20)
    (after,) = enrol([rollout], commit({"late": NEW}), {"late": OLD}, 2, NOW + SOAK)
    assert after.number == 1 and after.members["late"].position == 20
    assert len(after.let_in) == 3  # a tenth of 21 sites, rounded up


def test_site_that_comes_to_a_rolled_back_one_is_held() -> None:
    rollout = begun(20)
    back = advance(rollout, POLICY, seen(rollout, "failed"), NOW)
    (after,) = enrol([back], commit({"late": NEW}), {"late": OLD}, 2, NOW)
    assert held([after])["late"] == Held(release="1.0.0")


def test_release_and_agent_roll_each_by_itself() -> None:
    sites = names(20)
    wishes = dict.fromkeys(sites, Wish("2.0.0", "2.0.0", "standard"))
    release, agent = enrol([], commit(wishes), dict.fromkeys(sites, Served("1.0.0", "1.0.0")), 1, NOW)
    assert (release.kind, agent.kind) == ("release", "agent")
    assert (release.number, agent.number) == (1, 2)
    both = set(sites) - set(release.let_in) - set(agent.let_in)
    assert {held([release, agent])[site] for site in both} == {Held("1.0.0", "1.0.0")}


@pytest.mark.parametrize(
    ("needed", "found"),
    [(">=2.0", Held("1.0.0", "1.0.0")), (">=1.0", Held(None, "1.0.0")), (None, Held(None, "1.0.0"))],
)
def test_release_waits_for_the_agent_that_it_needs(needed: str | None, found: Held) -> None:
    wishes = {"brest": Wish("2.0.0", "2.0.0", "standard")}
    served = {"brest": Served("1.0.0", "1.0.0")}
    assert wait_for_agents({"brest": Held(agent="1.0.0")}, wishes, served, lambda _: needed) == {"brest": found}


def test_release_that_a_site_has_is_not_taken_away_for_its_agent() -> None:
    wishes = {"brest": Wish("2.0.0", "2.0.0", "standard")}
    found = wait_for_agents(
        {"brest": Held(agent="1.0.0")}, wishes, {"brest": Served("2.0.0", "1.0.0")}, lambda _: ">=2"
    )
    assert found == {"brest": Held(agent="1.0.0")}


OUTCOMES = st.sampled_from(["pending", "well", "failed"])


@given(
    count=st.integers(1, 60),
    waves=st.lists(st.integers(1, 99), max_size=4, unique=True),
    looks=st.lists(st.tuples(st.integers(0, 90), st.lists(OUTCOMES, min_size=60, max_size=60)), max_size=12),
    on_failure=st.sampled_from(["hold", "rollback"]),
    most=st.integers(0, 5),
)
def test_nobody_gets_it_beyond_the_wave_and_nobody_after_a_halt(
    count: int, waves: list[int], looks: list[tuple[int, list[Outcome]]], on_failure: Any, most: int
) -> None:
    shares = [*sorted(waves), 100]
    policy = RolloutPolicy(waves=[f"{share}%" for share in shares], max_failures=most, on_failure=on_failure)
    rollout, now = begun(count, policy), NOW
    for minutes, outcomes in looks:
        now += timedelta(minutes=minutes)
        before = rollout
        rollout = advance(rollout, policy, {s: (o, "") for s, o in zip(before.let_in, outcomes, strict=False)}, now)
        reached = len(rollout.let_in)
        assert reached <= -(-count * shares[rollout.wave] // 100)
        failed = sum(m.outcome == "failed" for m in rollout.members.values() if m.wave is not None)
        if rollout.phase in ("rolling", "done"):
            assert failed <= most and reached >= len(before.let_in)
        elif rollout.phase == "halted":
            assert reached == len(before.let_in)
        else:
            assert (rollout.phase, reached) == ("rolled_back", 0)
        if before.phase != "rolling":
            assert rollout == before
        assert held([rollout]).keys() | rollout.let_in.keys() == (
            rollout.members.keys() if rollout.phase != "done" else rollout.let_in.keys()
        )
