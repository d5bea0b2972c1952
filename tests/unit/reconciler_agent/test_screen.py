"""A match on the screen: every phase with every score, fresh and old."""

from itertools import product

import pytest

from reconciler_agent.core.screen import STALE_S, Signal, judge, read_signal, watch


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
