"""A VEVENT -> an event: its times on the wall clock of their zone, its recurrence and its exceptions."""

from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any, Final

from icalendar.parser import Contentline
from icalendar.prop import vDDDTypes, vRecur
from msgspec import Struct

from control_plane.core.ics import Block, Line, Refused
from control_plane.core.ics_zones import HOSTILE, Zones
from control_plane.core.problems import brief
from control_plane.core.recurrence import BadRule, read_rule

FIRST_YEAR, LAST_YEAR = 1970, 2100
MAX_RULES: Final = 8
MAX_DATES: Final = 4_000
"""Of RDATE and EXDATE in one event."""
_DAY: Final = timedelta(days=1)


class When(Struct, frozen=True):
    """A day, or a time on the wall clock of a zone; without a zone it floats."""

    wall: date | datetime
    zone: tzinfo | None = None

    def by(self, zone: tzinfo | None) -> date | datetime:
        """The wall clock of another zone at this instant; what floats is the same everywhere."""
        if self.zone is None or zone is None or self.zone is zone or not isinstance(self.wall, datetime):
            return self.wall
        return self.wall.replace(tzinfo=self.zone).astimezone(zone).replace(tzinfo=None)

    @property
    def rough(self) -> datetime:
        """The instant, as if what floats were in UTC: for finding the newest."""
        wall = midnight(self.wall)
        return wall.replace(tzinfo=UTC) if self.zone is None else wall.replace(tzinfo=self.zone).astimezone(UTC)


class Event(Struct, frozen=True, kw_only=True):
    """An event as the file has it; `line` is where it begins, each rule has its own.

    It `counts` unless it was cancelled, or is transparent (takes no time in the calendar).
    """

    line: int
    uid: str
    start: When
    end: When
    recurrence_id: When | None
    this_and_future: bool
    rules: list[tuple[int, vRecur]]
    more: list[tuple[When, timedelta | None]]
    less: list[When]
    counts: bool
    sequence: int

    @property
    def dates(self) -> list[When]:
        """Every day on which it says that something is on."""
        replaced = [] if self.recurrence_id is None else [self.recurrence_id]
        return [self.start, self.end, *(when for when, _ in self.more), *replaced]


def midnight(wall: date | datetime) -> datetime:
    """A day as its first instant; a time as it is."""
    return wall if isinstance(wall, datetime) else datetime.combine(wall, time())


def read_event(block: Block, zones: Zones) -> Event:
    """Refused says what is wrong with it, and in which line."""
    started = block.first("DTSTART")
    if started is None:
        raise Refused(block.line, "this event has no DTSTART; export the calendar anew")
    start = _when(started, zones)
    replaced, sequence = block.first("RECURRENCE-ID"), _text(block, "SEQUENCE")
    return Event(
        line=block.line,
        uid=_text(block, "UID") or f"line {block.line}",
        start=start,
        end=_end(block, start, zones),
        recurrence_id=None if replaced is None else _when(replaced, zones),
        this_and_future=replaced is not None and "RANGE=THISANDFUTURE" in replaced.text.partition(":")[0].upper(),
        rules=_rules(block),
        more=_dates(block, "RDATE", zones),
        less=[when for when, _ in _dates(block, "EXDATE", zones)],
        counts=_text(block, "STATUS").upper() != "CANCELLED" and _text(block, "TRANSP").upper() != "TRANSPARENT",
        sequence=int(sequence) if sequence.isascii() and sequence.isdigit() and len(sequence) < 10 else 0,
    )


def stamp_of(line: Line) -> datetime | None:
    """When the event was written or changed, if that can be read; in UTC."""
    try:
        value = vDDDTypes.from_ical(_parts(line)[1])
    except HOSTILE:
        return None
    if not isinstance(value, date):
        return None
    found = midnight(value).replace(tzinfo=UTC)
    return found if FIRST_YEAR <= found.year <= LAST_YEAR else None


def _end(block: Block, start: When, zones: Zones) -> When:
    ended, lasting = block.first("DTEND"), block.first("DURATION")
    if ended is not None:
        end = _when(ended, zones)
        if isinstance(end.wall, datetime) is not isinstance(start.wall, datetime):
            raise Refused(ended.number, "DTSTART and DTEND must both be days, or both times")
    elif lasting is not None:
        end = _lasting(start, lasting)
    else:
        return start if isinstance(start.wall, datetime) else When(start.wall + _DAY)
    if end.rough < start.rough:
        raise Refused((ended or lasting or block.lines["DTSTART"][0]).number, "this event ends before it starts")
    return end


def _lasting(start: When, line: Line) -> When:
    value = _value(line)
    if not isinstance(value, timedelta):
        raise Refused(line.number, f"`{brief(line.text)}` is no duration; write DURATION:PT2H")
    try:
        wall = (midnight(start.wall) if value % _DAY else start.wall) + value
    except OverflowError:
        raise Refused(line.number, "this event never ends; write its DTEND") from None
    return _bounded(line, When(wall, start.zone))


def _when(line: Line, zones: Zones) -> When:
    params, text = _parts(line)
    value = _value(line)
    if not isinstance(value, date):
        raise Refused(line.number, f"`{brief(line.text)}` is no date; write it as 20260131T150000")
    return _placed(line, value, params, text, zones)


def _placed(line: Line, value: date | datetime, params: Any, text: str, zones: Zones) -> When:
    if not isinstance(value, datetime):
        return _bounded(line, When(value))
    zone: tzinfo | None = None
    if value.tzinfo is not None or text.strip().upper().endswith("Z"):
        zone = UTC
    elif params.get("TZID"):
        zone = zones.named(str(params["TZID"]), line)
    return _bounded(line, When(value.replace(tzinfo=None), zone))


def _bounded(line: Line, when: When) -> When:
    if not FIRST_YEAR <= when.wall.year <= LAST_YEAR:
        raise Refused(line.number, f"{when.wall.year} lies outside of {FIRST_YEAR} to {LAST_YEAR}; correct the year")
    return when


def _dates(block: Block, name: str, zones: Zones) -> list[tuple[When, timedelta | None]]:
    """The dates of all lines of that name; those of periods with how long they last."""
    found: list[tuple[When, timedelta | None]] = []
    for line in block.lines.get(name, ()):
        params, text = _parts(line)
        items = text.split(",")
        if len(found) + len(items) > MAX_DATES:
            raise Refused(line.number, f"there are more than {MAX_DATES} dates in this event; take old ones out")
        for item in items:
            found.append(_one_date(line, params, item, zones))
    return found


def _one_date(line: Line, params: Any, text: str, zones: Zones) -> tuple[When, timedelta | None]:
    try:
        value = vDDDTypes.from_ical(text)
        if not isinstance(value, tuple):
            if isinstance(value, date):
                return _placed(line, value, params, text, zones), None
            raise ValueError("a duration")
        start = _placed(line, value[0], params, text.partition("/")[0], zones)
        length = value[1] if isinstance(value[1], timedelta) else value[1] - value[0]
    except HOSTILE:
        raise Refused(line.number, f"`{brief(text)}` is no date; write it as 20260131T150000") from None
    if not timedelta(0) <= length <= timedelta(days=366):
        raise Refused(line.number, f"`{brief(text)}` is no period of a fixture; write its end behind its start")
    return start, length


def _rules(block: Block) -> list[tuple[int, vRecur]]:
    found: list[tuple[int, vRecur]] = []
    for line in block.lines.get("RRULE", ()):
        if len(found) == MAX_RULES:
            raise Refused(line.number, f"there are more than {MAX_RULES} recurrences of one event; make several events")
        try:
            found.append((line.number, read_rule(_parts(line)[1])))
        except BadRule as problem:
            raise Refused(line.number, str(problem)) from None
    return found


def _parts(line: Line) -> tuple[Any, str]:
    """Parameters and value of a content line."""
    try:
        _, params, value = Contentline(line.text).parts()
    except HOSTILE:
        raise Refused(line.number, f"`{brief(line.text)}` is no line of a calendar; export it anew") from None
    return params, str(value)


def _value(line: Line) -> Any:
    """The value by the library, without its zone; None when it is none."""
    try:
        return vDDDTypes.from_ical(_parts(line)[1])
    except HOSTILE:
        return None


def _text(block: Block, name: str) -> str:
    line = block.first(name)
    return "" if line is None else line.text.partition(":")[2].strip()[:500]
