"""Windows against a clock that is read minute by minute, around every change of the clock."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise, product
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.manifest import ManifestMaintenance, ManifestWindow
from schemas.windows import LOOK_AHEAD, Opening, is_busy, is_open, next_opening, openings

PARIS = ZoneInfo("Europe/Paris")
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
WEEK = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MINUTE = timedelta(minutes=1)


def weekly(first: str, last: str, *days: str) -> ManifestWindow:
    return ManifestWindow(kind="weekly", days=list(days or WEEK), from_=first, to=last)


def local(day: date, clock: str, fold: int = 0) -> datetime:
    return datetime.combine(day, time.fromisoformat(clock), PARIS).replace(fold=fold).astimezone(UTC)


def hours(*windows: ManifestWindow, busy: list[tuple[datetime, datetime]] | None = None) -> ManifestMaintenance:
    return ManifestMaintenance(windows=list(windows), busy=busy or [])


def spans(maintenance: ManifestMaintenance, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    return [(start, end) for start, end in openings(maintenance, PARIS, since) if start < until]


def on_the_wall(maintenance: ManifestMaintenance, zone: ZoneInfo, at: datetime) -> bool:
    """The rule, said as a person would: look at the clock on the wall, and at the fixtures."""
    wall = at.astimezone(zone)
    clock = wall.hour * 60 + wall.minute
    for window in maintenance.windows:
        if window.kind != "weekly":
            continue
        first, last = (int(text[:2]) * 60 + int(text[3:]) for text in (window.from_, window.to))
        minutes_open = range(first, last if last > first else last + 1440)
        if (WEEK[wall.weekday()] in window.days and clock in minutes_open) or (
            WEEK[(wall.weekday() - 1) % 7] in window.days and clock + 1440 in minutes_open
        ):
            return not any(start <= at < end for start, end in maintenance.busy)
    return False


@pytest.mark.parametrize(
    ("window", "day", "expected"),
    [
        # an ordinary night
        (("03:00", "05:00"), date(2026, 6, 1), [("03:00", 0, "05:00", 0)]),
        # in spring 02:00 to 03:00 is skipped
        (("02:00", "03:00"), SPRING, []),
        (("02:15", "02:45"), SPRING, []),
        (("01:30", "02:30"), SPRING, [("01:30", 0, "03:00", 0)]),
        (("02:30", "04:00"), SPRING, [("03:00", 0, "04:00", 0)]),
        (("01:00", "05:00"), SPRING, [("01:00", 0, "05:00", 0)]),
        # in autumn 02:00 to 03:00 comes twice
        (("02:00", "03:00"), AUTUMN, [("02:00", 0, "03:00", 0)]),
        (("02:15", "02:45"), AUTUMN, [("02:15", 0, "02:45", 0), ("02:15", 1, "02:45", 1)]),
        (("01:30", "02:30"), AUTUMN, [("01:30", 0, "02:30", 0), ("02:00", 1, "02:30", 1)]),
        (("02:30", "04:00"), AUTUMN, [("02:30", 0, "02:00", 1), ("02:30", 1, "04:00", 0)]),
        (("01:00", "05:00"), AUTUMN, [("01:00", 0, "05:00", 0)]),
    ],
)
def test_clock_that_changes_opens_a_window_as_the_wall_shows_it(
    window: tuple[str, str], day: date, expected: list[tuple[str, int, str, int]]
) -> None:
    found = spans(hours(weekly(*window)), local(day, "00:00"), local(day + timedelta(days=1), "00:00"))
    assert found == [(local(day, first, f), local(day, last, g)) for first, f, last, g in expected]


@pytest.mark.parametrize("day", [SPRING, AUTUMN, date(2026, 6, 3)])
@pytest.mark.parametrize("days", [("sat",), ("sun",), ("sat", "sun"), ()])
@pytest.mark.parametrize(
    ("first", "last"), [("22:00", "02:30"), ("23:59", "00:01"), ("12:00", "00:00"), ("00:00", "02:00")]
)
def test_window_across_midnight_belongs_to_the_day_on_which_it_opens(
    day: date, days: tuple[str, ...], first: str, last: str
) -> None:
    maintenance = hours(weekly(first, last, *days))
    at = local(day - timedelta(days=2), "00:00")
    end = at + timedelta(days=5)
    found = [span for span in openings(maintenance, PARIS, at) if span[0] < end]
    while at < end:
        expected = on_the_wall(maintenance, PARIS, at)
        assert is_open(maintenance, PARIS, at) is expected, at
        assert any(start <= at < until for start, until in found) is expected, at
        at += MINUTE


CLOCKS = st.integers(0, 1439).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
WINDOWS = st.builds(
    lambda first, last, days: weekly(first, last, *sorted(days, key=WEEK.index)),
    CLOCKS,
    CLOCKS,
    st.sets(st.sampled_from(WEEK), min_size=1),
).filter(lambda window: window.from_ != window.to)
ZONES = {
    "Europe/Paris": [datetime(2026, 3, 26, tzinfo=UTC), datetime(2026, 10, 22, tzinfo=UTC)],
    "America/St_Johns": [datetime(2026, 3, 5, tzinfo=UTC), datetime(2026, 10, 29, tzinfo=UTC)],
    "Australia/Lord_Howe": [datetime(2026, 4, 2, tzinfo=UTC), datetime(2026, 10, 1, tzinfo=UTC)],  # by half an hour
    "Africa/Casablanca": [datetime(2026, 2, 12, tzinfo=UTC), datetime(2026, 3, 19, tzinfo=UTC)],
    "Pacific/Apia": [datetime(2011, 12, 27, tzinfo=UTC)],  # left out a whole day
}
STARTS = st.sampled_from([(name, start) for name, starts in ZONES.items() for start in starts])


@st.composite
def closed(draw: st.DrawFn, start: datetime) -> list[tuple[datetime, datetime]]:
    edges = sorted(draw(st.sets(st.integers(0, 7 * 1440), max_size=8)))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    return [(start + timedelta(minutes=first), start + timedelta(minutes=last)) for first, last in pairs]


@settings(max_examples=60, deadline=None)
@given(st.data(), STARTS, st.lists(WINDOWS, min_size=1, max_size=3))
def test_any_week_opens_exactly_when_the_wall_says_so(
    data: st.DataObject, place: tuple[str, datetime], windows: list[ManifestWindow]
) -> None:
    zone, start = ZoneInfo(place[0]), place[1]
    maintenance = hours(*windows, busy=data.draw(closed(start)))
    minutes = [start + step * MINUTE for step in range(7 * 1440)]
    truth = [on_the_wall(maintenance, zone, at) for at in minutes]
    assert [is_open(maintenance, zone, at) for at in minutes] == truth
    end = minutes[-1] + MINUTE
    found = [(a, min(b, end)) for a, b in openings(maintenance, zone, start) if a < end]
    assert [at for at, shown in zip(minutes, truth, strict=True) if shown] == [
        at for first, last in found for at in minutes[(first - start) // MINUTE : (last - start) // MINUTE]
    ]
    assert all(first < last for first, last in found) and all(one[1] < two[0] for one, two in pairwise(found))
    at = data.draw(st.sampled_from(minutes))
    following = [m for m, shown in zip(minutes, truth, strict=True) if shown and m >= at]
    opening = next_opening(maintenance, zone, at)
    assert opening.at is not None and opening.until is not None and opening.at < opening.until
    if following:
        assert opening.at == following[0]


@given(st.integers(0, 7 * 86_400 * 1000), WINDOWS)
def test_opening_is_never_before_it_is_asked_for_and_is_open(milliseconds: int, window: ManifestWindow) -> None:
    at = datetime(2026, 3, 25, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    opening = next_opening(hours(window), PARIS, at)
    assert opening.at is not None and opening.until is not None
    assert at <= opening.at <= at + LOOK_AHEAD
    assert is_open(hours(window), PARIS, opening.at)
    assert not is_open(hours(window), PARIS, opening.until)
    assert opening.at == at or not is_open(hours(window), PARIS, opening.at - timedelta(microseconds=1))


def test_window_in_the_skipped_hour_of_sundays_opens_a_week_later() -> None:
    opening = next_opening(hours(weekly("02:00", "03:00", "sun")), PARIS, local(SPRING, "00:00"))
    assert opening.at == local(SPRING + timedelta(days=7), "02:00")


def test_fixture_that_covers_the_night_puts_the_opening_off() -> None:
    night = local(date(2026, 6, 1), "02:00"), local(date(2026, 6, 1), "04:30")
    opening = next_opening(hours(weekly("03:00", "05:00"), busy=[night]), PARIS, local(date(2026, 6, 1), "00:00"))
    assert (opening.at, opening.until) == (local(date(2026, 6, 1), "04:30"), local(date(2026, 6, 1), "05:00"))


def test_fixtures_of_a_year_are_waited_for() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    opening = next_opening(hours(weekly("03:00", "05:00"), busy=[(since, since + timedelta(days=365))]), PARIS, since)
    assert opening.at == datetime(2027, 1, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at_boot", "idle", "weekly_hours", "deferral"),
    list(product([False, True], [False, True], [False, True], [None, 3600])),
)
def test_conditions_of_the_box_are_named_and_are_no_hours(
    at_boot: bool, idle: bool, weekly_hours: bool, deferral: int | None
) -> None:
    windows = [ManifestWindow(kind="at_boot")] * at_boot
    windows += [ManifestWindow(kind="idle", idle_s=1800), ManifestWindow(kind="idle", idle_s=600)] * idle
    windows += [weekly("03:00", "05:00")] * weekly_hours
    at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    maintenance = ManifestMaintenance(windows=windows, max_deferral_s=deferral)
    assert next_opening(maintenance, PARIS, at) == Opening(
        at=datetime(2026, 6, 2, 1, tzinfo=UTC) if weekly_hours else None,
        until=datetime(2026, 6, 2, 3, tzinfo=UTC) if weekly_hours else None,
        at_boot=at_boot,
        idle_s=600 if idle else None,
        deferred=at + timedelta(hours=1) if deferral else None,
    )
    assert not is_open(maintenance, PARIS, at)


def test_deferral_counts_from_the_start_of_the_wait_and_yields_to_fixtures() -> None:
    at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    match = at, at + timedelta(hours=2)
    maintenance = ManifestMaintenance(max_deferral_s=86_400, busy=[match])
    assert next_opening(maintenance, PARIS, at, waiting_since=at - timedelta(days=3)).latest == match[1]
    assert next_opening(maintenance, PARIS, at).latest == at + timedelta(days=1)


def test_without_maintenance_everything_may_run_at_once() -> None:
    at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert next_opening(None, PARIS, at) == Opening(at=at)
    assert is_open(None, PARIS, at) and not is_busy(None, at)


def test_without_hours_and_deferral_nobody_knows_when() -> None:
    assert next_opening(hours(ManifestWindow(kind="at_boot")), PARIS, datetime(2026, 6, 1, tzinfo=UTC)).latest is None


def test_fixture_ends_before_its_last_instant() -> None:
    start = datetime(2026, 6, 1, 12, tzinfo=UTC)
    maintenance = hours(busy=[(start, start + timedelta(hours=2))])
    assert is_busy(maintenance, start)
    assert not is_busy(maintenance, start + timedelta(hours=2))
    assert not is_busy(maintenance, start - timedelta(microseconds=1))
