"""Rollouts in words: each wave by its figures, and how it goes in one sentence."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from cli.rollouts import Wave, how, of_site, waves
from schemas.rollouts import Outcome, RolloutDetail, RolloutSite, SiteRollout

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
SHARES = ["10%", "25%", "50%", "100%"]


def rollout(*members: tuple[int | None, Outcome], wave: int = 1) -> RolloutDetail:
    sites = [
        RolloutSite(site=f"box-{number}", before="2.1.3", wave=wave, outcome=outcome)
        for number, (wave, outcome) in enumerate(members)
    ]
    return RolloutDetail(
        number=1,
        kind="release",
        version="2.2.0",
        policy="standard",
        commit="a" * 40,
        phase="rolling",
        started_at=NOW,
        wave=wave,
        wave_at=NOW,
        shares=SHARES,
        sites=len(sites),
        waiting=sum(one.wave is None for one in sites),
        members=sites,
    )


WAITING: tuple[None, Outcome] = (None, "pending")
BEGUN = rollout((1, "well"), (1, "failed"), (2, "well"), *[(3, "pending")] * 3, *[WAITING] * 6, wave=3)


def test_waves_that_have_gone_are_counted_by_outcome_and_the_others_by_whom_they_add() -> None:
    assert waves(BEGUN) == [
        Wave(1, "10%", 2, well=1, failed=1),
        Wave(2, "25%", 1, well=1),
        Wave(3, "50%", 3, pending=3),
        Wave(4, "100%", 6),
    ]


def test_waves_that_add_nobody_are_passed_over() -> None:
    assert waves(rollout((1, "well"), WAITING)) == [Wave(1, "10%", 1, well=1), Wave(4, "100%", 1)]


def test_rolled_back_begins_anew_with_its_first_wave() -> None:
    gone = replace(rollout(*[WAITING] * 12, wave=3), phase="rolled_back")
    assert [(wave.number, wave.sites) for wave in waves(gone)] == [(1, 2), (2, 1), (3, 3), (4, 6)]


def test_of_an_ended_one_nothing_is_to_come_and_without_its_policy_no_share_is_known() -> None:
    assert [wave.number for wave in waves(replace(BEGUN, phase="superseded", ended_at=NOW))] == [1, 2, 3]
    assert [wave.share for wave in waves(replace(BEGUN, shares=[]))] == ["", "", ""]


@pytest.mark.parametrize(
    ("now", "sentence"),
    [
        (BEGUN, "wave 3 waits until enough of its boxes run it well"),
        (replace(BEGUN, next_at=NOW), "goes on at 2026-11-26 12:00 if all stays well"),
        (rollout((4, "well"), wave=4), "wave 4 waits until enough of its boxes run it well"),
        (replace(rollout((4, "well"), wave=4), next_at=NOW), "ends at 2026-11-26 12:00 if all stays well"),
        (replace(BEGUN, overdue=True), "waits for longer than its deadline for boxes that say nothing"),
        (replace(BEGUN, phase="halted", why="4 failed"), "4 failed; neopro rollout show 1"),
        (replace(BEGUN, phase="rolled_back", why="4 failed"), "4 failed; neopro rollout show 1"),
        (replace(BEGUN, phase="done", ended_at=NOW), "ended 2026-11-26 12:00"),
        (replace(BEGUN, phase="superseded", ended_at=NOW, why="gone"), "ended 2026-11-26 12:00; gone"),
    ],
)
def test_how_it_goes_is_one_sentence(now: RolloutDetail, sentence: str) -> None:
    assert how(now) == sentence


MINE = SiteRollout(number=1, kind="agent", version="1.3.0", policy="standard", phase="rolling", before="1.2.0")


@pytest.mark.parametrize(
    ("mine", "sentence"),
    [
        (MINE, "agent 1.3.0 is for it, and it goes on with 1.2.0 until its wave comes"),
        (replace(MINE, turn=3), "agent 1.3.0 is for it, and it goes on with 1.2.0 until wave 3 comes"),
        (
            replace(MINE, phase="halted"),
            "agent 1.3.0 is for it, and it goes on with 1.2.0 until somebody goes on, for it was halted",
        ),
        (
            replace(MINE, phase="rolled_back"),
            "agent 1.3.0 is for it, and it goes on with 1.2.0 until somebody goes on, for it was rolled back",
        ),
        (replace(MINE, wave=2), "agent 1.3.0 came to it in wave 2 and has not been seen to run well yet"),
        (replace(MINE, wave=2, outcome="well"), "agent 1.3.0 came to it in wave 2 and runs well"),
        (replace(MINE, wave=2, outcome="failed"), "agent 1.3.0 came to it in wave 2 and failed"),
    ],
)
def test_what_a_rollout_means_for_a_site_is_one_sentence(mine: SiteRollout, sentence: str) -> None:
    assert of_site(mine) == sentence
