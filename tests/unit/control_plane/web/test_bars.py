"""Bars by the hour: what is drawn is what the table says."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from control_plane.store.activity import Hour
from control_plane.web.bars import HEIGHT, LEAST, activity_of
from control_plane.web.words import Words

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COUNT = st.integers(0, 2**40)


@given(st.lists(st.tuples(COUNT, COUNT, COUNT, COUNT), max_size=30))
def test_any_hours_are_bars_within_the_drawing_and_rows_without_the_empty_ones(
    counts: list[tuple[int, int, int, int]],
) -> None:
    hours = [
        Hour(at=NOW + n * timedelta(hours=1), reports=a, downloads=b, download_bytes=c, changes=d)
        for n, (a, b, c, d) in enumerate(counts)
    ]
    made = activity_of(hours, Words("fr"))
    for bars in made.bars:
        assert bars.width == len(hours)
        assert all(0 <= bar.x < len(hours) and LEAST <= bar.height <= HEIGHT and bar.y >= 0 for bar in bars.bars)
    assert len(made.bars[0].bars) == sum(a > 0 for a, *_ in counts)
    assert [row.at for row in made.rows] == [h.at for h in reversed(hours) if h.reports or h.changes or h.downloads]


def test_highest_hour_fills_the_drawing_and_the_others_are_in_proportion() -> None:
    hours = [Hour(at=NOW, reports=n, downloads=0, download_bytes=0, changes=0) for n in (50, 0, 100)]
    assert [(bar.x, bar.height) for bar in activity_of(hours, Words("en")).bars[0].bars] == [(0.1, 24.0), (2.1, 48.0)]
