"""Calendars written by hand."""

from control_plane.core.calendars import read_calendar


def event(*lines: str) -> str:
    """A VEVENT with a stamp of its own."""
    return "\r\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT", ""])


def calendar(*events: str, head: str = "") -> bytes:
    """An iCalendar file."""
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n{head}{''.join(events)}END:VCALENDAR\r\n".encode()


STAMP = "DTSTAMP:20260901T080000Z"
MATCH = event(
    "UID:match", STAMP, "DTSTART;TZID=Europe/Paris:20260905T200000", "DTEND;TZID=Europe/Paris:20260905T220000"
)
OUTLOOK_ZONE = """\
BEGIN:VTIMEZONE\r
TZID:Somewhere west\r
BEGIN:STANDARD\r
DTSTART:16010101T030000\r
TZOFFSETFROM:+0200\r
TZOFFSETTO:+0100\r
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\r
END:STANDARD\r
BEGIN:DAYLIGHT\r
DTSTART:16010101T020000\r
TZOFFSETFROM:+0100\r
TZOFFSETTO:+0200\r
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\r
END:DAYLIGHT\r
END:VTIMEZONE\r
"""
RENNES = "DTSTART;TZID=Europe/Paris:20260905T200000"


def recurring(rule: str, *more: str, start: str = RENNES) -> str:
    """A training that recurs by this rule."""
    return event("UID:training", STAMP, start, "DURATION:PT2H", f"RRULE:{rule}", *more)


def problems(data: bytes) -> list[str]:
    """What is wrong with a file, line by line."""
    found, said = read_calendar("calendars/x.ics", data)
    assert (found is None) == any(problem.severity == "error" for problem in said)
    return [f"{problem.line} {problem.code}" for problem in said]
