"""How fast downloads may go: every hour with every kind of hours, on a clock that is known and on one that is not."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from reconciler_agent.core.bandwidth import allowed_bytes_s
from schemas.manifest import ManifestBandwidth

PARIS = ZoneInfo("Europe/Paris")
MIDNIGHT = datetime(2026, 11, 23, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "limited"),
    [
        (None, range(24)),
        ("08:00-22:00", range(8, 22)),
        ("22:00-06:00", [22, 23, *range(6)]),
        ("00:00-23:59", range(24)),
        ("07:59-08:01", [8]),
    ],
)
def test_limit_holds_in_its_hours_on_the_wall_of_the_site(hours: str | None, limited: list[int]) -> None:
    bandwidth = ManifestBandwidth(limit_bytes_s=1000, hours=hours)
    found = [hour for hour in range(24) if allowed_bytes_s(bandwidth, PARIS, MIDNIGHT + timedelta(hours=hour)) == 1000]
    assert found == sorted(limited)


@pytest.mark.parametrize(("zone", "at"), [(None, MIDNIGHT), (PARIS, None), (None, None)])
def test_limit_holds_while_the_hour_is_not_known(zone: ZoneInfo | None, at: datetime | None) -> None:
    assert allowed_bytes_s(ManifestBandwidth(limit_bytes_s=7, hours="08:00-08:01"), zone, at) == 7


def test_without_a_limit_nothing_is_held_back() -> None:
    assert allowed_bytes_s(None, PARIS, MIDNIGHT) is None
