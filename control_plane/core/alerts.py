"""What should worry somebody, by the evidence of now: of each site, and of the fleet itself (pure).

`alerts_of_site` and `alerts_of_fleet` say what is so at `now`; `core.alerting` makes of it alerts that fire once, are
updated, and clear themselves. Thresholds come from the documents: `DEFAULTS`, fleet.yaml, then the layers of the site.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from msgspec import Struct
from msgspec.structs import asdict, replace

from control_plane.core.resolve import merge_alerts
from control_plane.core.rules_alerts import measure
from control_plane.core.standing import AWAY, Verdict
from schemas.alerts import AlertKind, Alerts, NumberThreshold, OfflineThreshold, PercentThreshold, Severity
from schemas.desired import Connectivity
from schemas.manifest import Instant
from schemas.names import SiteId
from schemas.reasons import REASONS, WAITS
from schemas.rollouts import Cause
from schemas.status import Condition, Metrics

Value = str | int | float
DEFAULTS: Final = Alerts(
    offline=OfflineThreshold(critical="1h"),
    temperature=NumberThreshold(warning=70, critical=80),
    disk=PercentThreshold(warning="85%", critical="95%"),
    release_behind=NumberThreshold(warning=2),
)
"""Of the specification; what fleet.yaml does not say."""
STUCK_AFTER: Final = timedelta(hours=24)
WAITS_AT_MOST: Final = timedelta(days=21)
"""A step that has waited for its window for so long waits for one that does not come."""
PASSES_WITHIN: Final = timedelta(hours=1)
"""Trouble of a kind that passes by itself is told when it has not."""
NEW_FOR: Final = timedelta(hours=24)
CLOCK_ERROR: Final = timedelta(minutes=5)
UNREACHABLE_AFTER: Final = timedelta(minutes=10)
DISK_FULL_WITHIN: Final = timedelta(days=7)
WARMER_BY_CELSIUS: Final = 8.0
UNUSUAL_DEVIATIONS: Final = 4.0
_RELEASE_REASONS: Final = frozenset(
    {"ReleaseFailed", "ReleaseUnhealthy", "ReleaseHeld", "RolledBack", "ServiceFailed", "Interrupted"}
)


class Firing(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that is so now. `subject`: a site, or what of the fleet; `values` complete the sentence of its kind."""

    kind: AlertKind
    subject: str
    severity: Severity
    values: dict[str, Value] = {}
    silenced: bool = False

    @property
    def key(self) -> tuple[AlertKind, str]:
        """What makes it the same alert at another time."""
        return self.kind, self.subject


class Usual(Struct, frozen=True, kw_only=True):
    """A measurement of the last hour beside the box's own past two weeks."""

    now: float
    mean: float
    deviation: float


class Trend(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a box's measurements go; None: too little is known. `disk_percent_per_day`: how fast it fills."""

    cpu: Usual | None = None
    memory: Usual | None = None
    temperature: Usual | None = None
    disk_percent_per_day: float | None = None


class Refusal(Struct, frozen=True, kw_only=True):
    """A box whose reports are refused: so many since the last that was taken, the last for `why`."""

    count: int
    why: str


class NewBox(Struct, frozen=True, kw_only=True):
    """A box that waits to be let in as a site's; `hostname` and `model` by its own word."""

    site: SiteId
    hostname: str
    model: str


class Watched(Struct, frozen=True, kw_only=True):
    """A site as it is watched. `alerts`: of its layers; `behind`: releases that are newer than what runs."""

    site: SiteId
    name: str
    verdict: Verdict
    connectivity: Connectivity = "always"
    timezone: str = "UTC"
    alerts: Alerts | None = None
    published_at: datetime
    first_published_at: datetime | None = None
    received_at: datetime | None = None
    said_at: datetime | None = None
    clock_synchronised: bool = True
    conditions: Sequence[Condition] = ()
    metrics: Metrics = Metrics()
    behind: int = 0
    forked: bool = False
    refused: Refusal | None = None
    trend: Trend = Trend()


class Expiring(Struct, frozen=True, kw_only=True):
    """Something that ends: told from `warn` before it on, and as critical in the last third of that time."""

    what: str
    at: datetime
    warn: timedelta


class Troubled(Struct, frozen=True, kw_only=True):
    """A rollout that a person should look at: `halted`, or overdue; `wave` counts from 1."""

    what: str
    halted: bool
    wave: int
    cause: Cause | None = None


class Server(Struct, frozen=True, kw_only=True):
    """The fleet's own affairs. `new_releases`: version -> when first seen."""

    newest_verdict: Literal["published", "refused", "held"] | None = None
    newest_commit: str = ""
    newest_subject: str = ""
    remote_error: str = ""
    remote_error_since: datetime | None = None
    expiring: Sequence[Expiring] = ()
    new_releases: Mapping[str, Instant] = {}
    new_boxes: Sequence[NewBox] = ()
    rollouts: Sequence[Troubled] = ()
    alerts: Alerts | None = None


def alerts_of_site(seen: Watched, fleet: Alerts | None, now: datetime) -> Iterator[Firing]:
    """What is so of the site at `now`. A site that is planned, suspended or retired worries nobody."""
    if seen.verdict.standing in ("Suspended", "Retired") or seen.verdict.reason == "NoIdentity":
        return
    limits = thresholds(fleet, seen.alerts)
    silent = silenced(limits, now, seen.timezone)
    for firing in _of_site(seen, limits, now):
        yield replace(firing, silenced=silent == "all" or firing.kind in silent)


def _of_site(seen: Watched, limits: Alerts, now: datetime) -> Iterator[Firing]:
    if seen.first_published_at is not None and now - seen.first_published_at < NEW_FOR:
        yield _of(seen, "new_site", "info")
    if seen.forked:
        yield _of(seen, "two_machines", "critical")
    if seen.refused is not None:
        yield from _of_refusal(seen, seen.refused, limits, now)
    if seen.received_at is None:
        return
    silence = now - seen.received_at
    if seen.refused is None and (severity := _silent_for(silence, limits.offline, seen.connectivity)) is not None:
        yield _of(seen, "offline", severity, silent_s=int(silence.total_seconds()))
    if seen.verdict.standing in ("Offline", "Unknown"):
        return  # what the box said then is no evidence of now
    yield from _of_measurements(seen, limits)
    yield from _of_trend(seen, limits)
    yield from _of_conditions(seen, now)
    if (severity := _above(seen.behind, limits.release_behind)) is not None:
        yield _of(seen, "release_behind", severity, behind=seen.behind)


def _of_refusal(seen: Watched, refused: Refusal, limits: Alerts, now: datetime) -> Iterator[Firing]:
    """In the place of `offline`, and as grave: the box speaks, whatever the page says of its last report."""
    silence = now - (seen.received_at or seen.published_at)
    severity = _silent_for(silence, limits.offline, seen.connectivity) or "warning"
    yield _of(seen, "reports_refused", severity, count=refused.count, why=refused.why)


def _silent_for(silence: timedelta, threshold: OfflineThreshold | None, connectivity: Connectivity) -> Severity | None:
    """A box that is not always online is only missed when its pause has passed, too."""
    if threshold is None or silence < AWAY[connectivity]:
        return None
    return _above(silence.total_seconds(), threshold)


def _above(value: float, threshold: NumberThreshold | PercentThreshold | OfflineThreshold | None) -> Severity | None:
    if threshold is None:
        return None
    if threshold.critical is not None and value >= measure(threshold.critical):
        return "critical"
    return "warning" if threshold.warning is not None and value >= measure(threshold.warning) else None


def _of_measurements(seen: Watched, limits: Alerts) -> Iterator[Firing]:
    said = seen.metrics
    degrees, used = said.temperature_celsius, said.disk_used_percent
    if degrees is not None and (severity := _above(degrees, limits.temperature)) is not None:
        yield _of(seen, "temperature", severity, celsius=round(degrees, 1))
    if used is not None and (severity := _above(used, limits.disk)) is not None:
        yield _of(seen, "disk", severity, percent=round(used, 1))
    error_s = said.clock_error_s or 0.0
    if seen.said_at is not None and seen.received_at is not None and seen.clock_synchronised:
        error_s = max(error_s, abs((seen.received_at - seen.said_at).total_seconds()))
    if error_s >= CLOCK_ERROR.total_seconds():
        yield _of(seen, "clock", "warning", seconds=int(error_s))


def _of_trend(seen: Watched, limits: Alerts) -> Iterator[Firing]:
    trend, said = seen.trend, seen.metrics
    if trend.temperature is not None and trend.temperature.now - trend.temperature.mean >= WARMER_BY_CELSIUS:
        warmer = round(trend.temperature.now - trend.temperature.mean, 1)
        yield _of(seen, "temperature_rising", "warning", celsius=warmer)
    if (days := _days_until_full(trend, said, limits.disk)) is not None and days <= DISK_FULL_WITHIN.days:
        yield _of(seen, "disk_rising", "warning", days=round(days, 1))
    for what, usual in (("cpu", trend.cpu), ("memory", trend.memory)):
        if usual is not None and usual.now - usual.mean > UNUSUAL_DEVIATIONS * max(usual.deviation, 2.0):
            yield _of(seen, "unusual", "warning", what=what, now=round(usual.now), usual=round(usual.mean))


def _days_until_full(trend: Trend, said: Metrics, limit: PercentThreshold | None) -> float | None:
    """Days until the disk's critical share is reached at the pace of the last days; None: never, or not known."""
    used, pace = said.disk_used_percent, trend.disk_percent_per_day
    if used is None or pace is None or pace <= 0:
        return None
    full = measure(limit.critical) if limit is not None and limit.critical is not None else 95
    return (full - used) / pace if used < full else None


def _of_conditions(seen: Watched, now: datetime) -> Iterator[Firing]:
    conditions = {condition.type: condition for condition in seen.conditions}
    connected, degraded = conditions.get("Connected"), conditions.get("Degraded")
    if connected is not None and connected.status == "False" and connected.reason == "TrustRefused":
        yield _of(seen, "trust_refused", "critical", why=connected.message)
    if degraded is not None and degraded.status == "True":
        yield from _of_trouble(seen, degraded, now)
    elif seen.verdict.standing == "Degraded" and seen.verdict.reason != "TrustRefused":
        yield _of(seen, "degraded", "critical", reason=seen.verdict.reason, why=seen.verdict.message)
    if seen.verdict.standing == "Progressing":
        patience = WAITS_AT_MOST if seen.verdict.reason in WAITS else STUCK_AFTER
        behind_s = now - max(seen.published_at, _since(conditions.get("Synced"), seen.published_at))
        if behind_s >= patience:
            yield _of(seen, "stuck", "warning", hours=int(behind_s.total_seconds()) // 3600, why=seen.verdict.message)


def _since(condition: Condition | None, default: datetime) -> datetime:
    return condition.since if condition is not None else default


def _of_trouble(seen: Watched, degraded: Condition, now: datetime) -> Iterator[Firing]:
    reason, why = degraded.reason, degraded.message
    if reason == "DiskFull":
        yield _of(seen, "no_room", "critical", why=why)
    elif reason in _RELEASE_REASONS:
        yield _of(seen, "release_failed", "critical", reason=reason, why=why)
    elif _needs_somebody(reason) or now - degraded.since >= PASSES_WITHIN:
        severity: Severity = "critical" if _needs_somebody(reason) else "warning"
        yield _of(seen, "degraded", severity, reason=reason, why=why)


def _needs_somebody(reason: str) -> bool:
    meaning = REASONS.get(reason)
    return meaning is None or meaning.person


def _of(seen: Watched, kind: AlertKind, severity: Severity, **values: Value) -> Firing:
    return Firing(kind=kind, subject=seen.site, severity=severity, values={"name": seen.name, **values})


def alerts_of_fleet(server: Server, now: datetime) -> Iterator[Firing]:
    """What is so of the fleet itself."""
    silent = silenced(thresholds(server.alerts, None), now, "UTC")
    for firing in _of_fleet(server, now):
        yield replace(firing, silenced=silent == "all" or firing.kind in silent)


def _of_fleet(server: Server, now: datetime) -> Iterator[Firing]:
    if server.newest_verdict in ("refused", "held"):
        kind: AlertKind = "commit_refused" if server.newest_verdict == "refused" else "commit_held"
        values: dict[str, Value] = {"commit": server.newest_commit[:8], "subject": server.newest_subject}
        yield Firing(kind=kind, subject="fleet", severity="warning", values=values)
    for one in server.rollouts:
        if one.halted:
            values = {**(asdict(one.cause) if one.cause else {}), "wave": one.wave}
            yield Firing(kind="rollout_halted", subject=one.what, severity="critical", values=values)
        else:
            yield Firing(kind="rollout_overdue", subject=one.what, severity="warning", values={"wave": one.wave})
    since = server.remote_error_since
    if server.remote_error and since is not None and now - since >= UNREACHABLE_AFTER:
        yield Firing(kind="remote", subject="fleet", severity="critical", values={"why": server.remote_error})
    for ending in server.expiring:
        left = ending.at - now
        if left <= ending.warn:
            severity: Severity = "critical" if left <= ending.warn / 3 else "warning"
            left_h = max(0, int(left.total_seconds()) // 3600)
            yield Firing(kind="expiry", subject=ending.what, severity=severity, values={"hours": left_h})
    for box in server.new_boxes:
        values = {"hostname": box.hostname, "model": box.model}
        yield Firing(kind="new_box", subject=box.site, severity="info", values=values)
    for version, seen_at in server.new_releases.items():
        if now - seen_at < NEW_FOR:
            yield Firing(kind="new_release", subject=version, severity="info", values={"version": version})


def thresholds(fleet: Alerts | None, site: Alerts | None) -> Alerts:
    """What holds for a site: the defaults, the fleet's own, then its layers', kind by kind."""
    limits = DEFAULTS
    for layer in (fleet, site):
        if layer is not None:
            limits = merge_alerts(limits, layer)
    return limits


def silenced(limits: Alerts, now: datetime, timezone: str) -> Sequence[AlertKind] | Literal["all"]:
    """What is silenced at `now`: until the end of the last day, by the wall clock of the site."""
    if limits.silence is None or limits.until is None or now.astimezone(ZoneInfo(timezone)).date() > limits.until:
        return ()
    return limits.silence
