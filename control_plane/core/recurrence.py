"""Recurrence rules of calendars, taken only when working them out ends soon.

A rule may be empty (every 30 February) or endless, and the library would look for its next day until the year 9999: so
each rule is first worked out on a meter, and refused when it needs too many steps.
"""

from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any, Final

from dateutil.rrule import YEARLY, rrule, rrulestr
from icalendar.prop import vRecur

from control_plane.core.problems import brief

FREQUENCIES: Final = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
MAX_STEPS_OF_RULE: Final = 60_000
"""Days looked at: daily since 1970 takes 21,000, yearly 21,000 as well."""
_KEYS: Final = frozenset(
    (
        *("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST"),
        *("BYDAY", "BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS"),
    )
)
_MAX_POSITIONS: Final = 12


class BadRule(Exception):
    """A rule that cannot be taken, and why."""


class Meter:
    """Steps that may still be taken."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def count(self, steps: int = 1) -> None:
        """BadRule when there are none left."""
        self.left -= steps
        if self.left < 0:
            raise BadRule("working out this recurrence takes too long; give it an UNTIL, or write its dates as RDATE")


class _Months(tuple[int, ...]):
    """Months of a rule that count how often they are looked at: the library does so first for each day."""

    meter: Meter

    def __contains__(self, month: object) -> bool:
        self.meter.count()
        return super().__contains__(month)


def read_rule(text: str, frequencies: tuple[str, ...] = FREQUENCIES) -> vRecur:
    """The parts of `FREQ=…;…`; BadRule says what is wrong with them."""
    try:
        rule = vRecur.from_ical(text)
    except (ValueError, TypeError, LookupError, ArithmeticError):
        raise BadRule(f"`{brief(text)}` is no recurrence; write RRULE:FREQ=WEEKLY;UNTIL=20270630T220000Z") from None
    frequency = rule.get("FREQ")
    if frequency is None or len(frequency) != 1 or str(frequency[0]).upper() not in frequencies:
        named = " or ".join(frequencies)
        raise BadRule(f"a fixture recurs {named}, not `{brief(_shown(frequency))}`; write its dates as RDATE")
    for key in rule:
        if str(key).upper() not in _KEYS:
            raise BadRule(f"`{brief(str(key))}` is not taken in a fixture's recurrence; write its dates as RDATE")
    for key in ("INTERVAL", "COUNT"):
        if any(not 1 <= number <= 10_000 for number in rule.get(key, ())):
            raise BadRule(f"`{key}` must lie from 1 to 10000; write its dates as RDATE")
    if len(rule.get("BYSETPOS", ())) > _MAX_POSITIONS or len(rule.get("UNTIL", ())) > 1:
        raise BadRule("this recurrence is too intricate; write its dates as RDATE")
    return rule


def _shown(frequency: Any) -> str:
    return ", ".join(str(word) for word in frequency or ("nothing",))[:40]


def with_until(rule: vRecur, until: date | datetime | None) -> vRecur:
    """The rule with its end said anew: without a zone, as its start is."""
    changed = vRecur(rule)
    changed.pop("UNTIL", None)
    if until is not None:
        changed["UNTIL"] = [until]
    return changed


def instances(
    rule: vRecur, start: date | datetime, until: datetime, meter: Meter, most: int = MAX_STEPS_OF_RULE
) -> Iterator[datetime]:
    """The starts up to `until`, all by one wall clock; BadRule when they take more than `most` steps."""
    first = start if isinstance(start, datetime) else datetime.combine(start, time())
    own = Meter(min(most, meter.left))
    before = own.left
    try:
        metered: rrule = rrulestr(rule.to_ical().decode(), dtstart=first)
        if metered._freq == YEARLY and metered._bynweekday and not metered._bymonth:
            raise BadRule("the n-th weekday needs a BYMONTH; or write the dates as RDATE")
        months = _Months(metered._bymonth or range(1, 13))
        months.meter = own
        metered._bymonth = months
        for instance in metered:
            if instance > until:
                break
            own.count()
            yield instance
    except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError):
        raise BadRule("this recurrence cannot be worked out; write its dates as RDATE") from None
    finally:
        meter.left -= before - own.left
