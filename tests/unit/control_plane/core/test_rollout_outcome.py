"""How a release or agent does on a box, by what the box says of itself."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from control_plane.core.rollout_outcome import Heard, outcome_of
from schemas.rollouts import RolloutKind
from schemas.status import Condition

LET_IN = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
HEALTHY = Condition(type="ReleaseHealthy", status="True", reason="Healthy", since=LET_IN)
TESTING = Condition(type="ReleaseHealthy", status="Unknown", reason="Testing", message="On trial.", since=LET_IN)
UNHEALTHY = Condition(type="ReleaseHealthy", status="False", reason="ReleaseUnhealthy", message="No.", since=LET_IN)
FULL = Condition(type="Degraded", status="True", reason="DiskFull", message="No room.", since=LET_IN)
WELL = Condition(type="Degraded", status="False", reason="AsExpected", since=LET_IN)


def degraded(message: str) -> Condition:
    return Condition(type="Degraded", status="True", reason="ReleaseUnhealthy", message=message, since=LET_IN)


def heard(running: str | None, *conditions: Condition, **changes: Any) -> Heard:
    usual: dict[str, Any] = {"received_at": LET_IN + timedelta(minutes=1), "silent": False}
    return Heard(running=running, conditions=conditions, **usual | changes)


OLD_NEWS = {"received_at": LET_IN - timedelta(seconds=1)}
FAILED = degraded("Release 2.0.0 failed: no answer; the box went back to 1.0.0")
OTHER = degraded("Release 2.0.01 failed: no answer")
AGENT = degraded("Agent 2.0.0 failed here, and 1.0.0 runs: it crashed")


@pytest.mark.parametrize(
    ("kind", "box", "outcome"),
    [
        ("release", None, ("pending", "It has not reported since.")),
        ("release", heard("2.0.0", HEALTHY, **OLD_NEWS), ("pending", "It has not reported since.")),
        ("release", heard("1.0.0", FAILED, **OLD_NEWS), ("pending", "It has not reported since.")),
        ("release", heard("1.0.0", HEALTHY), ("pending", "")),
        ("release", heard(None), ("pending", "")),
        ("release", heard("2.0.0", TESTING), ("pending", "On trial.")),
        ("release", heard("2.0.0"), ("pending", "")),
        ("release", heard("2.0.0", HEALTHY, WELL), ("well", "")),
        ("release", heard("2.0.0", HEALTHY, silent=True), ("pending", "It has fallen silent.")),
        ("release", heard("2.0.0", HEALTHY, FULL), ("pending", "No room.")),
        ("release", heard("1.0.0", HEALTHY, FULL), ("pending", "No room.")),
        ("release", heard("2.0.0", UNHEALTHY), ("failed", "No.")),
        ("release", heard("2.0.0", UNHEALTHY, silent=True), ("failed", "No.")),
        ("release", heard("1.0.0", UNHEALTHY), ("pending", "")),
        ("release", heard("1.0.0", HEALTHY, FAILED), ("failed", FAILED.message)),
        ("release", heard("1.0.0", HEALTHY, OTHER), ("pending", OTHER.message)),
        ("agent", heard("2.0.0", UNHEALTHY), ("well", "")),
        ("agent", heard("2.0.0"), ("well", "")),
        ("agent", heard("2.0.0", FULL), ("pending", "No room.")),
        ("agent", heard("1.0.0", AGENT), ("failed", AGENT.message)),
        ("agent", heard("1.0.0", FAILED), ("pending", FAILED.message)),
    ],
)  # fmt: skip
def test_outcome_is_told_by_the_newest_report(kind: RolloutKind, box: Heard | None, outcome: tuple[str, str]) -> None:
    assert outcome_of(kind, "2.0.0", LET_IN, box) == outcome
