"""Whose turn it is in a walk that goes round once a week, an hour at a time, in even steps."""

from typing import Final

HOURS_OF_A_WEEK: Final = 168


def turns(count: int, first_hour: int, hours: int) -> frozenset[int]:
    """Which of `count` things are due in `hours` hours from the `first_hour`th of the walk; after the last: the first.

    In any 168 hours each has one turn.
    """
    return frozenset(
        place
        for hour in range(first_hour, first_hour + hours)
        for place in range(_before(count, hour % HOURS_OF_A_WEEK), _before(count, hour % HOURS_OF_A_WEEK + 1))
    )


def _before(count: int, hour: int) -> int:
    """How many had their turn before this hour."""
    return count * hour // HOURS_OF_A_WEEK
