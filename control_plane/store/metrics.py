"""What boxes measured: by the minute for a day, by the hour for 90 days, by the day for years. See migration 0008."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from psycopg import sql

from control_plane.core.samples import Measured, minutes_from
from control_plane.store.pool import Connection
from schemas.memory import MetricsPoint
from schemas.names import SiteId

MAX_POINTS: Final = 2_000

_COLUMNS: Final = sql.SQL(
    "site, at, span_s, late_s, unsure, cpu, memory, temperature, disk, signal, restarts, weak_power, slowed"
)
_COPY: Final = "copy metrics_minutes from stdin with (null 'None')"
_LINE: Final = "\t".join(["%s"] * len(Measured.__struct_fields__)) + "\n"
"""A row in PostgreSQL's text format; a site's id has nothing to escape."""
_FIGURES: Final = sql.SQL(
    "bool_or(unsure),"
    " (sum(cpu * span_s) / sum(span_s) filter (where cpu is not null))::real,"
    " (sum(memory * span_s) / sum(span_s) filter (where memory is not null))::real,"
    " max(temperature), max(disk), min(signal), max(restarts), bool_or(weak_power), bool_or(slowed)"
)
_ADD_UP: Final = sql.SQL(
    "insert into {table} as m ({columns}) select site, date_trunc({unit}, at), least({most_s}, sum(span_s)),"
    " least({most_s}, sum(late_s)), {figures} from {source} group by 1, 2 order by 1, 2"
    " on conflict (site, at) do update set"
    " span_s = least({most_s}, m.span_s + excluded.span_s), late_s = least({most_s}, m.late_s + excluded.late_s),"
    " unsure = m.unsure or excluded.unsure,"
    " cpu = weighed(m.cpu, m.span_s, excluded.cpu, excluded.span_s),"
    " memory = weighed(m.memory, m.span_s, excluded.memory, excluded.span_s),"
    " temperature = greatest(m.temperature, excluded.temperature), disk = greatest(m.disk, excluded.disk),"
    " signal = least(m.signal, excluded.signal), restarts = greatest(m.restarts, excluded.restarts),"
    " weak_power = coalesce(m.weak_power or excluded.weak_power, m.weak_power, excluded.weak_power),"
    " slowed = coalesce(m.slowed or excluded.slowed, m.slowed, excluded.slowed)"
)
"""In order, so that the hours of a site and a day lie on one page, from which they are read together."""
_COARSER: Final = (("metrics_hours", "hour", 3_600), ("metrics_days", "day", 86_400))
_ROWS: Final = sql.SQL(
    "json_to_recordset({}) as r (site text, at timestamptz, span_s integer, late_s integer, unsure boolean, cpu real,"
    " memory real, temperature real, disk real, signal smallint, restarts integer, weak_power boolean, slowed boolean)"
)


async def keep(conn: Connection, rows: Sequence[Measured], now: datetime) -> None:
    """Keep what was measured, each row where its age belongs. CheckViolation: a partition is missing."""
    border = minutes_from(now)
    young = [row for row in rows if row.at >= border]
    if young:
        async with conn.cursor() as cursor, cursor.copy(_COPY) as copy:
            await copy.write("".join([_LINE % msgspec.structs.astuple(row) for row in young]))
    if len(young) < len(rows):
        old = msgspec.json.encode([row for row in rows if row.at < border]).decode()
        await _add_up(conn, _ROWS.format(sql.Literal(old)))


async def thin(conn: Connection, minutes: str) -> None:
    """Add up a partition of minutes to hours and days; within a transaction that drops it."""
    await _add_up(conn, sql.Identifier(minutes))


async def _add_up(conn: Connection, source: sql.Composable) -> None:
    """Add rows, each counted once, to what lasts longer."""
    for table, unit, most_s in _COARSER:
        statement = _ADD_UP.format(
            table=sql.Identifier(table),
            columns=_COLUMNS,
            unit=sql.Literal(unit),
            most_s=sql.Literal(most_s),
            figures=_FIGURES,
            source=source,
        )
        await conn.execute(statement)


_SERIES: Final = sql.SQL(
    "with measured as ("
    " select * from metrics_minutes where site = %(site)s and at >= %(since)s and at < %(until)s"
    " union all select * from metrics_hours where site = %(site)s and at >= %(since)s and at < %(until)s"
    " union all select * from metrics_days where site = %(site)s and at >= %(since)s and at < %(until)s and at <"
    "  (select coalesce(date_trunc('day', min(at)), 'infinity') from metrics_hours where site = %(site)s))"
    " select date_bin(%(step)s, at, %(since)s), sum(span_s), sum(late_s), {} from measured group by 1 order by 1"
).format(_FIGURES)
"""Days are added up from the first hour on; those of which the hours are still there would count twice."""


async def series(
    conn: Connection, site: SiteId, since: datetime, until: datetime, points: int = 300
) -> list[MetricsPoint]:
    """What a site measured between two instants, in at most so many points, each for the same length of time.

    A time without any measurement has no point. What is older than 90 days is there by the day.
    """
    seconds = (until - since).total_seconds()
    step = timedelta(seconds=max(60, -(-seconds // points)))
    rows = await conn.execute(_SERIES, {"site": site, "since": since, "until": until, "step": step})
    return [_point(*row) for row in await rows.fetchall()]


def _point(at: datetime, span_s: int, late_s: int, unsure: bool, *figures: object) -> MetricsPoint:
    names = MetricsPoint.__struct_fields__[4:]
    return msgspec.convert(
        {"at": at, "measured_s": span_s, "late_s": late_s, "unsure": unsure, **dict(zip(names, figures, strict=True))},
        MetricsPoint,
    )
