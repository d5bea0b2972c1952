"""What was measured and not handed over yet: kept by the life of the machine, thinned with age, bounded.

The server thins by the same ages: a minute for a day, an hour for 90 days.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final, NamedTuple, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from schemas.status import MAX_BOOTS, MAX_SAMPLES, Boot, BootId, History, Metrics, Sample, Strain

N = TypeVar("N", int, float)
MINUTES_FOR: Final = timedelta(days=1)
HOURS_FOR: Final = timedelta(days=90)
HOUR_S: Final = 3600
MAX_KEPT: Final = 4_000
"""Samples; a day of minutes and 90 days of hours are 3,600, some 200 kB as they are written."""
LONGEST_SPAN_S: Final = 120
"""What one measurement may stand for: for the rest the machine, or the agent, did not run."""


class Life(Struct, frozen=True, kw_only=True):
    """A life of the machine and what is kept of it, in order; `Sample.boot` is set when it is handed over."""

    boot: Boot
    samples: tuple[Sample, ...] = ()


class Last(NamedTuple):
    """The last sample that was handed over."""

    boot: BootId
    uptime_s: float


def sample_of(measured: Metrics, uptime_s: float, elapsed_s: float) -> Sample:
    """A measurement as it is kept, `elapsed_s` after the one before; what is out of all bounds is absent."""
    restarts, link = measured.service_restarts, measured.link
    return Sample(
        boot=0,
        uptime_s=round(max(0.0, uptime_s), 1),
        span_s=round(min(max(elapsed_s, 1.0), LONGEST_SPAN_S)),
        cpu_percent=_within(measured.cpu_percent, 0, 100),
        memory_percent=_within(measured.memory_percent, 0, 100),
        temperature_celsius=_within(measured.temperature_celsius, -100, 200),
        disk_percent=_disk_percent(measured),
        signal_dbm=link.signal_dbm if link is not None and -200 <= (link.signal_dbm or 0) <= 0 else None,
        restarts=min(sum(restarts.values()), 2**31 - 1) if restarts is not None else None,
        strain=measured.strain,
    )


def _within(value: float | None, least: float, most: float) -> float | None:
    return None if value is None or not least <= value <= most else round(value, 1)


def _disk_percent(measured: Metrics) -> float | None:
    total, free = measured.disk_total_bytes, measured.disk_free_bytes
    return None if not total or free is None else _within(100 * (1 - free / total), 0, 100)


def add(lives: Sequence[Life], boot: Boot, sample: Sample) -> tuple[Life, ...]:
    """The history with a sample of the present life at its end, and what is known of that life's start now."""
    if lives and lives[-1].boot.id == boot.id:
        last = lives[-1]
        known = last.boot if last.boot.certain and not boot.certain else boot
        return (*lives[:-1], Life(boot=known, samples=(*last.samples, sample)))
    return (*lives, Life(boot=boot, samples=(sample,)))


def thin(lives: Sequence[Life], now: datetime) -> tuple[Life, ...]:
    """What stays at `now` (never later than it is): hours of what is older than a day, nothing older than 90 days.

    Beyond MAX_KEPT the oldest go.
    """
    left, kept = MAX_KEPT, []
    for life in reversed(lives):
        age_s = (now - life.boot.started_at).total_seconds()
        young_s, oldest_s = age_s - MINUTES_FOR.total_seconds(), age_s - HOURS_FOR.total_seconds()
        old = [sample for sample in life.samples if oldest_s <= sample.uptime_s < young_s]
        young = [sample for sample in life.samples if sample.uptime_s >= young_s]
        hours = [_merge(list(some)) for _, some in groupby(old, lambda sample: sample.uptime_s // HOUR_S)]
        samples = [*hours, *young][-left:] if left else []
        left -= len(samples)
        if samples:
            kept.append(replace(life, samples=tuple(samples)))
    return tuple(reversed(kept))


def _merge(some: Sequence[Sample]) -> Sample:
    """One sample for all of these, as `Sample` says."""
    if len(some) == 1:
        return some[0]
    return Sample(
        boot=0,
        uptime_s=some[-1].uptime_s,
        span_s=min(HOUR_S, sum(sample.span_s for sample in some)),
        cpu_percent=_mean([(sample.cpu_percent, sample.span_s) for sample in some]),
        memory_percent=_mean([(sample.memory_percent, sample.span_s) for sample in some]),
        temperature_celsius=max(_known(sample.temperature_celsius for sample in some), default=None),
        disk_percent=max(_known(sample.disk_percent for sample in some), default=None),
        signal_dbm=min(_known(sample.signal_dbm for sample in some), default=None),
        restarts=max(_known(sample.restarts for sample in some), default=None),
        strain=_strains(some),
    )


def _known(values: Iterable[N | None]) -> list[N]:
    return [value for value in values if value is not None]


def _mean(weighed: Sequence[tuple[float | None, int]]) -> float | None:
    known = [(value, span_s) for value, span_s in weighed if value is not None]
    return round(sum(v * s for v, s in known) / sum(s for _, s in known), 1) if known else None


def _strains(some: Sequence[Sample]) -> list[Strain] | None:
    told = [sample.strain for sample in some if sample.strain is not None]
    return list(dict.fromkeys(word for words in told for word in words)) if told else None


def batch(lives: Sequence[Life]) -> History:
    """The oldest that one report takes."""
    boots: list[Boot] = []
    samples: list[Sample] = []
    for life in lives[:MAX_BOOTS]:
        if len(samples) == MAX_SAMPLES:
            break
        samples += [replace(s, boot=len(boots)) for s in life.samples[: MAX_SAMPLES - len(samples)]]
        boots.append(life.boot)
    return History(boots=boots, samples=samples)


def last_of(taken: History) -> Last | None:
    """The last sample of a batch."""
    if not taken.samples:
        return None
    last = taken.samples[-1]
    return Last(taken.boots[last.boot].id, last.uptime_s)


def drop(lives: Sequence[Life], last: Last) -> tuple[Life, ...]:
    """What is left when everything up to `last` was taken."""
    place = next((place for place, life in enumerate(lives) if life.boot.id == last.boot), None)
    if place is None:
        return tuple(lives)
    samples = tuple(sample for sample in lives[place].samples if sample.uptime_s > last.uptime_s)
    rest = tuple(lives[place + 1 :])
    return (replace(lives[place], samples=samples), *rest) if samples else rest


def is_more(lives: Sequence[Life]) -> bool:
    """Whether there is more than one report takes."""
    return len(lives) > MAX_BOOTS or sum(len(life.samples) for life in lives) > MAX_SAMPLES
