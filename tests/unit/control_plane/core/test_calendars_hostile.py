"""Files that mean no good: no calendars, events that cannot be read, too much of everything, garbage."""

import time
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.core.calendars import MAX_FIXTURES, read_calendar
from control_plane.core.fixtures import busy_in, merged
from control_plane.core.ics import MAX_BYTES, MAX_EVENTS
from control_plane.core.zones import zone_named
from tests.support.calendars import MATCH, OUTLOOK_ZONE, RENNES, STAMP, calendar, event, problems, recurring

PARIS = zone_named("Europe/Paris")
SOON = 10.0
"""Seconds; the worst that they take is about a tenth of this."""


NOT_CALENDARS = {
    b"": "1 BadCalendar",
    b"name: Rennes\n": "1 BadCalendar",
    b"\x89PNG\r\n\x1a\n": "1 BadCalendar",
    b"BEGIN:VCALENDAR\r\nSUMMARY:\xff\r\nEND:VCALENDAR\r\n": "2 BadCalendar",
    b"BEGIN:VCALENDAR\r\n": "2 BadCalendar",
    b"BEGIN:VCALENDAR\r\nEND:VEVENT\r\n": "2 BadCalendar",
    b"BEGIN:VCARD\r\nEND:VCARD\r\n": "1 BadCalendar",
    calendar() + calendar(): "4 BadCalendar",
    b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\n" * 50: "6 BadCalendar",
    b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n" + b" " * MAX_BYTES: "1 BadCalendar",
}


@pytest.mark.parametrize("data", NOT_CALENDARS, ids=lambda data: repr(data[:30]))
def test_file_that_is_no_calendar_is_refused_at_its_line(data: bytes) -> None:
    assert problems(data) == [NOT_CALENDARS[data]]


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (("UID:1",), 3),
        (("DTSTART:tomorrow",), 4),
        (("DTSTART:20261340T250000",), 4),
        (("DTSTART:19691231T235959Z",), 4),
        (("DTSTART:99991231T235959Z",), 4),
        (("DTSTART;TZID=Europe/Pariss:20260905T200000",), 4),
        (("DTSTART;TZID=../../etc/passwd:20260905T200000",), 4),
        ((RENNES, "DTEND:20260904T200000Z"), 5),
        ((RENNES, "DTEND;VALUE=DATE:20260906"), 5),
        ((RENNES, "DURATION:PT3X"), 5),
        ((RENNES, "DURATION:-PT3H"), 5),
        ((RENNES, "DURATION:P999999999999D"), 5),
        ((RENNES, "DURATION:PT2H", "RRULE:FREQ=SECONDLY"), 6),
        ((RENNES, "DURATION:PT2H", "RRULE:FREQ=MINUTELY;COUNT=3"), 6),
        ((RENNES, "DURATION:PT2H", "RRULE:FREQ=HOURLY"), 6),
        ((RENNES, "DURATION:PT2H", "RRULE:weekly"), 6),
        ((RENNES, "DURATION:PT2H", "RRULE:FREQ=WEEKLY;INTERVAL=0"), 6),
        ((RENNES, "DURATION:PT2H", "RRULE:FREQ=WEEKLY;BYSECOND=1,2,3"), 6),
        ((RENNES, "DURATION:PT2H", "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), 6),
        ((RENNES, "DURATION:PT2H", "RRULE:FREQ=DAILY;BYSETPOS=300"), 6),
        ((RENNES, "DURATION:PT2H", *["RRULE:FREQ=DAILY"] * 9), 14),
        ((RENNES, "DURATION:PT2H", "RDATE:" + ",".join(["20260905T200000Z"] * 5000)), 6),
        ((RENNES, "DURATION:PT2H", "RDATE:20260905T200000Z/PT9999H"), 6),
        ((RENNES, "DURATION:PT2H", "EXDATE:never"), 6),
        ((RENNES, "DURATION:PT2H", "RECURRENCE-ID:never"), 6),
    ],
)
def test_event_that_cannot_be_read_is_named_with_its_line(lines: tuple[str, ...], line: int) -> None:
    assert problems(calendar(event(*lines))) == [f"{line} BadCalendar"]


def test_all_wrong_events_are_named_at_once() -> None:
    wrong = event("DTSTART:tomorrow")
    assert problems(calendar(wrong, MATCH, wrong)) == ["4 BadCalendar", "13 BadCalendar"]


def test_event_that_ends_when_it_starts_is_warned_of() -> None:
    assert problems(calendar(event("UID:1", STAMP, RENNES))) == ["3 FixtureWithoutEnd"]


ODD = "\x1b[31m\u202e\x07"


@pytest.mark.parametrize(
    "text",
    [
        f"DTSTART:{ODD}",
        f"DTSTART;TZID={ODD}:20260905T200000",
        f"{RENNES}\r\nDURATION:{ODD}",
        f"{RENNES}\r\nEXDATE:{ODD}",
        f"{RENNES}\r\nRRULE:FREQ={ODD}",
        f"{RENNES}\r\nRRULE:FREQ=DAILY;{ODD}=1",
        f"{ODD}",
        f"END:{ODD}",
        f"BEGIN:{ODD}",
    ],
)
def test_sentences_hold_nothing_that_steers_a_terminal(text: str) -> None:
    _, said = read_calendar("calendars/x.ics", calendar(event(text)))
    assert said
    assert all(problem.message.isprintable() for problem in said)


def test_misspelt_zone_is_hinted_at() -> None:
    _, said = read_calendar("x.ics", calendar(event("DTSTART;TZID=Europe/Pariss:20260905T200000")))
    assert "did you mean `Europe/Paris`?" in said[0].message


DATES = ",".join(f"2026{m:02}{d:02}T{h:02}0000Z" for m in range(1, 13) for d in range(1, 29) for h in range(10))


TOO_MUCH = {
    "never": [recurring("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30").replace("UID:t", f"UID:{n}") for n in range(300)],
    "daily": [recurring("FREQ=DAILY").replace("UID:t", f"UID:{n}") for n in range(50)],
    "events": [MATCH.replace("UID:match", f"UID:{n}") for n in range(MAX_EVENTS + 1)],
    "dates": [event(f"UID:{n}", RENNES, "DURATION:PT2H", f"RDATE:{DATES}") for n in range(2)],
}


@pytest.mark.parametrize("which", TOO_MUCH)
def test_too_much_is_refused_soon(which: str) -> None:
    started = time.process_time()
    assert problems(calendar(*TOO_MUCH[which]))
    assert time.process_time() - started < SOON


def test_limit_of_fixtures_is_met_exactly() -> None:
    days = [f"2026{m:02}{d:02}" for m in range(1, 13) for d in range(1, 29)]
    dates = [f"{day}T{h:02}0000Z" for day in days for h in range(20)][: MAX_FIXTURES - 1]
    busiest = event("UID:1", "DTSTART:20251231T000000Z", "DURATION:PT30M", "RDATE:" + ",".join(dates))
    found, said = read_calendar("calendars/x.ics", calendar(busiest))
    assert (found is not None and len(found.fixed), said) == (MAX_FIXTURES, ())
    one_more = MATCH.replace(f"{STAMP}\r\n", "")
    assert problems(calendar(busiest, one_more)) == ["9 BadCalendar"]


@pytest.mark.parametrize(
    "head",
    [
        OUTLOOK_ZONE.replace("YEARLY", "SECONDLY"),
        OUTLOOK_ZONE.replace("BYMONTH=3", "BYMONTH=2;BYMONTHDAY=30"),
        OUTLOOK_ZONE.replace("+0200", "+9900"),
        OUTLOOK_ZONE.replace("DTSTART", "DTEND"),
        OUTLOOK_ZONE.replace("STANDARD", "OTHER"),
        "BEGIN:VTIMEZONE\r\nTZID:Somewhere west\r\nEND:VTIMEZONE\r\n",
    ],
)
def test_hostile_zone_is_refused_when_it_is_named(head: str) -> None:
    started = time.process_time()
    named = event("DTSTART;TZID=Somewhere west:20260905T200000", "DURATION:PT2H")
    assert problems(calendar(named, head=head)) == ["3 BadCalendar"]
    assert problems(calendar(MATCH, head=head)) == []
    assert time.process_time() - started < SOON


WORDS = st.sampled_from(
    [
        *("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "UID", "SEQUENCE", "STATUS"),
        *("DTSTAMP", ":", ";", ",", "=", "\r\n", "END:VEVENT", "BEGIN:VEVENT", "TZID=Europe/Paris", "VALUE=DATE"),
        *("FREQ=DAILY", "FREQ=YEARLY", "BYMONTH=2", "BYMONTHDAY=30", "BYDAY=5MO", "COUNT=3", "UNTIL=20270101"),
        *("UNTIL=99991231T000000Z", "INTERVAL=3", "20260905T150000", "20260905", "20260905T150000Z", "00010101T000000"),
        *("PT1H", "-PT1H", "P9D", "1"),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(WORDS, max_size=40).map("".join) | st.text(max_size=200))
def test_garbage_never_breaks_the_reader(text: str) -> None:
    started = time.process_time()
    problems(calendar(event(RENNES, text)))
    problems(text.encode("utf-8", "surrogatepass"))
    assert time.process_time() - started < SOON


LINES = st.sampled_from(
    [
        *(RENNES, "DTSTART:20260905", "DTSTART:20260905T150000Z", "DURATION:PT2H", "DTEND:20260906", "UID:1", "UID:2"),
        *("RRULE:FREQ=WEEKLY;COUNT=9", "RRULE:FREQ=DAILY;BYMONTHDAY=31", "RRULE:FREQ=YEARLY;BYDAY=5MO"),
        *("RRULE:FREQ=MONTHLY;BYMONTHDAY=30;BYMONTH=2", "EXDATE:20260912", "EXDATE;TZID=Europe/Paris:20260912T200000"),
        *("RDATE:20260907T100000", "RDATE;VALUE=PERIOD:20260907T100000Z/PT1H", "RECURRENCE-ID:20260912T180000Z"),
        *("RECURRENCE-ID;RANGE=THISANDFUTURE:20260912", "STATUS:CANCELLED", "TRANSP:TRANSPARENT", "SEQUENCE:3", STAMP),
    ]
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(LINES, max_size=6), max_size=4))
def test_any_mixture_of_lines_is_read_or_refused(events: list[list[str]]) -> None:
    found, said = read_calendar("x.ics", calendar(*(event(*lines) for lines in events)))
    assert not any("worked out (" in problem.message for problem in said)
    if found is not None:
        spans, until = busy_in([found], PARIS)
        assert spans == merged(spans)
        assert until is not None
        assert all(start < until + timedelta(days=1) for start, _ in spans)
