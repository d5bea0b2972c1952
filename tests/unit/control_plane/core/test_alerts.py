"""What is alerted of: thresholds, kinds and silences crossed over a clock that only the test moves."""

from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from control_plane.core.alerts import (
    AlertKind,
    Expiring,
    Firing,
    NewBox,
    Refusal,
    Server,
    Trend,
    Troubled,
    Usual,
    Watched,
    alerts_of_fleet,
    alerts_of_site,
)
from control_plane.core.standing import AWAY, Verdict
from schemas.alerts import Alerts, NumberThreshold, OfflineThreshold, PercentThreshold, Severity
from schemas.status import Condition, Metrics

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def verdict(standing: Any = "Synced", reason: str = "Synced", message: str = "") -> Verdict:
    return Verdict(standing=standing, reason=reason, message=message)


def watched(**fields: Any) -> Watched:
    usual = {
        "site": "brest",
        "name": "Brest",
        "verdict": verdict(),
        "published_at": NOW - 90 * DAY,
        "first_published_at": NOW - 90 * DAY,
        "received_at": NOW - timedelta(seconds=20),
        "said_at": NOW - timedelta(seconds=20),
    }
    return Watched(**{**usual, **fields})


def told(seen: Watched, fleet: Alerts | None = None, now: datetime = NOW) -> dict[AlertKind, Severity]:
    return {firing.kind: firing.severity for firing in alerts_of_site(seen, fleet, now)}


def silent(span: timedelta, connectivity: Any = "always", alerts: Alerts | None = None) -> Watched:
    standing = verdict("Offline", "Away" if span < AWAY[connectivity] else "Silent")
    return watched(received_at=NOW - span, connectivity=connectivity, alerts=alerts, verdict=standing)


def test_box_that_is_well_worries_nobody() -> None:
    assert told(watched()) == {}


def test_silence_is_told_by_what_it_means_for_the_box_and_by_the_nearest_threshold() -> None:
    layers: list[tuple[Alerts | None, timedelta | None, timedelta]] = [
        (None, None, HOUR),
        (Alerts(offline=OfflineThreshold(warning="2h", critical="3d")), 2 * HOUR, 3 * DAY),
        (Alerts(offline=OfflineThreshold(critical="30d")), None, 30 * DAY),
        (Alerts(disk=PercentThreshold(critical="90%")), None, HOUR),
    ]
    spans = [HOUR / 2, HOUR, 2 * HOUR, 3 * DAY, 14 * DAY, 16 * DAY, 89 * DAY, 91 * DAY]
    for (alerts, warning, critical), span, connectivity in product(layers, spans, AWAY):
        expected: Severity | None = None
        if span >= AWAY[connectivity]:
            expected = "critical" if span >= critical else "warning" if warning and span >= warning else None
        said = told(silent(span, connectivity, alerts))
        assert said == ({"offline": expected} if expected else {}), (alerts, span, connectivity)


MEASURED: list[tuple[Metrics, dict[str, str]]] = [
    (Metrics(temperature_celsius=69.9), {}),
    (Metrics(temperature_celsius=70), {"temperature": "warning"}),
    (Metrics(temperature_celsius=80), {"temperature": "critical"}),
    (Metrics(disk_total_bytes=1000, disk_free_bytes=151), {}),
    (Metrics(disk_total_bytes=1000, disk_free_bytes=150), {"disk": "warning"}),
    (Metrics(disk_total_bytes=1000, disk_free_bytes=50), {"disk": "critical"}),
    (Metrics(disk_total_bytes=0, disk_free_bytes=0), {}),
    (Metrics(clock_error_s=299), {}),
    (Metrics(clock_error_s=301), {"clock": "warning"}),
]


@pytest.mark.parametrize(("metrics", "expected"), MEASURED)
def test_measurement_is_told_from_its_threshold_on(metrics: Metrics, expected: dict[str, str]) -> None:
    assert told(watched(metrics=metrics)) == expected


@pytest.mark.parametrize(("metrics", "_"), MEASURED)
def test_old_measurement_is_no_evidence_of_now(metrics: Metrics, _: object) -> None:
    assert told(watched(metrics=metrics, received_at=NOW - 2 * HOUR, verdict=verdict("Offline", "Silent"))) == {
        "offline": "critical"
    }


@pytest.mark.parametrize("limit", [None, "fleet", "site"])
@pytest.mark.parametrize("celsius", [72, 85])
def test_nearest_layer_sets_a_threshold_and_leaves_the_other_kinds(limit: str | None, celsius: float) -> None:
    high = Alerts(temperature=NumberThreshold(critical=90))
    seen = watched(metrics=Metrics(temperature_celsius=celsius), behind=2, alerts=high if limit == "site" else None)
    said = told(seen, high if limit == "fleet" else None)
    assert said.pop("release_behind") == "warning"
    assert said == ({} if limit else {"temperature": "critical" if celsius >= 80 else "warning"})


def degraded(reason: str, ago: timedelta = timedelta(minutes=1)) -> Watched:
    condition = Condition(type="Degraded", status="True", reason=reason, message="why", since=NOW - ago)
    return watched(verdict=verdict("Degraded", reason), conditions=[condition])


@pytest.mark.parametrize(
    ("reason", "ago", "expected"),
    [
        ("DiskFull", timedelta(minutes=1), {"no_room": "critical"}),
        ("ReleaseFailed", timedelta(minutes=1), {"release_failed": "critical"}),
        ("ReleaseHeld", timedelta(minutes=1), {"release_failed": "critical"}),
        ("DiskFault", timedelta(minutes=1), {"degraded": "critical"}),
        ("DigestMismatch", timedelta(minutes=1), {}),
        ("DigestMismatch", HOUR, {"degraded": "warning"}),
        ("NeverHeardOf", timedelta(minutes=1), {"degraded": "critical"}),
    ],
)
def test_trouble_is_told_as_what_it_is_and_what_passes_only_when_it_has_not(
    reason: str, ago: timedelta, expected: dict[str, str]
) -> None:
    assert told(degraded(reason, ago)) == expected


@pytest.mark.parametrize("reason", ["Converging", "OutsideWindow"])
@pytest.mark.parametrize("hours", [1, 25, 24 * 22])
def test_site_that_does_not_get_there_is_stuck_and_one_that_waits_later(reason: str, hours: int) -> None:
    since = NOW - timedelta(hours=hours)
    synced = Condition(type="Synced", status="False", reason=reason, since=since)
    said = told(watched(verdict=verdict("Progressing", reason), conditions=[synced], published_at=since))
    assert said == ({"stuck": "warning"} if hours > (24 if reason == "Converging" else 24 * 21) else {})


@pytest.mark.parametrize("state", [("Suspended", "Suspended"), ("Retired", "Gone"), ("Unknown", "NoIdentity")])
def test_site_that_nobody_expects_anything_of_worries_nobody(state: tuple[Any, str]) -> None:
    hot = Metrics(temperature_celsius=99)
    assert told(watched(verdict=verdict(*state), metrics=hot, received_at=NOW - 9 * DAY, forked=True)) == {}


TRENDS: list[tuple[Trend, dict[str, str]]] = [
    (Trend(temperature=Usual(now=60, mean=52.1, deviation=1)), {}),
    (Trend(temperature=Usual(now=60, mean=51, deviation=1)), {"temperature_rising": "warning"}),
    (Trend(disk_percent_per_day=4), {}),
    (Trend(disk_percent_per_day=6), {"disk_rising": "warning"}),
    (Trend(disk_percent_per_day=-6), {}),
    (Trend(cpu=Usual(now=30, mean=20, deviation=3)), {}),
    (Trend(cpu=Usual(now=60, mean=20, deviation=3)), {"unusual": "warning"}),
    (Trend(memory=Usual(now=27.9, mean=20, deviation=0)), {}),
    (Trend(memory=Usual(now=28.1, mean=20, deviation=0)), {"unusual": "warning"}),
]


@pytest.mark.parametrize(("trend", "expected"), TRENDS)
def test_trend_is_told_when_it_leaves_the_boxs_own_past(trend: Trend, expected: dict[str, str]) -> None:
    half = Metrics(disk_total_bytes=1000, disk_free_bytes=440)  # 39 points up to 95 %
    assert told(watched(trend=trend, metrics=half)) == expected


@pytest.mark.parametrize("alerts", [None, Alerts(offline=OfflineThreshold(warning="2h", critical="3d"))])
@pytest.mark.parametrize("connectivity", ["always", "matchdays"])
@pytest.mark.parametrize("taken_ago", [None, timedelta(minutes=1), 2 * HOUR, 4 * DAY, 16 * DAY])
def test_box_whose_reports_are_refused_is_told_as_that_and_as_gravely_as_its_silence(
    alerts: Alerts | None, connectivity: Any, taken_ago: timedelta | None
) -> None:
    refused = Refusal(count=7, why="cannot read the report")
    span = taken_ago if taken_ago is not None else 90 * DAY  # since it was published
    standing = verdict("Offline", "Silent") if span > HOUR / 4 else verdict()
    received_at = NOW - taken_ago if taken_ago is not None else None
    seen = watched(refused=refused, received_at=received_at, said_at=received_at, verdict=standing, alerts=alerts)
    found = told(replace(seen, connectivity=connectivity))
    critical = span >= (3 * DAY if alerts else HOUR) and span >= AWAY[connectivity]
    assert found == {"reports_refused": "critical" if critical else "warning"}


def test_nobody_is_told_of_refused_reports_of_a_suspended_site_and_silences_hold() -> None:
    refused = Refusal(count=1, why="x")
    assert told(watched(refused=refused, verdict=verdict("Suspended", "Suspended"))) == {}
    quiet = Alerts(silence=["reports_refused"], until=date(2026, 3, 1))
    (firing,) = alerts_of_site(watched(refused=refused, alerts=quiet), None, NOW)
    assert (firing.kind, firing.silenced) == ("reports_refused", True)


def test_what_is_new_is_told_for_a_day() -> None:
    for age, expected in ((HOUR, {"new_site": "info"}), (25 * HOUR, {})):
        assert told(watched(first_published_at=NOW - age)) == expected
        server = Server(new_releases={"2.2.0": NOW - age})
        assert [firing.kind for firing in alerts_of_fleet(server, NOW)] == (["new_release"] if expected else [])


def test_silence_of_a_kind_holds_until_the_end_of_its_last_day_by_the_sites_wall_clock() -> None:
    quiet = Alerts(silence=["temperature"], until=date(2026, 3, 1))
    seen = watched(metrics=Metrics(temperature_celsius=90), behind=9, alerts=quiet, timezone="America/Cayenne")
    for hour, hidden in ((0, True), (26, True), (28, False)):  # 02:59 and 05:00 UTC of the next day: 23:59, 01:00
        now = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=hour)
        fresh = watched(
            received_at=now,
            said_at=now,
            metrics=seen.metrics,
            behind=9,
            alerts=quiet,
            timezone=seen.timezone,
        )
        found = {firing.kind: firing.silenced for firing in alerts_of_site(fresh, None, now)}
        assert found == {"temperature": hidden, "release_behind": False}, hour


def test_silence_of_all_hides_and_forgets_nothing() -> None:
    quiet = Alerts(silence="all", until=date(2026, 3, 1))
    found = list(alerts_of_site(watched(behind=9, forked=True, alerts=quiet), None, NOW))
    assert {firing.kind for firing in found} == {"release_behind", "two_machines"}
    assert all(firing.silenced for firing in found)


def of_fleet(server: Server) -> list[tuple[str, str, str]]:
    return [(firing.kind, firing.subject, firing.severity) for firing in alerts_of_fleet(server, NOW)]


def test_fleets_own_affairs_are_told() -> None:
    root = Expiring(what="trust root", at=NOW + 20 * DAY, warn=30 * DAY)
    halted, overdue = (Troubled(what="Release 2.0.0 (standard)", halted=so, wave=2) for so in (True, False))
    cases: list[tuple[Server, list[tuple[str, str, str]]]] = [
        (Server(), []),
        (Server(newest_verdict="published"), []),
        (Server(newest_verdict="refused"), [("commit_refused", "fleet", "warning")]),
        (Server(newest_verdict="held"), [("commit_held", "fleet", "warning")]),
        (Server(rollouts=[halted]), [("rollout_halted", "Release 2.0.0 (standard)", "critical")]),
        (Server(rollouts=[overdue]), [("rollout_overdue", "Release 2.0.0 (standard)", "warning")]),
        (Server(remote_error="x", remote_error_since=NOW - timedelta(minutes=9)), []),
        (Server(remote_error="x", remote_error_since=NOW - timedelta(minutes=10)), [("remote", "fleet", "critical")]),
        (Server(new_boxes=[NewBox(site="brest", hostname="pi", model="Pi 4")]), [("new_box", "brest", "info")]),
        (Server(expiring=[root]), [("expiry", "trust root", "warning")]),
        (Server(expiring=[Expiring(what="a", at=NOW + 31 * DAY, warn=30 * DAY)]), []),
        (Server(expiring=[Expiring(what="a", at=NOW - DAY, warn=30 * DAY)]), [("expiry", "a", "critical")]),
    ]
    for server, expected in cases:
        assert of_fleet(server) == expected


def test_firing_is_the_same_alert_whatever_its_values() -> None:
    one, other = (next(iter(alerts_of_site(watched(behind=n), None, NOW))) for n in (2, 3))
    assert isinstance(one, Firing)
    assert (one.key, one.values) != (other.key, other.values)
    assert one.key == other.key == ("release_behind", "brest")
