"""The text of an iCalendar file (RFC 5545) -> its components, each line with its number in the file.

Only what fixtures are made of is kept; the values are read in `control_plane.core.calendars`.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec import Struct

from control_plane.core.problems import brief

MAX_BYTES: Final = 1 << 20
MAX_EVENTS: Final = 2_000
MAX_OBSERVANCES: Final = 12
"""Of a time zone that the file brings along: summer and winter, and a few changes of the law."""

_NAME: Final = re.compile(r"([A-Za-z0-9-]+)(?=[;:])")
_BREAK: Final = re.compile(r"\r\n|\n|\r")
_KEPT: Final = frozenset(
    (
        *("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "UID", "SEQUENCE", "STATUS"),
        *("TRANSP", "DTSTAMP", "LAST-MODIFIED", "CREATED"),
        *("TZID", "TZOFFSETFROM", "TZOFFSETTO", "TZNAME", "X-WR-TIMEZONE"),
    )
)


class Refused(Exception):
    """Something in the file that cannot be read, and the line (from 1) that it stands in."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Line(NamedTuple):
    """A content line: its number (from 1), its name in capitals, and its whole text, unfolded."""

    number: int
    name: str
    text: str


class Block(Struct, frozen=True):
    """A component: where it begins, its lines by name, and the components in it."""

    name: str
    line: int
    lines: dict[str, list[Line]]
    blocks: list["Block"]

    def first(self, name: str) -> Line | None:
        """The first line of that name."""
        found = self.lines.get(name)
        return found[0] if found else None


def read_blocks(data: bytes) -> Block:
    """The calendar in the file, with its events and time zones. Refused says what is wrong, and where."""
    if len(data) > MAX_BYTES:
        raise Refused(1, f"the file is larger than {MAX_BYTES >> 20} MiB; take old fixtures out")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(data.count(b"\n", 0, error.start) + 1, "this is no UTF-8; export the calendar anew") from None
    stack: list[Block] = []
    root: Block | None = None
    for line in _content_lines(text):
        if line.name == "BEGIN":
            stack.append(_begin(line, stack, root))
        elif line.name == "END":
            root = _end(line, stack) or root
        elif not stack:
            raise Refused(line.number, "this is no calendar: it must begin with BEGIN:VCALENDAR")
        elif line.name in _KEPT:
            stack[-1].lines.setdefault(line.name, []).append(line)
    if stack or root is None:
        what = f"END:{brief(stack[-1].name)} is missing" if stack else "there is no calendar in this file"
        raise Refused(text.count("\n") + 1 if stack else 1, f"{what}; export the calendar anew")
    return root


def _begin(line: Line, stack: list[Block], root: Block | None) -> Block:
    name = line.text[6:].strip().upper()[:40]
    if not stack and (name != "VCALENDAR" or root is not None):
        raise Refused(line.number, "a file holds exactly one calendar: BEGIN:VCALENDAR … END:VCALENDAR")
    if len(stack) > 4:
        raise Refused(line.number, "components lie too deep in one another; export the calendar anew")
    block = Block(name, line.number, {}, [])
    if stack:
        stack[-1].blocks.append(block)
        limit = MAX_EVENTS if stack[-1].name == "VCALENDAR" else MAX_OBSERVANCES
        if len(stack[-1].blocks) > limit and name in ("VEVENT", "STANDARD", "DAYLIGHT"):
            raise Refused(line.number, f"there are more than {limit} of these; take old ones out")
    return block


def _end(line: Line, stack: list[Block]) -> Block | None:
    """Close the component; the calendar itself when that was it."""
    name = line.text[4:].strip().upper()[:40]
    if not stack or stack[-1].name != name:
        raise Refused(line.number, f"END:{brief(name)} closes nothing that is open; export the calendar anew")
    closed = stack.pop()
    return closed if not stack else None


def _content_lines(text: str) -> Iterator[Line]:
    """Lines as they were before folding; those without a name are no lines of a calendar."""
    parts: list[str] = []
    first = 1
    for number, row in enumerate(_BREAK.split(text), 1):
        if row[:1] in (" ", "\t") and parts:
            parts.append(row[1:])
            continue
        yield from _content_line(first, "".join(parts))
        parts, first = [row], number
    yield from _content_line(first, "".join(parts))


def _content_line(number: int, text: str) -> Iterator[Line]:
    if not text.strip():
        return
    found = _NAME.match(text)
    if found is None:
        raise Refused(number, f"`{brief(text)}` is no line of a calendar; export the calendar anew")
    yield Line(number, found[1].upper(), text)
