"""Rollouts in words: each state says what it is by word and icon, bars add up, and a turn is foretold as it comes."""

import re
from datetime import timedelta
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.rollout import Commit, Member, Rollout, Served, Wish, advance, enrol
from control_plane.core.rollout_info import turn_of
from control_plane.store.rollouts import Counted, Placed, SiteRollout, Tally
from control_plane.web.present_rollouts import (
    GRAVITY,
    Rolled,
    RolloutCard,
    besides,
    card_of,
    gravest_first,
    rolled,
    site_cells,
    waves_of,
)
from control_plane.web.words import LANGUAGES, Words
from schemas.desired import RolloutPolicy
from schemas.rollouts import Cause
from tests.support.published import NOW

POLICY = RolloutPolicy(waves=["10%", "25%", "50%", "100%"], soak="30m", deadline="24h")
POLICIES = {"standard": POLICY}
EN, FR = Words("en"), Words("fr")
MINUTE = timedelta(minutes=1)
TALLIES = (
    Tally(0, "well", 3, NOW - 90 * MINUTE),
    Tally(0, "failed", 1, NOW - 95 * MINUTE),
    Tally(1, "well", 4, NOW - 50 * MINUTE),
    Tally(1, "pending", 2, NOW - 50 * MINUTE),
    Tally(None, "pending", 30, None),
)
STATES: dict[str, dict[str, Any]] = {
    "rolling": {},
    "overdue": {"wave_at": NOW - timedelta(hours=30)},
    "halted": {"phase": "halted", "cause": Cause(kind="failures", count=4, sites=10, allowed="3")},
    "rolled_back": {"phase": "rolled_back", "cause": Cause(kind="wave", count=4, sites=4, wave=1, allowed="95%")},
    "done": {"phase": "done", "ended_at": NOW, "wave": 3},
    "superseded": {"phase": "superseded", "ended_at": NOW, "cause": Cause(kind="nobody")},
}


def one(*tallies: Tally, policy: RolloutPolicy | None = POLICY, **fields: Any) -> Rolled:
    usual = {"number": 7, "kind": "release", "version": "2.2.0", "policy": "standard", "revision": "a" * 40}
    times = {"started_at": NOW - 95 * MINUTE, "wave_at": NOW - 50 * MINUTE, "wave": 1}
    counted = Counted(Rollout(**{**usual, **times, **fields}), tallies or TALLIES)
    return rolled(counted, {"standard": policy} if policy else {}, NOW)


def card(words: Words = EN, **fields: Any) -> RolloutCard:
    return card_of(one(**fields), NOW, words)


def test_card_says_wave_and_how_many_do_how() -> None:
    found = card()
    assert (found.title, found.link, found.wave, found.has) == (
        "Release 2.2.0",
        "/rollouts/7",
        "Wave 2 of 4",
        "10 of 40 sites have it",
    )
    assert [sign.word for sign in found.tallies] == ["7 run it well", "1 failed", "2 no word yet", "30 wait"]
    assert found.ways == []
    assert card(FR).wave == "Vague 2 sur 4"


@pytest.mark.parametrize("state", STATES)
def test_each_state_is_told_by_a_word_and_an_icon_of_its_own(state: str) -> None:
    found = card(**STATES[state])
    assert found.state == state
    others = [card(**fields) for name, fields in STATES.items() if name != state]
    assert found.sign.word not in [other.sign.word for other in others]
    assert found.sign.icon not in [other.sign.icon for other in others]


def test_every_icon_is_drawn() -> None:
    drawn = set(re.findall(r'id="i-([^"]+)"', (files("control_plane.web") / "templates" / "icons.html").read_text()))
    used = {sign.icon for fields in STATES.values() for sign in (card(**fields).sign, *card(**fields).tallies)}
    assert len(used) >= 8 and used <= drawn


@pytest.mark.parametrize("words", [EN, FR], ids=LANGUAGES)
def test_what_halted_says_why_and_the_exact_line_that_goes_on(words: Words) -> None:
    for state in ("halted", "rolled_back"):
        found = card(words, **STATES[state])
        assert found.why and found.said
        assert [way.line for way in found.ways if way.line] == ["Resume-Rollout: release 2.2.0"]
        assert len(found.ways) == 3, "go on, fix forward, revert"
    assert card(kind="agent", **STATES["halted"]).ways[0].line == "Resume-Rollout: agent 2.2.0"
    assert all(card(words, **STATES[state]).ways == [] for state in STATES if state not in ("halted", "rolled_back"))


def test_rolling_one_says_when_the_next_wave_goes_or_what_it_needs() -> None:
    assert "80% of this wave" in card().said and "30 min" in card().said
    soaking = card(sound_since=NOW - 20 * MINUTE)
    assert soaking.said == "The next wave goes at 1 Mar 2026, 12:10 UTC, if all stays well."
    assert card(sound_since=NOW - 31 * MINUTE).said.endswith("comes at once.")
    everybody = card_of(one(Tally(3, "well", 9, NOW), sound_since=NOW), NOW, EN)
    assert everybody.said.startswith("All have it; it is done at 1 Mar 2026, 12:30 UTC")
    late = card(**STATES["overdue"]).said
    assert "For 30 h" in late and "24 h are allowed" in late


def test_rollout_whose_policy_is_gone_is_told_all_the_same() -> None:
    found = one(policy=None)
    assert card_of(found, NOW, EN).wave == "Wave 2"
    assert card_of(found, NOW, EN).said == ""
    assert [row.number for row in waves_of(found)] == [1, 2]


def test_what_needs_a_person_comes_first() -> None:
    found = [one(number=number, **STATES[state]) for number, state in enumerate(("rolling", "overdue", "halted"), 1)]
    assert [each.info.number for each in gravest_first(found)] == [3, 2, 1]
    assert set(GRAVITY) == set(STATES)


def test_waves_to_come_let_in_what_is_left_of_their_share() -> None:
    rows = waves_of(one())
    assert [(row.number, row.share, row.sites) for row in rows] == [
        (1, "10%", 4),
        (2, "25%", 6),
        (3, "50%", 10),
        (4, "100%", 20),
    ]
    assert rows[0].since == NOW - 95 * MINUTE and rows[2].since is None
    few = waves_of(one(Tally(0, "well", 1, NOW), Tally(None, "pending", 1, None), wave=0))
    assert [row.sites for row in few] == [1, 0, 0, 1], "a wave that adds nobody says so"


def test_all_waves_of_one_that_was_rolled_back_are_to_come_again() -> None:
    back = one(Tally(None, "failed", 4, None), Tally(None, "pending", 36, None), **STATES["rolled_back"])
    assert [row.sites for row in waves_of(back)] == [4, 6, 10, 20]
    assert card_of(back, NOW, EN).has == "0 of 40 sites have it"


counts = st.lists(st.tuples(st.integers(0, 3) | st.none(), st.sampled_from(["well", "failed", "pending"])), min_size=1)


@given(counts, st.sampled_from([*STATES]))
def test_bar_is_full_and_says_every_site_once(members: list[tuple[int | None, Any]], state: str) -> None:
    tallies = [Tally(*key, members.count(key), None if key[0] is None else NOW) for key in dict.fromkeys(members)]
    found = one(*tallies, **STATES[state])
    shown = card_of(found, NOW, EN)
    assert sum(part.width for part in shown.bar) == pytest.approx(100, abs=0.1)
    starts = [part.start for part in shown.bar]
    assert starts == sorted(starts) and starts[0] == 0
    assert all(0 < edge < 100 for edge in shown.edges)
    info = found.info
    assert info.sites == len(members) == info.well + info.failed + info.pending + info.waiting


@given(st.integers(1, 60), st.lists(st.integers(1, 99), max_size=5, unique=True))
def test_turn_is_foretold_as_the_core_lets_in(sites: int, shares: list[int]) -> None:
    policy = RolloutPolicy(waves=[*(f"{share}%" for share in sorted(shares)), "100%"], soak="0s")
    names = [f"site-{number}" for number in range(sites)]
    commit = Commit(
        revision="a" * 40,
        policies={"standard": policy},
        wishes={name: Wish("2.2.0", None, "standard") for name in names},
        allowed={("release", "2.1.3")},
        heard=set(),
    )
    [rollout] = enrol([], commit, {name: Served("2.1.3", None) for name in names}, 1, NOW)
    ordered = sorted(rollout.members, key=lambda site: rollout.members[site].position)
    foretold = {
        site: turn_of(rollout, ahead, sites, policy.waves)
        for ahead, site in enumerate(ordered)
        if rollout.members[site].wave is None
    }
    waves: dict[str, int] = {}
    for _ in range(len(policy.waves) + 1):
        waves |= {site: member.wave + 1 for site, member in rollout.members.items() if member.wave is not None}
        rollout = advance(rollout, policy, dict.fromkeys(rollout.let_in, ("well", "")), NOW)
    assert rollout.phase == "done"
    assert {site: waves[site] for site in foretold} == foretold
    assert all(waves[site] == 1 for site in waves.keys() - foretold.keys())


def member(**fields: Any) -> Member:
    return Member(**{"position": 5, "before": "2.1.3", **fields})


SITES: dict[str, tuple[dict[str, Any], dict[str, Any], tuple[str, str, str]]] = {
    "waits": ({}, {}, ("3", "waits", "quiet")),
    "well": ({"wave": 1, "let_in_at": NOW, "outcome": "well"}, {}, ("2", "runs it well", "good")),
    "failed": ({"wave": 0, "let_in_at": NOW, "outcome": "failed", "why": "no answer"}, {}, ("1", "failed", "bad")),
    "excused": (
        {"wave": 0, "let_in_at": NOW, "outcome": "failed", "excused": True},
        {},
        ("1", "failed · does not count any more", "bad"),
    ),
    "back": ({"outcome": "failed", "why": "no answer"}, STATES["rolled_back"], ("2", "failed, goes back", "bad")),
    "no way back": ({"before": None}, STATES["rolled_back"], ("2", "keeps it: there is no way back", "quiet")),
    "well and back": ({"outcome": "well"}, STATES["rolled_back"], ("2", "keeps what it had", "quiet")),
}


@pytest.mark.parametrize("case", SITES)
def test_site_says_its_wave_and_how_it_does(case: str) -> None:
    fields, of, wanted = SITES[case]
    cells = site_cells(Placed("brest", member(**fields), 5), one(**of), {"brest": "Brest"}, EN)
    site, place, wave, outcome, *_, before = cells
    assert (site.text, site.link, place.text, before.text) == (
        "Brest",
        "/sites/brest",
        "6",
        fields.get("before", "2.1.3") or "what no box may run any more",
    )
    assert (wave.text, outcome.text, outcome.tone) == wanted
    assert outcome.note == fields.get("why", "") or not fields.get("why")


def part(phase: str = "rolling", ahead: int = 5, **fields: Any) -> SiteRollout:
    found = one(phase=phase).counted.rollout
    return SiteRollout(found, member(**fields), ahead, 40)


def test_site_is_told_with_which_wave_its_release_comes() -> None:
    said = {
        "comes": besides([part(ahead=12)], POLICIES, EN, team=True)["release"],
        "late": besides([part(ahead=1)], POLICIES, EN, team=True)["release"],
        "has": besides([part(wave=0, let_in_at=NOW)], POLICIES, EN, team=True)["release"],
        "halted": besides([part("halted", ahead=12)], POLICIES, EN, team=True)["release"],
        "back": besides([part("rolled_back")], POLICIES, EN, team=True)["release"],
        "stays": besides([part("rolled_back", before=None)], POLICIES, EN, team=True)["release"],
    }
    assert said["comes"].text == "2.2.0 comes with wave 3 of 4 of rollout 7"
    assert said["late"].text == "2.2.0 comes with wave 3 of 4 of rollout 7", "who joined late goes with the next"
    assert said["has"].text == "2.2.0 since 1 Mar 2026, 12:00 UTC, with wave 1 of 4 of rollout 7"
    assert said["halted"].text.endswith("of rollout 7, which has halted")
    assert "rolled back: what was there before stays" in said["back"].text
    assert "no way back" in said["stays"].text
    assert {one.link for one in said.values()} == {"/rollouts/7"}


@pytest.mark.parametrize("phase", ["rolling", "halted", "rolled_back"])
def test_tenant_is_told_of_no_wave_and_no_number(phase: str) -> None:
    for fields in ({}, {"wave": 0, "let_in_at": NOW}, {"before": None}):
        near, far = (besides([part(phase, ahead, **fields)], POLICIES, EN, team=False) for ahead in (0, 30))
        assert near == far, "whose turn it is depends on others"
        assert not near["release"].link
        assert "7" not in near["release"].text and "2.2.0" in near["release"].text
