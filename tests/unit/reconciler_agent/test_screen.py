"""A match on the screen: every phase with every score, fresh and old."""

from itertools import product

import pytest

from reconciler_agent.core.screen import (
    LOOK_AWAY_S,
    STALE_S,
    Quiet,
    ScreenState,
    Signal,
    judge,
    read_signal,
    rest,
    watch,
)


@pytest.mark.parametrize(
    ("phase", "score", "stood_s"),
    list(product(["neutral", "before", "during", "after"], [(0, 0), (1, 0), (0, 1)], [0, STALE_S - 1, STALE_S])),
)
def test_match_holds_until_its_signal_is_stale(phase: str, score: tuple[int, int], stood_s: float) -> None:
    signal = Signal(phase=phase, home_score=score[0], away_score=score[1])
    state = judge(watch(None, signal, 100.0), 100.0 + stood_s)
    shown = phase != "neutral" or score != (0, 0)
    assert (state.match, state.stale) == (shown and stood_s < STALE_S, shown and stood_s >= STALE_S)


def test_any_change_makes_a_stale_match_fresh() -> None:
    watched = watch(None, Signal(phase="during"), 0.0)
    assert watch(watched, Signal(phase="during"), STALE_S) == watched
    goal = watch(watched, Signal(phase="during", home_score=1), STALE_S)
    assert judge(goal, STALE_S).match


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("phase-change", None),
        ("phase-change", {"phase": 3}),
        ("phase-change", []),
        ("score-update", "1-0"),
        ("score-reset", {"homeScore": 1}),
        ("action", {"phase": "during"}),
    ],
)
def test_event_of_another_shape_changes_nothing(event: str, data: object) -> None:
    last = Signal(phase="during", home_score=1)
    assert read_signal(last, event, data) == last


@pytest.mark.parametrize("score", [None, "", "x", float("nan"), float("inf"), [], 1e300])
def test_score_that_is_no_number_counts_as_none(score: object) -> None:
    assert read_signal(Signal(), "score-update", {"homeScore": score}).home_score == 0


@pytest.mark.parametrize(
    ("state", "quiet"),
    [
        (None, True),  # nothing answers, nothing is played
        (ScreenState(match=False, stale=False, signal=Signal(), connections=0), True),
        (ScreenState(match=False, stale=False, signal=Signal(), connections=1), True),
        (ScreenState(match=False, stale=True, signal=Signal(phase="after"), connections=1), True),
        (ScreenState(match=False, stale=False, signal=Signal(), connections=2), False),
        (ScreenState(match=False, stale=False, signal=Signal(), connections=None), False),
        (ScreenState(match=True, stale=False, signal=Signal(phase="during"), connections=1), False),
    ],
)
def test_it_is_quiet_without_a_match_and_surely_without_a_remote(state: ScreenState | None, quiet: bool) -> None:
    assert (rest(None, state, 7.0) is not None) is quiet


def test_quiet_lasts_while_nothing_changes_and_somebody_looks() -> None:
    calm = ScreenState(match=False, stale=False, signal=Signal(), connections=1)
    since = rest(None, calm, 10.0)

    later = rest(since, calm, 10.0 + LOOK_AWAY_S)
    assert later == Quiet(since_s=10.0, looked_s=10.0 + LOOK_AWAY_S, signal=Signal())
    assert rest(later, None, 20.0 + LOOK_AWAY_S) == Quiet(since_s=10.0, looked_s=20.0 + LOOK_AWAY_S, signal=Signal())
    looked_away = rest(since, calm, 10.1 + LOOK_AWAY_S)
    assert looked_away is not None and looked_away.since_s == 10.1 + LOOK_AWAY_S
    reset = ScreenState(match=False, stale=True, signal=Signal(home_score=1), connections=1)
    changed = rest(since, reset, 20.0)
    assert changed is not None and changed.since_s == 20.0
