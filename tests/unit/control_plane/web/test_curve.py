"""How a change spread: a stair that only rises, within its drawing, on a scale of time that is logarithmic."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from control_plane.web.charts import HEIGHT, WIDTH
from control_plane.web.curve import MAX_STEPS, Curve, curve_of
from control_plane.web.words import Words

SECONDS = st.floats(0, 10**8)


def points(curve: Curve) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in curve.points.split())]


@given(st.lists(SECONDS, min_size=1, max_size=900), st.integers(0, 2000), SECONDS)
def test_any_times_are_a_stair_that_only_rises_and_stays_within(times: list[float], sites: int, lasts: float) -> None:
    reached = [timedelta(seconds=time) for time in sorted(times)]
    curve = curve_of(reached, sites, timedelta(seconds=lasts), Words("en"))
    found = points(curve)
    assert found[0] == (0.0, float(HEIGHT))
    assert found[-1][0] == WIDTH
    assert all(a[0] <= b[0] and a[1] >= b[1] for a, b in pairwise(found))
    assert all(0 <= x <= WIDTH and -0.01 <= y <= HEIGHT for x, y in found)
    assert abs(found[-1][1] - HEIGHT * (1 - len(reached) / max(sites, len(reached)))) < 0.06
    assert len(found) <= 2 * MAX_STEPS + 4
    assert [mark.x for mark in curve.marks] == sorted(mark.x for mark in curve.marks)


def test_a_minute_takes_much_of_the_scale_of_a_month() -> None:
    curve = curve_of([timedelta(seconds=30)], 2, timedelta(days=31), Words("en"))
    assert [mark.label for mark in curve.marks] == ["1 min", "10 min", "1 h", "6 h", "24 h", "7 days"]
    assert 10 < curve.marks[0].x < 25
    assert (curve.top, curve.ends, curve.summary) == ("2 sites", "31 days", "1 of 2 sites")
