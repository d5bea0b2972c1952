"""May a step run now: every kind of step with every state of screen, calendar, hours, clock, start, quiet, patience."""

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Literal
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from reconciler_agent.core.screen import ScreenState, Signal
from reconciler_agent.core.windows import AT_BOOT_S, Kind, Present, judge
from schemas.manifest import ManifestMaintenance, ManifestWindow

PARIS = ZoneInfo("Europe/Paris")
NIGHT = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)  # 03:30 on the wall
NOON = datetime(2026, 11, 23, 11, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVERY_DAY: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = [
    "mon", "tue", "wed", "thu", "fri", "sat", "sun",
]  # fmt: skip
WEEKLY = ManifestWindow(kind="weekly", days=EVERY_DAY, from_="03:00", to="05:00")
AT_BOOT = ManifestWindow(kind="at_boot")
IDLE = ManifestWindow(kind="idle", idle_s=1800)
PATIENCE_S = 14 * 86_400


def screen(match: bool = False, connections: int | None = 1) -> ScreenState:
    return ScreenState(match=match, stale=False, signal=Signal(), connections=connections)


def present(at: datetime | None, **known: object) -> Present:
    given = {"floor_at": at or NOON, "zone": PARIS, "uptime_s": 9_000.0, "screen": screen(), "quiet_s": None}
    return Present(at=at, **(given | known))  # type: ignore[arg-type]


def test_every_factor_crossed_is_judged_by_the_rule() -> None:
    kinds: list[Kind] = ["disruptive", "visible", "recovering"]
    factors = product(
        kinds,
        [None, False, True],  # maintenance: none; bind_visible
        [False, True],  # match
        [False, True],  # fixture
        [NIGHT, NOON, None],  # the clock: in the hours, outside, not to be relied on
        [False, True],  # the machine has just been started
        [False, True],  # quiet for long enough
        [False, True],  # waited for too long
    )
    tried = 0
    for kind, bind, match, fixture, at, boots, quiet, overdue in factors:
        now = at or NOON
        maintenance = None if bind is None else ManifestMaintenance(
            windows=[WEEKLY, AT_BOOT, IDLE],
            max_deferral_s=PATIENCE_S,
            bind_visible=bind,
            busy=[(now - HOUR, now + HOUR)] if fixture else [],
        )  # fmt: skip
        known = present(
            at, screen=screen(match), uptime_s=10.0 if boots else 9_000.0, quiet_s=1800.0 if quiet else 60.0
        )
        wanted_at = now - timedelta(seconds=PATIENCE_S if overdue else 60)

        hold = judge(kind, maintenance, known, wanted_at)

        opened = at == NIGHT or boots or quiet or overdue
        if match:
            expected = "MatchInProgress"
        elif kind == "recovering" or maintenance is None:
            expected = ""
        elif fixture and at is not None:
            expected = "FixtureInProgress"
        elif opened or (kind == "visible" and not bind):
            expected = ""
        else:
            expected = "OutsideWindow" if at is not None else "ClockNotReliable"
        assert (hold.reason if hold is not None else "") == expected, (kind, bind, match, fixture, at, boots, quiet)
        tried += 1
    assert tried == 3 * 3 * 2 * 2 * 3 * 2 * 2 * 2


@pytest.mark.parametrize(
    ("uptime_s", "shown", "opened"),
    [
        (0.0, None, True),  # before the applications have started
        (AT_BOOT_S - 1, screen(), True),
        (AT_BOOT_S, screen(), False),
        (AT_BOOT_S, None, False),
        (10.0, screen(connections=2), False),  # somebody has a remote in the hand already
        (10.0, screen(connections=None), True),  # an application that does not tell
        (10.0, screen(match=True), False),
    ],
)
def test_at_boot_lasts_until_somebody_plays_something(uptime_s: float, shown: ScreenState, opened: bool) -> None:
    maintenance = ManifestMaintenance(windows=[AT_BOOT])
    hold = judge("disruptive", maintenance, present(None, uptime_s=uptime_s, screen=shown), NOON)
    assert (hold is None) is opened


@pytest.mark.parametrize(("quiet_s", "opened"), [(None, False), (0.0, False), (1799.0, False), (1800.0, True)])
def test_idle_opens_when_it_was_quiet_for_long(quiet_s: float | None, opened: bool) -> None:
    hold = judge("disruptive", ManifestMaintenance(windows=[IDLE]), present(NOON, quiet_s=quiet_s), NOON)
    assert (hold is None) is opened


@pytest.mark.parametrize("clock", ["good", "bad"])
@pytest.mark.parametrize("age", [timedelta(days=-1), timedelta(0), timedelta(days=14) - HOUR, timedelta(days=14)])
def test_patience_ends_by_the_time_that_has_surely_passed(clock: str, age: timedelta) -> None:
    maintenance = ManifestMaintenance(max_deferral_s=PATIENCE_S)
    known = present(NOON if clock == "good" else None, floor_at=NOON)

    hold = judge("disruptive", maintenance, known, NOON - age)

    assert (hold is None) is (age >= timedelta(days=14))
    assert hold is None or hold.until == NOON - age + timedelta(days=14)


def test_end_of_patience_opens_no_match_and_no_fixture() -> None:
    maintenance = ManifestMaintenance(max_deferral_s=3600, busy=[(NOON - HOUR, NOON + HOUR)])
    overdue = NOON - DAY

    held = judge("disruptive", maintenance, present(NOON), overdue)
    assert held is not None and (held.reason, held.until) == ("FixtureInProgress", NOON + HOUR)
    held = judge("disruptive", maintenance, present(NOON + 2 * HOUR, screen=screen(match=True)), overdue)
    assert held is not None and held.reason == "MatchInProgress"
    assert judge("disruptive", maintenance, present(NOON + 2 * HOUR), overdue) is None


def test_until_is_the_next_opening() -> None:
    nightly = ManifestMaintenance(windows=[WEEKLY], busy=[(NOON - HOUR, NOON + HOUR)])
    opening = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)

    outside = judge("disruptive", nightly, present(NOON + 2 * HOUR), NOON)
    fixture = judge("disruptive", nightly, present(NOON), NOON)
    visible = judge("visible", nightly, present(NOON), NOON)

    assert outside is not None and (outside.reason, outside.until) == ("OutsideWindow", opening)
    assert fixture is not None and (fixture.reason, fixture.until) == ("FixtureInProgress", opening)
    assert visible is not None and (visible.reason, visible.until) == ("FixtureInProgress", NOON + HOUR)


@pytest.mark.parametrize(
    ("at", "open_"),
    [
        (datetime(2026, 3, 28, 2, 15, tzinfo=UTC), True),  # 03:15 in winter
        (datetime(2026, 3, 29, 1, 15, tzinfo=UTC), True),  # 03:15 in summer, a quarter of an hour after the change
        (datetime(2026, 3, 29, 3, 15, tzinfo=UTC), False),  # 05:15
        (datetime(2026, 10, 25, 2, 15, tzinfo=UTC), True),  # 03:15 in winter again
        (datetime(2026, 10, 25, 1, 15, tzinfo=UTC), False),  # 02:15 for the second time
    ],
)
def test_hours_are_those_on_the_wall_of_the_site(at: datetime, open_: bool) -> None:
    hold = judge("disruptive", ManifestMaintenance(windows=[WEEKLY]), present(at), at)
    assert (hold is None) is open_


def test_box_without_the_sites_time_zone_says_so_and_goes_by_patience() -> None:
    maintenance = ManifestMaintenance(windows=[WEEKLY], max_deferral_s=3600)

    hold = judge("disruptive", maintenance, replace(present(NIGHT), zone=None), NIGHT)

    assert hold is not None and (hold.reason, hold.until) == ("ClockNotReliable", NIGHT + HOUR)
    assert "time zone" in hold.why


def test_words_name_every_way_to_an_opening_once() -> None:
    maintenance = ManifestMaintenance(windows=[WEEKLY, replace(WEEKLY, from_="12:30", to="13:00"), AT_BOOT, IDLE])

    hold = judge("disruptive", maintenance, present(NOON), NOON)

    assert hold is not None and hold.why == (
        "for a maintenance window: hours of the week, or the next start of the box,"
        " or 30 minutes in which nobody plays anything"
    )
