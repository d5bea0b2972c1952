"""When a disruptive step may run: weekly hours as the wall clock of the site shows them, closed by busy intervals.

Pure, and shared by both programs: the agent decides by it, and `neopro plan` foretells by it. All instants are aware;
answers are in UTC. A window is open whenever the site's wall clock shows a time in it: one that lies in the hour which
daylight saving skips does not open on that day, one in the hour that comes twice opens twice.

`at_boot` and `idle` are conditions of the box and not hours: an `Opening` names them, and nobody can say when they
will hold. Busy intervals close them too. Without any maintenance, steps run at once.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

from msgspec import Struct

from schemas.manifest import ManifestMaintenance, ManifestWindow

Interval = tuple[datetime, datetime]
"""From the first instant to the second, which is not part of it."""

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY: Final = timedelta(days=1)
_HOUR: Final = timedelta(hours=1)
_SECOND: Final = timedelta(seconds=1)
LOOK_AHEAD: Final = timedelta(days=15)
"""A weekly window that one change of the clock skips opens in the week after it."""


class Opening(Struct, frozen=True, kw_only=True):
    """When a step may run that is ready at some instant.

    `at` is the first instant from then on at which hours are open, `until` when they close again; both None when no
    hours are set. `at_boot` and `idle_s` are conditions that may let it run earlier, when no fixture is on. `deferred`
    is the instant at which it has waited for `max_deferral` and waits for no window any more, but for fixtures.
    """

    at: datetime | None = None
    until: datetime | None = None
    at_boot: bool = False
    idle_s: int | None = None
    deferred: datetime | None = None

    @property
    def latest(self) -> datetime | None:
        """The instant at which it may run whatever the box does; None when it may wait for ever."""
        return min(filter(None, (self.at, self.deferred)), default=None)


def is_busy(maintenance: ManifestMaintenance | None, at: datetime) -> bool:
    """Whether a fixture is on: nothing disruptive and nothing visible may happen then."""
    return maintenance is not None and _busy_at(maintenance.busy, at) is not None


def free_from(maintenance: ManifestMaintenance | None, at: datetime) -> datetime:
    """The first instant from `at` on at which no fixture is on; fixtures that touch are one."""
    return at if maintenance is None else _free_from(maintenance.busy, at.astimezone(UTC))


def is_open(maintenance: ManifestMaintenance | None, zone: tzinfo, at: datetime) -> bool:
    """Whether the hours are open at this instant, and no fixture is on; conditions of the box do not count."""
    if maintenance is None:
        return True
    if is_busy(maintenance, at):
        return False
    wall = at.astimezone(zone)
    return any(_shows(window, wall) for window in maintenance.windows if window.kind == "weekly")


def next_opening(
    maintenance: ManifestMaintenance | None, zone: tzinfo, at: datetime, *, waiting_since: datetime | None = None
) -> Opening:
    """When a step that is ready at `at` may run; it has waited since `waiting_since`, or waits from `at`."""
    at = at.astimezone(UTC)
    if maintenance is None:
        return Opening(at=at)
    first = next(openings(maintenance, zone, at), None)
    idle = [window.idle_s for window in maintenance.windows if window.idle_s is not None]
    deferred = None
    if maintenance.max_deferral_s is not None:
        patience = timedelta(seconds=maintenance.max_deferral_s)
        deferred = _free_from(maintenance.busy, max(at, (waiting_since or at).astimezone(UTC) + patience))
    return Opening(
        at=first and first[0],
        until=first and first[1],
        at_boot=any(window.kind == "at_boot" for window in maintenance.windows),
        idle_s=min(idle, default=None),
        deferred=deferred,
    )


def openings(maintenance: ManifestMaintenance, zone: tzinfo, since: datetime) -> Iterator[Interval]:
    """The intervals in which hours are open and no fixture is on, from `since` on: in order, apart, none empty.

    They end LOOK_AHEAD after the later of `since` and the last fixture, whatever the hours say; the first is cut off
    at `since`.
    """
    since = since.astimezone(UTC)
    weekly = [window for window in maintenance.windows if window.kind == "weekly"]
    if weekly:
        until = max([since, *(end for _, end in maintenance.busy[-1:])]) + LOOK_AHEAD
        yield from _without(_joined(_weekly(weekly, zone, since, until)), maintenance.busy)


def _shows(window: ManifestWindow, wall: datetime) -> bool:
    """Whether this is a time of the window; one that ends before it begins goes on into the next day."""
    today, clock = _DAYS[wall.weekday()], wall.strftime("%H:%M")
    first, last = window.from_ or "", window.to or ""
    if first <= last:
        return today in window.days and first <= clock < last
    yesterday = _DAYS[wall.weekday() - 1]
    return (today in window.days and first <= clock) or (yesterday in window.days and clock < last)


def _weekly(windows: Sequence[ManifestWindow], zone: tzinfo, since: datetime, until: datetime) -> Iterator[Interval]:
    """Open intervals by their start; they may touch and overlap."""
    for start, end in _steady(zone, since, until):
        offset = start.astimezone(zone).utcoffset() or timedelta(0)
        day = (start + offset).date() - _DAY
        found = []
        while day <= (end + offset).date():
            found += [_on_day(window, day, offset) for window in windows if _DAYS[day.weekday()] in window.days]
            day += _DAY
        clipped = ((max(first, start), min(last, end)) for first, last in found)
        yield from sorted((first, last) for first, last in clipped if first < last)


def _on_day(window: ManifestWindow, day: date, offset: timedelta) -> Interval:
    first, last = (_instant(day, text or "00:00", offset) for text in (window.from_, window.to))
    return first, last if first < last else last + _DAY


def _instant(day: date, clock: str, offset: timedelta) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), UTC) - offset


def _steady(zone: tzinfo, since: datetime, until: datetime) -> Iterator[Interval]:
    """`since` to `until`, a day at a time, and cut where the zone's offset changes: within a piece the clock runs."""
    start = since
    while start < until:
        end = _change(zone, start, min(start + _DAY, until))
        yield start, end
        start = end


def _change(zone: tzinfo, start: datetime, end: datetime) -> datetime:
    """The first instant up to `end` with another offset than `start`; `end` when there is none."""
    offset = start.astimezone(zone).utcoffset()
    low, high = start, min(start + _HOUR, end)
    while high.astimezone(zone).utcoffset() == offset:
        if high == end:
            return end
        low, high = high, min(high + _HOUR, end)
    while high - low > _SECOND:
        middle = low + (high - low) // 2
        if middle.astimezone(zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def _joined(intervals: Iterable[Interval]) -> Iterator[Interval]:
    """Intervals in order of their start, those that touch or overlap as one."""
    current: Interval | None = None
    for start, end in intervals:
        if current is not None and start <= current[1]:
            current = (current[0], max(current[1], end))
            continue
        if current is not None:
            yield current
        current = (start, end)
    if current is not None:
        yield current


def _without(intervals: Iterable[Interval], busy: Sequence[Interval]) -> Iterator[Interval]:
    """What is left of the intervals outside `busy`, which is sorted and disjoint."""
    for begin, end in intervals:
        start = begin
        for closed, reopened in busy[max(0, bisect_right(busy, start, key=_start) - 1) :]:
            if closed >= end:
                break
            if start < closed:
                yield start, closed
            start = max(start, reopened)
        if start < end:
            yield start, end


def _start(interval: Interval) -> datetime:
    return interval[0]


def _busy_at(busy: Sequence[Interval], at: datetime) -> Interval | None:
    found = bisect_right(busy, at, key=_start) - 1
    return busy[found] if found >= 0 and at < busy[found][1] else None


def _free_from(busy: Sequence[Interval], at: datetime) -> datetime:
    while (interval := _busy_at(busy, at)) is not None:
        at = interval[1]
    return at
