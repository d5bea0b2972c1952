"""`calendars/ID.ics` -> the fixtures in it: recurrences worked out, exceptions taken out, zones resolved.

The file alone decides, never the clock (ADR 0012): what is kept reaches from BEFORE_STAMP before the newest stamp in it
(DTSTAMP, LAST-MODIFIED, CREATED) to REACH after the newest date in it. Recurrences are worked out on the wall clock of
their zone by `recurring-ical-events`, which is given no zone at all: those come from the pinned `tzdata` package.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final

import icalendar
import recurring_ical_events
from icalendar.prop import vDDDLists, vDDDTypes, vRecur, vText
from msgspec import Struct

from control_plane.core.fixtures import Calendar, Span, in_utc
from control_plane.core.ics import Block, Refused, read_blocks
from control_plane.core.ics_events import LAST_YEAR, Event, When, midnight, read_event, stamp_of
from control_plane.core.ics_zones import HOSTILE, Zones
from control_plane.core.problem_codes import Code
from control_plane.core.problems import MAX_PROBLEMS, TOO_MANY, Problem, Severity, sort_problems
from control_plane.core.recurrence import BadRule, Meter, instances, with_until

REACH: Final = timedelta(days=400)
BEFORE_STAMP: Final = timedelta(days=1)
MAX_FIXTURES: Final = 4_000
"""In one file, each instance of a recurrence counted."""
MAX_STEPS: Final = 500_000
_STAMPS: Final = ("DTSTAMP", "LAST-MODIFIED", "CREATED")
_LONGEST: Final = timedelta(days=366)
Instance = tuple[tzinfo | None, datetime, datetime]
"""A zone, and start and end on its wall clock."""


class _Range(Struct, frozen=True):
    """What of time is kept, in UTC."""

    since: datetime
    until: datetime


def read_calendar(path: str, data: bytes) -> tuple[Calendar | None, tuple[Problem, ...]]:
    """The fixtures, and what is wrong with the file; None when it has errors."""
    reader = _Reader(path)
    calendar = None
    try:
        calendar = reader.read(read_blocks(data))
    except Refused as refusal:
        reader.problems.append(_problem(path, refusal.line, str(refusal)))
    wrong = any(problem.severity == "error" for problem in reader.problems)
    return None if wrong else calendar, sort_problems(reader.problems)


def _problem(path: str, line: int, message: str, code: Code = "BadCalendar", severity: Severity = "error") -> Problem:
    return Problem(file=path, line=line, column=1, severity=severity, code=code, message=message)


class _Reader:
    """Reads one file, and collects what is wrong with it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._meter = Meter(MAX_STEPS)
        self.problems: list[Problem] = []

    def read(self, root: Block) -> Calendar:
        """Everything that the calendar says; Refused when it is no use to go on."""
        zones = Zones(root)
        blocks = [block for block in root.blocks if block.name == "VEVENT"]
        events = [event for block in blocks if (event := self._event(block, zones))]
        kept = _range(blocks, events)
        fixed: list[Span] = []
        floating: list[Span] = []
        for series in _series(events):
            for zone, start, end in self._instances(series, zones, kept):
                if zone is None:
                    floating.append((start, end))
                else:
                    fixed.append((in_utc(start, zone), in_utc(end, zone)))
                if len(fixed) + len(floating) > MAX_FIXTURES:
                    raise Refused(series[0].line, f"there are more than {MAX_FIXTURES} fixtures; take old ones out")
        self._warn(events)
        return Calendar(_within(fixed, kept), _within(floating, kept), kept.until)

    def _event(self, block: Block, zones: Zones) -> Event | None:
        try:
            return read_event(block, zones)
        except Refused as refusal:
            self._note(refusal.line, str(refusal))
        return None

    def _note(self, line: int, message: str) -> None:
        self.problems.append(_problem(self._path, line, message))
        if len(self.problems) == MAX_PROBLEMS:
            raise Refused(line, TOO_MANY)

    def _warn(self, events: list[Event]) -> None:
        empty = [event.line for event in events if event.counts and event.start.rough == event.end.rough]
        if empty:
            more = f" (and {len(empty) - 1} more)" if len(empty) > 1 else ""
            message = f"this event{more} ends when it starts, so it closes nothing; write its DTEND or DURATION"
            self.problems.append(_problem(self._path, empty[0], message, "FixtureWithoutEnd", "warning"))

    def _instances(self, series: list[Event], zones: Zones, kept: _Range) -> Iterator[Instance]:
        """Every instance of the events of one UID."""
        core = next((event for event in series if event.recurrence_id is None), series[0])
        home = zones.home if zones.home is not None and core.rules and core.start.zone is UTC else core.start.zone
        owns = [home if event.recurrence_id is None else event.start.zone for event in series]
        calendar = icalendar.Calendar()
        line = core.line
        try:
            for number, (event, own) in enumerate(zip(series, owns, strict=True)):
                for line, rule in event.rules:  # noqa: B007 (for whoever is told)
                    self._measure(event, _ended(rule, home), own, kept)
                line = event.line
                calendar.add_component(_component(event, number, own, home))
            yield from _expanded(calendar, series, owns, kept)
        except BadRule as problem:
            self._note(line, str(problem))
        except HOSTILE as problem:
            self._note(line, f"this event cannot be worked out ({type(problem).__name__}); export the calendar anew")

    def _measure(self, event: Event, rule: vRecur, own: tzinfo | None, kept: _Range) -> None:
        """BadRule when the library would not soon be done with the rule, or would find too much."""
        first = kept.since.replace(tzinfo=None) - (event.end.rough - event.start.rough) - _LONGEST
        found = 0
        for instance in instances(rule, event.start.by(own), kept.until.replace(tzinfo=None) + _LONGEST, self._meter):
            found += instance > first
            if found > MAX_FIXTURES:
                raise BadRule(f"this recurrence makes more than {MAX_FIXTURES} fixtures; give it an UNTIL")


def _range(blocks: Iterable[Block], events: Iterable[Event]) -> _Range:
    """What of time is kept: the newest stamp and the newest date decide. Ends of recurrences (UNTIL) do not count."""
    lines = [line for block in blocks for name in _STAMPS for line in block.lines.get(name, ())]
    stamps = [stamp for line in lines if (stamp := stamp_of(line))]
    dates = [when.rough for event in events for when in event.dates]
    oldest = datetime(1970, 1, 1, tzinfo=UTC)
    until = (max([oldest, *stamps, *dates]) + REACH).replace(microsecond=0)
    return _Range(max(stamps) - BEFORE_STAMP if stamps else oldest, until)


def _series(events: Iterable[Event]) -> list[list[Event]]:
    """Events of one UID belong together: a recurrence, and those of its instances that are otherwise.

    Of several that recur under one UID the one with the highest SEQUENCE counts; where that is not said, each does:
    rather a window too few than a match that is not known.
    """
    found: dict[str, list[Event]] = {}
    for event in events:
        found.setdefault(event.uid, []).append(event)
    series: list[list[Event]] = []
    for same in found.values():
        newest = max((event.sequence for event in same if event.recurrence_id is None), default=0)
        cores = [event for event in same if event.recurrence_id is None and event.sequence == newest]
        series.append([*cores[:1], *(event for event in same if event.recurrence_id is not None)])
        series += [[core] for core in cores[1:]]
    return series


def _ended(rule: vRecur, home: tzinfo | None) -> vRecur:
    """The rule with its UNTIL on the wall clock of its start; a day includes all of that day."""
    until = next(iter(rule.get("UNTIL", ())), None)
    if until is None or until.year > LAST_YEAR:
        return with_until(rule, None)
    if not isinstance(until, datetime):
        return with_until(rule, datetime.combine(until, time(23, 59, 59)))
    if until.tzinfo is None:
        return with_until(rule, until)
    wall = When(until.replace(tzinfo=None), UTC).by(home)
    return with_until(rule, wall)


def _component(event: Event, number: int, own: tzinfo | None, home: tzinfo | None) -> icalendar.Event:
    """The event as the library takes it: on wall clocks, `number` as its summary."""
    component = icalendar.Event()
    component["UID"] = vText("series")
    component["SUMMARY"] = vText(str(number))
    component["SEQUENCE"] = event.sequence
    component["DTSTART"] = vDDDTypes(event.start.by(own))
    component["DTEND"] = vDDDTypes(event.end.by(own))
    if event.recurrence_id is not None:
        component["RECURRENCE-ID"] = vDDDTypes(event.recurrence_id.by(home))
        if event.this_and_future:
            component["RECURRENCE-ID"].params["RANGE"] = "THISANDFUTURE"
    if event.rules:
        component["RRULE"] = [_ended(rule, home) for _, rule in event.rules]
    if event.more:
        component["RDATE"] = vDDDLists([_date(when, length, home) for when, length in event.more])
    if event.less:
        component["EXDATE"] = vDDDLists([when.by(home) for when in event.less])
    return component


def _date(when: When, length: timedelta | None, home: tzinfo | None) -> date | tuple[date, timedelta]:
    return when.by(home) if length is None else (when.by(home), length)


def _expanded(
    calendar: icalendar.Calendar, series: list[Event], owns: list[tzinfo | None], kept: _Range
) -> Iterator[Instance]:
    """The instances that count; a day is from midnight to midnight, wherever the site is."""
    first, last = (instant.replace(tzinfo=None) for instant in (kept.since - 2 * BEFORE_STAMP, kept.until))
    for found in recurring_ical_events.of(calendar).between(first, last + 2 * BEFORE_STAMP):
        number = int(found["SUMMARY"])
        start, end = found["DTSTART"].dt, found["DTEND"].dt
        if series[number].counts:
            zone = owns[number] if isinstance(start, datetime) else None
            yield zone, midnight(start), midnight(end)


def _within(spans: Iterable[Span], kept: _Range) -> tuple[Span, ...]:
    """Spans that begin and end in what is kept, in order."""
    since, until = kept.since, kept.until
    return tuple(sorted({span for span in spans if _utc(span[1]) > since and _utc(span[0]) < until}))


def _utc(instant: datetime) -> datetime:
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant
