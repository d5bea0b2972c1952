"""Figures over time: every point in its place, gaps and what was told late apart, the same figures as a table."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from control_plane.web.charts import HEIGHT, SPANS, TABLE_ROWS, WIDTH, charts, span_of
from control_plane.web.words import Words
from schemas.memory import MetricsPoint

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = SPANS[0]
STEP = DAY.back / DAY.points


def point(place: int, cpu: float | None, *, late: bool = False) -> MetricsPoint:
    return MetricsPoint(at=NOW - DAY.back + place * STEP, measured_s=300, late_s=300 if late else 0, cpu_percent=cpu)


def lines(*points: MetricsPoint) -> list[tuple[int, bool]]:
    """How many points each line has, and whether it was told late."""
    (chart,) = charts(points, DAY, NOW, Words("en")).charts
    return [(len(line.points.split()), line.late) for line in chart.lines]


def test_line_ends_at_a_gap_and_where_late_news_begin() -> None:
    assert lines(*(point(n, 10) for n in range(5))) == [(5, False)]
    assert lines(*(point(n, 10) for n in (0, 1, 2, 9, 10))) == [(3, False), (2, False)]
    assert lines(*(point(n, 10, late=n < 3) for n in range(6))) == [(3, True), (3, False)]
    assert lines(point(0, 10)) == [(2, False)], "one point is drawn, too"


def test_figure_that_was_not_measured_has_no_chart() -> None:
    assert charts([point(0, None)], DAY, NOW, Words("en")).charts == []
    assert charts([], DAY, NOW, Words("fr")).charts == []


def test_summary_says_the_same_as_the_line() -> None:
    (chart,) = charts([point(n, value) for n, value in enumerate((10, 30, 80))], DAY, NOW, Words("en")).charts
    assert chart.summary == "now 80%; lowest 10%, mean 40%, highest 80%"
    assert [value for _, value in chart.rows] == ["10%", "30%", "80%"]
    assert chart.lines[0].points == "0.0,108.0 2.1,84.0 4.2,24.0"


def test_address_names_the_span() -> None:
    assert [span_of(asked).key for asked in ("24h", "7d", "90d", "", "nonsense")] == ["24h", "7d", "90d", "24h", "24h"]


@given(st.lists(st.floats(min_value=-1e6, max_value=1e6), min_size=1, max_size=300))
def test_whatever_was_measured_lies_within_the_picture(values: list[float]) -> None:
    found = charts([point(n, value) for n, value in enumerate(values)], DAY, NOW + timedelta(hours=5), Words("fr"))
    (chart,) = found.charts
    assert 0 < len(chart.rows) <= TABLE_ROWS
    for line in chart.lines:
        for place in line.points.split():
            x, y = map(float, place.split(","))
            assert 0 <= x <= WIDTH + 1
            assert 0 <= y <= HEIGHT
