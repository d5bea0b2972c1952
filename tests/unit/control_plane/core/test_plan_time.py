"""When sites change: what interrupts the screen crossed with maintenance."""

from datetime import UTC, datetime, timedelta

import pytest

from control_plane.core.compile import compile_commit
from control_plane.core.plan import Plan, plan
from control_plane.core.plan_text import plan_lines, site_lines
from control_plane.core.plan_time import Clocks, timing_of
from schemas.manifest import ManifestMaintenance, ManifestWindow
from tests.contract.golden import sample_files
from tests.support.fleet_generator import as_tree

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
NIGHT = datetime(2026, 11, 27, 2, tzinfo=UTC)
"""03:00 in Paris."""
FILES = sample_files()
RELEASE = {"fleet.yaml": FILES["fleet.yaml"].replace(b"release: 2.1.3", b"release: 2.2.0")}
CONFIG = {"fleet.yaml": FILES["fleet.yaml"].replace(b"offsetX: 24", b"offsetX: 30")}
WEEKLY = b'{days: daily, from: "03:00", to: "05:00"}'
SITE = "paris-volley"


def planned(change: dict[str, bytes], maintenance: bytes) -> Plan:
    """The change on a fleet whose every site has this maintenance."""
    clause = b"  maintenance: {windows: [" + maintenance + b"]}\n" if maintenance else b""
    before = {"fleet.yaml": FILES["fleet.yaml"]}
    ends = [FILES | {"fleet.yaml": files["fleet.yaml"] + clause} for files in (before, before | change)]
    base, head = (compile_commit(*as_tree(files)) for files in ends)
    assert not base.has_errors and not head.has_errors, base.problems
    return plan(base, head, None, NOW, names=("BASE", "HEAD"))


@pytest.mark.parametrize(
    ("change", "maintenance", "at"),
    [
        (RELEASE, b"", NOW),
        (RELEASE, WEEKLY, NIGHT),
        (RELEASE, WEEKLY + b", at_boot", NIGHT),
        (RELEASE, b"at_boot", None),
        (RELEASE, b"{idle: 30m}", None),
        (CONFIG, b"", NOW),
        (CONFIG, WEEKLY, NOW),
        (CONFIG, b"at_boot", NOW),
    ],
)
def test_only_what_interrupts_the_screen_waits_for_windows(
    change: dict[str, bytes], maintenance: bytes, at: datetime | None
) -> None:
    made = planned(change, maintenance)
    assert made.sites[SITE].at == at
    if at is None:
        assert made.timing.unforeseen == len(made.sites) and made.timing.last_at is None
        assert "at the next boot or when the screen is idle" in "\n".join(plan_lines(made))
    elif at > NOW:
        assert made.timing.in_hours > 0 and "at 2026-11-27 02:00 UTC" in "\n".join(site_lines(made, SITE))


def test_first_and_last_site_are_told_apart() -> None:
    clocks = Clocks(NOW)
    night = ManifestMaintenance(windows=[ManifestWindow(kind="weekly", days=["fri"], from_="03:00", to="05:00")])
    sunday = ManifestMaintenance(windows=[ManifestWindow(kind="weekly", days=["sun"], from_="03:00", to="05:00")])
    boot = ManifestMaintenance(windows=[ManifestWindow(kind="at_boot")])
    found = [clocks.opening(one, "Europe/Paris") for one in (night, sunday, boot, None)]
    timing = timing_of(found, NOW)
    assert (timing.first_at, timing.last_at) == (NOW, NIGHT + timedelta(days=2))
    assert (timing.at_once, timing.in_hours, timing.unforeseen, timing.never) == (1, 2, 1, 0)


def test_maintenance_without_hours_waits_for_ever_and_that_is_told() -> None:
    nothing = ManifestMaintenance(windows=[])
    assert timing_of([Clocks(NOW).opening(nothing, "Europe/Paris")], NOW).never == 1


def test_fixture_holds_what_is_seen_and_binding_makes_it_wait_for_hours() -> None:
    clocks = Clocks(NOW)
    busy = [(NOW - timedelta(hours=1), NOW + timedelta(hours=1))]
    window = [ManifestWindow(kind="weekly", days=["fri"], from_="03:00", to="05:00")]
    assert clocks.visible(ManifestMaintenance(windows=window, busy=busy), "UTC").at == NOW + timedelta(hours=1)
    bound = ManifestMaintenance(windows=window, bind_visible=True)
    assert clocks.visible(bound, "UTC").at == NIGHT + timedelta(hours=1)
    assert clocks.visible(ManifestMaintenance(windows=window), "UTC").at == NOW
