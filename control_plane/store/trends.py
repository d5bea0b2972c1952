"""Where boxes' measurements go: the last hour beside each box's own past two weeks, and how fast its disk fills."""

from datetime import datetime, timedelta
from typing import Any, Final

from control_plane.core.alerts import Trend, Usual
from control_plane.store.pool import Connection
from schemas.names import SiteId

PAST: Final = timedelta(days=14)
DISK_PAST: Final = timedelta(days=7)
KNOWN_HOURS: Final = 72
"""Of so many hours at least a past is made."""


async def trends(conn: Connection, now: datetime) -> dict[SiteId, Trend]:
    """The trend of every box that was heard within the last hour and whose past is long enough.

    What was told late, or by a box without a clock, is left out. Reads two weeks of hours of the whole fleet: for once
    an hour.
    """
    rows = await conn.execute(
        "with recent as (select site, avg(cpu) cpu, avg(memory) memory, avg(temperature) temperature"
        "  from metrics_minutes where at > %(now)s::timestamptz - interval '1 hour' and at <= %(now)s and not unsure"
        "  group by site),"
        " past as (select site, count(*) hours, avg(cpu) cpu, stddev(cpu) cpu_dev, avg(memory) memory,"
        "  stddev(memory) memory_dev, avg(temperature) temperature, stddev(temperature) temperature_dev,"
        "  regr_slope(disk, extract(epoch from at) / 86400) filter (where at > %(disk)s) disk"
        "  from metrics_hours where at > %(past)s and at < %(now)s::timestamptz - interval '1 hour' and not unsure"
        "  group by site)"
        " select site, r.cpu, p.cpu, p.cpu_dev, r.memory, p.memory, p.memory_dev, r.temperature, p.temperature,"
        " p.temperature_dev, p.disk from recent r join past p using (site) where p.hours >= %(hours)s",
        {"now": now, "past": now - PAST, "disk": now - DISK_PAST, "hours": KNOWN_HOURS},
    )
    return {site: _trend(*found) for site, *found in await rows.fetchall()}


def _trend(*found: Any) -> Trend:
    *usual, disk = found
    cpu, memory, temperature = (_usual(*usual[n : n + 3]) for n in (0, 3, 6))
    pace = float(disk) if disk is not None else None
    return Trend(cpu=cpu, memory=memory, temperature=temperature, disk_percent_per_day=pace)


def _usual(now: float | None, mean: float | None, deviation: float | None) -> Usual | None:
    if now is None or mean is None:
        return None
    return Usual(now=float(now), mean=float(mean), deviation=float(deviation or 0))
