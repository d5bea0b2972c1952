"""Rules of fleet.yaml beyond its types: rollout policies, alert thresholds."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from control_plane.core.problems import Finding, KeyPath
from schemas.desired import (
    Alerts,
    Fleet,
    NumberThreshold,
    OfflineThreshold,
    PercentThreshold,
    RolloutPolicy,
)
from schemas.names import duration_s

Threshold = OfflineThreshold | NumberThreshold | PercentThreshold
MAX_WAVES: Final = 50


def of_fleet(file: str, fleet: Fleet) -> Iterator[Finding]:
    """What is wrong with the policies and thresholds."""
    for name, policy in fleet.rollouts.items():
        yield from _of_policy(file, policy, ("rollouts", name))
    if fleet.alerts is not None:
        yield from _of_alerts(file, fleet.alerts)


def _of_policy(file: str, policy: RolloutPolicy, at: KeyPath) -> Iterator[Finding]:
    waves = [_percent(wave) for wave in policy.waves]
    sentence = _wave_fault(waves)
    if sentence is not None:
        yield Finding(file=file, path=(*at, "waves"), code="BadValue", message=sentence)
    for key, value in (("success", policy.success), ("quorum", policy.quorum)):
        if _percent(value) == 0:
            message = f"with `{key}: 0%` no wave could ever fail; write at least 1%"
            yield Finding(file=file, path=(*at, key), code="BadValue", message=message)
    if duration_s(policy.deadline) <= duration_s(policy.soak):
        message = (
            f"a wave that soaks for {policy.soak} cannot end within {policy.deadline}; "
            "write a longer `deadline`, or a shorter `soak`"
        )
        yield Finding(file=file, path=(*at, "deadline"), code="Contradiction", message=message)


def _wave_fault(waves: list[int]) -> str | None:
    if len(waves) > MAX_WAVES:
        return f"{len(waves)} waves are too many; write at most {MAX_WAVES}"
    if waves[0] == 0 or any(first >= second for first, second in pairwise(waves)):
        return "each wave must reach further than the one before it: waves: [10%, 50%, 100%]"
    if waves[-1] != 100:
        return f"the last wave reaches {waves[-1]}% of the sites, and the others never; end with 100%"
    return None


def _percent(text: str) -> int:
    return int(text.removesuffix("%"))


def _of_alerts(file: str, alerts: Alerts) -> Iterator[Finding]:
    thresholds: dict[str, Threshold | None] = {
        "offline": alerts.offline,
        "temperature": alerts.temperature,
        "disk": alerts.disk,
        "release_behind": alerts.release_behind,
    }
    for name, threshold in thresholds.items():
        if threshold is not None:
            yield from _of_threshold(file, name, threshold)


def _of_threshold(file: str, name: str, threshold: Threshold) -> Iterator[Finding]:
    warning, critical = threshold.warning, threshold.critical
    if warning is None and critical is None:
        message = f"`{name}` never alerts; write `warning` or `critical`, or delete it"
        yield Finding(file=file, path=("alerts", name), code="BadValue", message=message, at_key=True)
    if warning is not None and critical is not None and _measure(warning) >= _measure(critical):
        message = f"`warning` ({warning}) must lie below `critical` ({critical}), or nobody is warned in time"
        yield Finding(file=file, path=("alerts", name, "warning"), code="Contradiction", message=message)


def _measure(value: str | int) -> int:
    if isinstance(value, int):
        return value
    return _percent(value) if value.endswith("%") else duration_s(value)
