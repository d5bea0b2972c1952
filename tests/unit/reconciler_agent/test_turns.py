"""The walk that goes round in a week: everything has its turn, once, wherever it begins."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from reconciler_agent.core.turns import HOURS_OF_A_WEEK, turns

COUNTS = st.integers(0, 3000)
HOURS = st.integers(0, HOURS_OF_A_WEEK - 1)


@given(COUNTS, HOURS)
def test_week_from_any_hour_gives_each_thing_one_turn(count: int, first: int) -> None:
    taken = Counter(place for hour in range(first, first + HOURS_OF_A_WEEK) for place in turns(count, hour, 1))
    assert taken == Counter(range(count))


@given(COUNTS, HOURS)
def test_no_hour_has_many_more_turns_than_another(count: int, hour: int) -> None:
    assert count // HOURS_OF_A_WEEK <= len(turns(count, hour, 1)) <= count // HOURS_OF_A_WEEK + 1


@given(COUNTS, HOURS, st.integers(0, 30))
def test_several_hours_at_once_are_each_of_them_in_turn(count: int, first: int, hours: int) -> None:
    assert turns(count, first, hours) == {p for h in range(first, first + hours) for p in turns(count, h, 1)}
