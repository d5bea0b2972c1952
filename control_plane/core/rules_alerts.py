"""Rules of `alerts` beyond their types: thresholds that could never warn in time, silences without an end."""

from collections.abc import Iterator

from control_plane.core.problems import Finding, KeyPath
from schemas.alerts import Alerts, NumberThreshold, OfflineThreshold, PercentThreshold
from schemas.names import duration_s

Threshold = OfflineThreshold | NumberThreshold | PercentThreshold


def of_alerts(file: str, alerts: Alerts, at: KeyPath) -> Iterator[Finding]:
    """What is wrong with the thresholds and the silence of a layer."""
    for name in ("offline", "temperature", "disk", "release_behind"):
        threshold: Threshold | None = getattr(alerts, name)
        if threshold is not None:
            yield from _of_threshold(file, name, threshold, at)
    if alerts.silence is not None and alerts.until is None:
        message = "a silence needs an end, or it is forgotten; write `until: 2027-01-31`, its last day"
        yield Finding(file=file, path=(*at, "silence"), code="BadValue", message=message, at_key=True)
    if alerts.silence is None and alerts.until is not None:
        message = "`until` ends a silence, and there is none; write `silence: [offline]` or `silence: all`"
        yield Finding(file=file, path=(*at, "until"), code="BadValue", message=message, at_key=True)


def _of_threshold(file: str, name: str, threshold: Threshold, at: KeyPath) -> Iterator[Finding]:
    warning, critical = threshold.warning, threshold.critical
    if warning is None and critical is None:
        message = f"`{name}` never alerts; write `warning` or `critical`, or delete it"
        yield Finding(file=file, path=(*at, name), code="BadValue", message=message, at_key=True)
    if warning is not None and critical is not None and measure(warning) >= measure(critical):
        message = f"`warning` ({warning}) must lie below `critical` ({critical}), or nobody is warned in time"
        yield Finding(file=file, path=(*at, name, "warning"), code="Contradiction", message=message)


def measure(value: str | int) -> int:
    """A threshold as a number: seconds, degrees, releases, or percent."""
    if isinstance(value, int):
        return value
    return int(value.removesuffix("%")) if value.endswith("%") else duration_s(value)
