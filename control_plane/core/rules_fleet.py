"""Rules of fleet.yaml beyond its types: rollout policies, where alerts stand."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from control_plane.core.problems import Finding, KeyPath
from control_plane.core.rules_alerts import of_alerts
from schemas.desired import Fleet, RolloutPolicy
from schemas.names import duration_s

MAX_WAVES: Final = 50


def of_fleet(file: str, fleet: Fleet) -> Iterator[Finding]:
    """What is wrong with the policies and thresholds."""
    for name, policy in fleet.rollouts.items():
        yield from _of_policy(file, policy, ("rollouts", name))
    if fleet.alerts is not None:
        yield from of_alerts(file, fleet.alerts, ("alerts",))
    if fleet.defaults.alerts is not None:
        message = "what holds for the whole fleet is `alerts` beside `defaults`; move it there"
        yield Finding(file=file, path=("defaults", "alerts"), code="BadValue", message=message, at_key=True)


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
