"""What is watched: the kinds of alerts, and the thresholds that operators write for them."""

from datetime import date, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.names import Duration, Percent

Severity = Literal["info", "warning", "critical"]
Instant = Annotated[datetime, Meta(tz=True)]


class OfflineThreshold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Silence after which a site is offline."""

    warning: Duration | None = None
    critical: Duration | None = None


class NumberThreshold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A number (degrees Celsius, releases behind) from which an alert fires."""

    warning: Annotated[int, Meta(ge=0)] | None = None
    critical: Annotated[int, Meta(ge=0)] | None = None


class PercentThreshold(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A share from which an alert fires."""

    warning: Percent | None = None
    critical: Percent | None = None


AlertKind = Literal[
    "offline",
    "temperature",
    "disk",
    "release_behind",
    "temperature_rising",
    "disk_rising",
    "unusual",
    "stuck",
    "release_failed",
    "degraded",
    "no_room",
    "clock",
    "two_machines",
    "trust_refused",
    "reports_refused",
    "new_box",
    "new_site",
    "new_release",
    "commit_refused",
    "commit_held",
    "rollout_halted",
    "rollout_overdue",
    "remote",
    "expiry",
]
"""What an alert is about: of a site, or from `commit_refused` on of the fleet."""


class Alerts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Alert thresholds, and what is silenced: `silence` (kinds, or all of them) until the end of the day `until`."""

    offline: OfflineThreshold | None = None
    temperature: NumberThreshold | None = None
    disk: PercentThreshold | None = None
    release_behind: NumberThreshold | None = None
    silence: list[AlertKind] | Literal["all"] | None = None
    until: date | None = None


class AlertInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An alert as programs read it; `cleared_at` is None while it is so. `subject`: a site, or what of the fleet."""

    id: int
    kind: AlertKind
    subject: str
    severity: Severity
    sentence: str
    remedy: str
    fired_at: Instant
    cleared_at: Instant | None = None
    silenced: bool = False
