"""Alerts over time: each fires once, is updated while it lasts, and clears itself (pure)."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from control_plane.core.alerts import Firing
from schemas.alerts import AlertKind, Severity
from schemas.manifest import Instant

Key = tuple[AlertKind, str]
CALM: Final = timedelta(minutes=5)
"""An alert clears when it has not been so for this long: what comes and goes is one alert and not twenty."""
_RANK: Final[Mapping[Severity, int]] = {"info": 0, "warning": 1, "critical": 2}


class Alert(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An alert that has not cleared. `calm_since`: it has not been so since; `told`: what people were told of it."""

    firing: Firing
    fired_at: Instant
    changed_at: Instant
    calm_since: Instant | None = None
    told: Severity | None = None


class News(Struct, frozen=True, kw_only=True):
    """Something to tell people: an alert that `fired`, that got `worse`, or that `cleared` after it was told."""

    what: Literal["fired", "worse", "cleared"]
    alert: Alert


class Step(Struct, frozen=True, kw_only=True):
    """The open alerts of now, those that ended, and what is to be told."""

    open: dict[Key, Alert]
    cleared: list[Alert]
    news: list[News]


def advance(open_alerts: Mapping[Key, Alert], firing: Iterable[Firing], now: Instant) -> Step:
    """From the alerts that were open and what is so at `now` to the alerts of now."""
    found = {one.key: one for one in firing}
    after: dict[Key, Alert] = {}
    news: list[News] = []
    cleared: list[Alert] = []
    for key, one in found.items():
        alert, told = _go_on(open_alerts.get(key), one, now)
        after[key] = alert
        news += told
    for key, alert in open_alerts.items():
        if key in found:
            continue
        calm_since = alert.calm_since or now
        if now - calm_since < CALM:
            after[key] = replace(alert, calm_since=calm_since)
            continue
        cleared.append(replace(alert, calm_since=calm_since))
        news += [News(what="cleared", alert=alert)] if alert.told is not None else []
    return Step(open=after, cleared=cleared, news=news)


def _go_on(alert: Alert | None, firing: Firing, now: Instant) -> tuple[Alert, list[News]]:
    """The alert that this firing begins or goes on, and what is news about it."""
    if alert is None:
        alert = Alert(firing=firing, fired_at=now, changed_at=now)
    elif alert.firing != firing:
        alert = replace(alert, firing=firing, changed_at=now)
    alert = replace(alert, calm_since=None)
    if firing.silenced or (alert.told is not None and _RANK[firing.severity] <= _RANK[alert.told]):
        return alert, []
    what: Literal["fired", "worse"] = "fired" if alert.told is None else "worse"
    alert = replace(alert, told=firing.severity)
    return alert, [News(what=what, alert=alert)]
