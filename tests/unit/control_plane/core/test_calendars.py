"""Calendars: what is on and when, by the file alone; and files that mean no good."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.calendars import REACH, read_calendar
from control_plane.core.fixtures import Calendar, busy_in, merged
from control_plane.core.timezones import TIMEZONES
from control_plane.core.zones import zone_named
from tests.support.calendars import MATCH, OUTLOOK_ZONE, RENNES, STAMP, calendar, event, problems, recurring

PARIS = zone_named("Europe/Paris")


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
