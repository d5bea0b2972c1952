"""Numbers as plans write them."""

import pytest

from control_plane.core.plan_words import count, megabytes, short, span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (90, "90 s"),
        (1800, "30 min"),
        (3600, "1 h"),
        (5400, "90 min"),
        (9 * 86_400, "9 d"),
    ],
)
def test_span_is_told_in_the_unit_that_says_it_well(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (9_949, "9.9 kB"),
        (9_951, "10 kB"),
        (999_499, "999 kB"),
        (999_501, "1.0 MB"),
        (3_200_000_000, "3.2 GB"),
        (2 * 10**12, "2.0 TB"),
        (5 * 10**15, "5000 TB"),
    ],
)
def test_bytes_have_three_digits_at_most(size: int, text: str) -> None:
    assert megabytes(size) == text


def test_lists_end_in_how_many_more_there_are() -> None:
    assert short(["a", "b"], 2) == "a, b"
    assert short(["a", "b", "c"], 2) == "a, b and 1 more"
    assert [count(1, "site"), count(12_000, "site"), count(2, "box", "boxes")] == ["1 site", "12,000 sites", "2 boxes"]
