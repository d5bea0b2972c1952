"""Calendars: what is on and when, by the file alone; and files that mean no good."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.core.calendars import MAX_FIXTURES, REACH, read_calendar
from control_plane.core.fixtures import Calendar, busy_in, merged
from control_plane.core.ics import MAX_BYTES, MAX_EVENTS
from control_plane.core.timezones import TIMEZONES
from control_plane.core.zones import zone_named
from tests.support.calendars import MATCH, OUTLOOK_ZONE, STAMP, calendar, event

PARIS = zone_named("Europe/Paris")
RENNES = "DTSTART;TZID=Europe/Paris:20260905T200000"
SOON = 10.0
"""Seconds; the worst that hostile files take is about a tenth of this."""


def read(data: bytes) -> Calendar:
    found, problems = read_calendar("calendars/x.ics", data)
    assert problems == ()
    assert found is not None
    return found


def busy(*events: str, head: str = "", zone: str = "Europe/Paris") -> list[str]:
    """What is busy, by the wall clock of the zone."""
    spans, _ = busy_in([read(calendar(*events, head=head))], zone_named(zone))
    return [
        " ".join(instant.astimezone(zone_named(zone)).strftime("%m-%d %H:%M") for instant in span) for span in spans
    ]


def problems(data: bytes) -> list[str]:
    found, said = read_calendar("calendars/x.ics", data)
    assert (found is None) == any(problem.severity == "error" for problem in said)
    return [f"{problem.line} {problem.code}" for problem in said]


def recurring(rule: str, *more: str, start: str = RENNES) -> str:
    return event("UID:training", STAMP, start, "DURATION:PT2H", f"RRULE:{rule}", *more)


def test_event_is_busy_from_its_start_to_its_end() -> None:
    assert busy(MATCH) == ["09-05 20:00 09-05 22:00"]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("FREQ=WEEKLY;COUNT=3", ["09-05", "09-12", "09-19"]),
        ("FREQ=WEEKLY;UNTIL=20260919T180000Z", ["09-05", "09-12", "09-19"]),
        ("FREQ=WEEKLY;UNTIL=20260919T175959Z", ["09-05", "09-12"]),
        ("FREQ=WEEKLY;UNTIL=20260919", ["09-05", "09-12", "09-19"]),
        ("FREQ=WEEKLY;UNTIL=20260919T200000", ["09-05", "09-12", "09-19"]),
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=3", ["09-05", "09-19", "10-03"]),
        ("FREQ=WEEKLY;BYDAY=SA,SU;COUNT=3", ["09-05", "09-06", "09-12"]),
        ("FREQ=MONTHLY;BYDAY=1SA;COUNT=3", ["09-05", "10-03", "11-07"]),
        ("FREQ=DAILY;COUNT=2", ["09-05", "09-06"]),
    ],
)
def test_recurrence_is_worked_out(rule: str, expected: list[str]) -> None:
    assert [span[:5] for span in busy(recurring(rule))] == expected


def test_recurrence_keeps_its_hour_on_the_wall_when_the_clock_changes() -> None:
    assert busy(recurring("FREQ=WEEKLY;COUNT=3", start="DTSTART;TZID=Europe/Paris:20261018T150000")) == [
        "10-18 15:00 10-18 17:00",
        "10-25 15:00 10-25 17:00",
        "11-01 15:00 11-01 17:00",
    ]


def test_exceptions_and_additions_change_the_recurrence() -> None:
    dates = ("EXDATE;TZID=Europe/Paris:20260912T200000", "EXDATE:20260919T180000Z", "RDATE:20260916T180000Z")
    assert [span[:11] for span in busy(recurring("FREQ=WEEKLY;COUNT=4", *dates))] == [
        "09-05 20:00",
        "09-16 20:00",
        "09-26 20:00",
    ]


def test_period_among_the_additions_has_its_own_length() -> None:
    dates = "RDATE;VALUE=PERIOD:20260908T180000Z/PT30M,20260909T180000Z/20260909T183000Z"
    assert busy(recurring("FREQ=WEEKLY;COUNT=1", dates))[1:] == ["09-08 20:00 09-08 20:30", "09-09 20:00 09-09 20:30"]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("DTSTART;TZID=Europe/Paris:20260913T150000", "DURATION:PT1H"), ["09-05 20:00", "09-13 15:00", "09-19 20:00"]),
        (("DTSTART:20260913T130000Z", "DURATION:PT1H"), ["09-05 20:00", "09-13 15:00", "09-19 20:00"]),
        (("DTSTART:20260912T180000Z", "STATUS:CANCELLED"), ["09-05 20:00", "09-19 20:00"]),
        (("DTSTART:20260912T180000Z", "DURATION:PT1H", "TRANSP:TRANSPARENT"), ["09-05 20:00", "09-19 20:00"]),
    ],
)
@pytest.mark.parametrize("which", ["RECURRENCE-ID:20260912T180000Z", "RECURRENCE-ID;TZID=Europe/Paris:20260912T200000"])
def test_one_instance_is_otherwise(which: str, lines: tuple[str, ...], expected: list[str]) -> None:
    moved = event("UID:training", STAMP, which, *lines)
    for order in ((recurring("FREQ=WEEKLY;COUNT=3"), moved), (moved, recurring("FREQ=WEEKLY;COUNT=3"))):
        assert [span[:11] for span in busy(*order)] == expected


def test_all_later_instances_are_otherwise() -> None:
    moved = event(
        "UID:training",
        STAMP,
        "RECURRENCE-ID;RANGE=THISANDFUTURE:20260912T180000Z",
        "DTSTART:20260912T190000Z",
        "DURATION:PT1H",
    )
    assert busy(recurring("FREQ=WEEKLY;COUNT=3"), moved) == [
        "09-05 20:00 09-05 22:00",
        "09-12 21:00 09-12 22:00",
        "09-19 21:00 09-19 22:00",
    ]


@pytest.mark.parametrize("line", ["STATUS:CANCELLED", "TRANSP:TRANSPARENT", "status:cancelled"])
def test_what_does_not_take_place_closes_nothing(line: str) -> None:
    assert busy(event("UID:1", STAMP, RENNES, "DURATION:PT2H", line)) == []


@pytest.mark.parametrize("zone", ["Europe/Paris", "Indian/Reunion", "America/Cayenne"])
def test_whole_days_and_floating_times_are_those_of_the_site(zone: str) -> None:
    day = event("UID:1", STAMP, "DTSTART;VALUE=DATE:20260905", "DTEND;VALUE=DATE:20260907")
    evening = event("UID:2", STAMP, "DTSTART:20260910T200000", "DURATION:PT1H")
    assert busy(day, evening, zone=zone) == ["09-05 00:00 09-07 00:00", "09-10 20:00 09-10 21:00"]


def test_day_without_an_end_lasts_one_day() -> None:
    assert busy(event("UID:1", STAMP, "DTSTART;VALUE=DATE:20260905")) == ["09-05 00:00 09-06 00:00"]


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("Europe/Paris", ""),
        ("Romance Standard Time", ""),
        ("/freeassociation.sourceforge.net/Europe/Paris", ""),
        ("Somewhere west", OUTLOOK_ZONE),
        # a zone that has the name of a known one is the known one, whatever the file says of it
        ("Europe/Paris", OUTLOOK_ZONE.replace("Somewhere west", "Europe/Paris").replace("+0", "+1")),
    ],
)
def test_zone_is_found_by_every_name_that_exporters_write(name: str, head: str) -> None:
    summer = event("UID:1", STAMP, f"DTSTART;TZID={name}:20260905T200000", "DURATION:PT2H")
    winter = event("UID:2", STAMP, f"DTSTART;TZID={name}:20261205T200000", "DURATION:PT2H")
    assert busy(summer, winter, head=head) == ["09-05 20:00 09-05 22:00", "12-05 20:00 12-05 22:00"]


def test_recurrence_in_utc_follows_the_zone_of_the_calendar() -> None:
    rule = recurring("FREQ=WEEKLY;COUNT=2", start="DTSTART:20261018T130000Z")
    assert [span[6:11] for span in busy(rule, head="X-WR-TIMEZONE:Europe/Paris\r\n")] == ["15:00", "15:00"]
    assert [span[6:11] for span in busy(rule)] == ["15:00", "14:00"]


def test_zone_of_one_file_means_nothing_to_another() -> None:
    with_zone = event("UID:1", STAMP, "DTSTART;TZID=Somewhere west:20260905T200000", "DURATION:PT2H")
    read(calendar(with_zone, head=OUTLOOK_ZONE))
    assert problems(calendar(with_zone)) == ["6 BadCalendar"]


def test_folded_lines_and_lone_newlines_are_read() -> None:
    text = calendar(event("UID:1", STAMP, "DTSTART;TZID=Europe/\r\n Paris:20260905T200000", "DURATION:PT2H"))
    assert read(text.replace(b"\r\n", b"\n")) == read(text)


def test_stamps_decide_what_is_kept_and_how_far_it_reaches() -> None:
    endless = recurring("FREQ=WEEKLY", start="DTSTART;TZID=Europe/Paris:20200104T200000")
    found = read(calendar(endless))
    assert found.until == datetime(2026, 9, 1, 8, tzinfo=UTC) + REACH
    assert found.fixed[0][0] == datetime(2026, 9, 5, 18, tzinfo=UTC)
    assert found.until - timedelta(days=7) <= found.fixed[-1][0] < found.until


def test_newest_date_decides_where_no_stamp_does() -> None:
    found = read(calendar(event("UID:1", RENNES, "DURATION:PT2H", "RRULE:FREQ=WEEKLY")))
    assert found.until == datetime(2026, 9, 5, 20, tzinfo=UTC) + REACH
    assert found.fixed[0][0] == datetime(2026, 9, 5, 18, tzinfo=UTC)


def test_end_of_a_recurrence_far_away_does_not_make_it_reach_farther() -> None:
    far, endless = (recurring(f"FREQ=WEEKLY{end}") for end in (";UNTIL=20991231T230000Z", ""))
    assert read(calendar(far)) == read(calendar(endless))


def test_order_of_events_changes_nothing() -> None:
    one, other = MATCH, recurring("FREQ=WEEKLY;COUNT=5")
    assert read(calendar(one, other)) == read(calendar(other, one))


def test_older_revision_of_an_event_does_not_count() -> None:
    newer = MATCH.replace("20260905", "20260906").replace("UID:match", "UID:match\r\nSEQUENCE:1")
    assert busy(MATCH, newer) == busy(newer, MATCH) == ["09-06 20:00 09-06 22:00"]


def test_events_that_share_an_id_by_mistake_all_count() -> None:
    assert len(busy(MATCH, MATCH.replace("20260905", "20260906"))) == 2


def test_overlapping_fixtures_of_several_calendars_are_one_interval() -> None:
    one = read(calendar(event("UID:1", STAMP, "DTSTART:20260905T180000Z", "DURATION:PT2H")))
    other = read(calendar(event("UID:2", STAMP, "DTSTART:20260905T193000Z", "DURATION:PT1H30M")))
    longer = read(calendar(event("UID:3", "DTSTAMP:20261001T080000Z", "DTSTART:20261005T193000Z", "DURATION:PT1H")))
    spans, until = busy_in([one, other, longer], PARIS)
    assert spans[0] == (datetime(2026, 9, 5, 18, tzinfo=UTC), datetime(2026, 9, 5, 21, tzinfo=UTC))
    assert len(spans) == 2
    assert until == one.until


def test_no_calendar_was_read_until_nothing() -> None:
    assert busy_in([], PARIS) == ([], None)


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60))))
def test_merged_spans_hold_the_same_minutes_apart_and_in_order(pairs: list[tuple[int, int]]) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    spans = merged([(start + timedelta(minutes=a), start + timedelta(minutes=b)) for a, b in pairs])
    minutes = {minute for a, b in pairs for minute in range(a, b)}
    assert minutes == {
        m for a, b in spans for m in range((a - start) // timedelta(minutes=1), (b - start) // timedelta(minutes=1))
    }
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(set(edges))


def test_zones_are_those_of_the_package_and_not_of_the_machine() -> None:
    at = datetime(2026, 7, 1, 12, tzinfo=UTC)
    assert all(at.astimezone(zone_named(name)).utcoffset() is not None for name in TIMEZONES)
    assert isinstance(PARIS, ZoneInfo)
    assert PARIS is not ZoneInfo("Europe/Paris")
    with pytest.raises(KeyError):
        zone_named("Europe/Atlantis")


# Files that mean no good.
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
    assert len(read(calendar(busiest)).fixed) == MAX_FIXTURES
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
