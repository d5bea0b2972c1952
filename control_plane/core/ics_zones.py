"""Time zones of a calendar: names of the IANA database, Windows' names, and those that the file brings along."""

import re
from datetime import datetime, tzinfo
from io import StringIO
from typing import Final

from dateutil.tz import tzical
from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from control_plane.core.ics import Block, Line, Refused
from control_plane.core.problems import brief, suggestion
from control_plane.core.recurrence import BadRule, Meter, instances, read_rule
from control_plane.core.timezones import TIMEZONES
from control_plane.core.zones import zone_named

HOSTILE: Final = (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, AssertionError)
"""What the libraries raise on what they did not expect."""
_MAX_STEPS: Final = 2_000_000
_PAST: Final = datetime(2101, 1, 1)  # noqa: DTZ001 (on the wall)
_OFFSET: Final = re.compile(r"[+-](0[0-9]|1[0-5])[0-5][0-9]([0-5][0-9])?")
_LINES: Final = ("DTSTART", "RRULE", "RDATE", "TZOFFSETFROM", "TZOFFSETTO", "TZNAME")


class Zones:
    """The zones that one file may name; those of its own are made when they are first named."""

    def __init__(self, root: Block) -> None:
        self._own = {_value(line): b for b in root.blocks if b.name == "VTIMEZONE" and (line := b.first("TZID"))}
        self._made: dict[str, tzinfo] = {}
        self._meter = Meter(_MAX_STEPS)
        home = root.first("X-WR-TIMEZONE")
        known = None if home is None else iana_name(_value(home))
        self.home = None if known is None else zone_named(known)
        """The zone in which recurrences are meant whose times are written in UTC, as some exporters do."""

    def named(self, name: str, line: Line) -> tzinfo:
        """The zone of that name, which stands in `line`."""
        if name not in self._made:
            known = iana_name(name)
            self._made[name] = self._custom(name, line) if known is None else zone_named(known)
        return self._made[name]

    def _custom(self, name: str, line: Line) -> tzinfo:
        block = self._own.get(name)
        if block is None:
            hint = suggestion(name[:60], TIMEZONES)
            raise Refused(
                line.number, f"there is no time zone `{brief(name)}`{hint}; write a name such as Europe/Paris"
            )
        try:
            for observance in block.blocks:
                self._measure(observance)
            zone = tzical(StringIO(_text_of(block))).get()
        except (*HOSTILE, BadRule):
            zone = None
        if zone is None:
            raise Refused(block.line, f"the time zone `{brief(name)}` cannot be read; name one such as Europe/Paris")
        found: tzinfo = zone
        return found

    def _measure(self, observance: Block) -> None:
        """BadRule when the library would not soon be done with the changes of the clock."""
        started = observance.first("DTSTART")
        if started is None:
            raise BadRule("no DTSTART")
        for name in ("TZOFFSETFROM", "TZOFFSETTO"):
            if not all(_OFFSET.fullmatch(_value(line)) for line in observance.lines.get(name, ())):
                raise BadRule("no offset")
        start = datetime.strptime(_value(started)[:15], "%Y%m%dT%H%M%S")  # noqa: DTZ007 (on the wall)
        for line in observance.lines.get("RRULE", ()):
            for _ in instances(read_rule(_value(line), ("YEARLY",)), start, _PAST, self._meter, _MAX_STEPS):
                pass


def iana_name(name: str) -> str | None:
    """The IANA name that is meant: as it is, Windows' name for it, or behind the prefix that some exporters write."""
    if name in TIMEZONES:
        return name
    if name in WINDOWS_TO_OLSON:
        return str(WINDOWS_TO_OLSON[name])
    parts = name.split("/")
    return next((known for n in (3, 2) if (known := "/".join(parts[-n:])) in TIMEZONES and len(parts) > n), None)


def _value(line: Line) -> str:
    return line.text.partition(":")[2].strip()


def _text_of(block: Block) -> str:
    """The zone with what is needed and nothing else."""
    rows = ["BEGIN:VTIMEZONE", "TZID:zone"]
    for observance in block.blocks:
        kept = [line.text for name in _LINES for line in observance.lines.get(name, ())]
        rows += [f"BEGIN:{observance.name}", *kept, f"END:{observance.name}"]
    return "\r\n".join([*rows, "END:VTIMEZONE", ""])
