"""What a box measured, as it is kept: when by our time, how late it was told, once however often it comes."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import Struct

from control_plane.core.spans import LATE
from schemas.names import SiteId
from schemas.status import Boot, BootId, Sample, StatusReport, Strain, Transition

MINUTES_FOR: Final = timedelta(days=1)
HOURS_FOR: Final = timedelta(days=90)
"""What is older than this, and its week, is not kept anew; boxes keep no more either."""
LONGEST_LIFE: Final = timedelta(days=3660)
"""No machine is up for longer; what began before that, or after now, began then: no box can tell of such times."""
_SLOWED: Final = frozenset[Strain](("frequency_capped", "throttled", "soft_temperature_limit"))


class Life(Struct, frozen=True, kw_only=True, gc=False):
    """A life of a machine. Up to `sampled_s` and `turned_s`, seconds in it, samples and transitions were taken."""

    boot: BootId
    started_at: datetime
    certain: bool
    sampled_s: float = -1.0
    turned_s: float = -1.0


class Measured(Struct, frozen=True, kw_only=True, gc=False):
    """A row of metrics; the names are those of its columns."""

    site: SiteId
    at: datetime
    span_s: int
    late_s: int
    unsure: bool
    cpu: float | None
    memory: float | None
    temperature: float | None
    disk: float | None
    signal: int | None
    restarts: int | None
    weak_power: bool | None
    slowed: bool | None


def boots_of(report: StatusReport) -> set[BootId]:
    """The lives of the machine that a report speaks of."""
    return {boot.id for boot in report.history.boots} | {one.boot for one in report.transitions}


def lives(report: StatusReport, known: Mapping[BootId, Life], now: datetime) -> list[Life]:
    """The lives that a report speaks of, with what will have been taken of each."""
    found: dict[BootId, Life] = {}
    for boot, uptime_s, certain, started_at, turned in _mentioned(report, now):
        old = found.get(boot) or known.get(boot) or Life(boot=boot, started_at=started_at, certain=certain)
        keep = old.certain and not certain
        found[boot] = Life(
            boot=boot,
            started_at=old.started_at if keep else started_at,
            certain=old.certain or certain,
            sampled_s=old.sampled_s if turned else max(old.sampled_s, uptime_s),
            turned_s=max(old.turned_s, uptime_s) if turned else old.turned_s,
        )
    return list(found.values())


def _mentioned(report: StatusReport, now: datetime) -> Iterable[tuple[BootId, float, bool, datetime, bool]]:
    boots = report.history.boots
    last: dict[int, float] = dict.fromkeys(range(len(boots)), -1.0)
    for sample in report.history.samples:
        last[sample.boot] = max(last.get(sample.boot, -1.0), sample.uptime_s)
    for place, boot in enumerate(boots):
        yield boot.id, last[place], boot.certain, _sane(boot.started_at, now), False
    for one in report.transitions:
        started_at = _sane(one.at, now) - timedelta(seconds=one.uptime_s)
        yield one.boot, one.uptime_s, one.certain, _sane(started_at, now), True


def _sane(at: datetime, now: datetime) -> datetime:
    return min(max(at, now - LONGEST_LIFE), now)


def new_transitions(report: StatusReport, known: Mapping[BootId, Life]) -> list[Transition]:
    """Those that were not taken yet, in order."""
    return [one for one in report.transitions if one.boot not in known or one.uptime_s > known[one.boot].turned_s]


def new_samples(site: SiteId, report: StatusReport, known: Mapping[BootId, Life], now: datetime) -> list[Measured]:
    """Those that were not taken yet and are not too old; none is later than now."""
    boots, oldest = report.history.boots, now - HOURS_FOR
    found = []
    for sample in report.history.samples:
        boot = boots[sample.boot] if sample.boot < len(boots) else None
        if boot is None or (boot.id in known and sample.uptime_s <= known[boot.id].sampled_s):
            continue
        row = _measured(site, boot, sample, now)
        if row.at >= oldest:
            found.append(row)
    return found


def _measured(site: SiteId, boot: Boot, sample: Sample, now: datetime) -> Measured:
    ended_at = min(_sane(boot.started_at, now) + timedelta(seconds=sample.uptime_s), now)
    strain = sample.strain
    return Measured(
        site=site,
        at=ended_at - timedelta(seconds=sample.span_s),
        span_s=sample.span_s,
        late_s=sample.span_s if now - ended_at > LATE else 0,
        unsure=not boot.certain,
        cpu=sample.cpu_percent,
        memory=sample.memory_percent,
        temperature=sample.temperature_celsius,
        disk=sample.disk_percent,
        signal=sample.signal_dbm,
        restarts=sample.restarts,
        weak_power=None if strain is None else "under_voltage" in strain,
        slowed=None if strain is None else not _SLOWED.isdisjoint(strain),
    )


def minutes_from(now: datetime) -> datetime:
    """What is older than this is not kept by the minute any more: the beginning of yesterday, UTC."""
    return (now.astimezone(UTC) - MINUTES_FOR).replace(hour=0, minute=0, second=0, microsecond=0)
