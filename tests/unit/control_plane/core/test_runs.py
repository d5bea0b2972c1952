"""Runs of agents: one follows the other, repetitions are no news, two machines with one identity are seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.runs import MAX_EARLIER, Run, Runs, follow

LETTERS = {letter: letter * 32 for letter in "abcdef"}


def after(said: str) -> tuple[Run | None, Runs, list[bool]]:
    """What is known after reports such as `a1 b1 a2`, and which of them were news."""
    last, runs, news = None, Runs(), []
    for word in said.split():
        now = Run(LETTERS[word[0]], int(word[1:]))
        followed = follow(last, runs, now)
        news.append(followed is not None)
        if followed is not None:
            last, runs = now, followed
    return last, runs, news


@pytest.mark.parametrize(
    ("said", "news", "forked"),
    [
        ("a1 a2 a2 a1 a3", "nnkkn", False),
        ("a1 a2 b1 b2 c1", "nnnnn", False),
        ("a5 b1 a5 b2", "nnkn", False),
        ("a5 b1 a6 b2 b3 b4", "nnnnnn", False),
        ("a5 b1 a6 b2 c1 c2", "nnnnnn", False),
        ("a5 b1 a6 b2 a7", "nnnnn", True),
        ("a1 b1 a2 b2 a3 b3", "nnnnnn", True),
        ("a1 b1 c1 a2 b2 c2", "nnnnnn", True),
        ("a1 b1 a2 b2 a3 c1 c2", "nnnnnnn", False),
        ("a1 b1 a1 b1 a1 b1 b2", "nnkkkkn", False),
    ],
)
def test_reports_of_runs(said: str, news: str, forked: bool) -> None:
    _, runs, found = after(said)
    assert "".join("n" if one else "k" for one in found) == news
    assert runs.forked == forked


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(1, 9))))
def test_whatever_comes_is_bounded_and_no_report_is_news_twice_in_a_row(said: list[tuple[str, int]]) -> None:
    last, runs, _ = after(" ".join(f"{letter}{number}" for letter, number in said))
    assert len(runs.earlier) <= MAX_EARLIER
    assert last is None or (follow(last, runs, last) is None and last.id not in {run.id for run in runs.earlier})
