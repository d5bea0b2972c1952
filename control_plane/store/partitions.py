"""Partitions of what is remembered by time: made ahead, thinned into what lasts longer, dropped in their time.

Days of minutes become hours and days; weeks of hours are dropped after 90 days, years of days and months of what was
played when the settings say so. PostgreSQL's own partitioning, by range of UTC; a partition is named by its first day.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from psycopg import sql

from control_plane.core.samples import HOURS_FOR, MINUTES_FOR
from control_plane.store import metrics
from control_plane.store.pool import Connection

AHEAD: Final = timedelta(days=3)
GRACE: Final = timedelta(hours=1)
"""After its time is over, so that no report that is being written goes where something ends."""
WAITED: Final = timedelta(days=1)
"""Rows are as old as they may be when their report comes; that may wait before it is written."""
LATE_PLAYBACKS: Final = timedelta(days=92)
_MAKING: Final = 0x6E656F_0008
_DROPPING: Final = 0x6E656F_0009
_NAME: Final = re.compile(r".*_(\d{8})")


class Table(NamedTuple):
    """A partitioned table: where the partition of an instant begins, and the next one."""

    name: str
    begin: Callable[[datetime], datetime]
    end: Callable[[datetime], datetime]
    back: timedelta
    """How long ago rows may be that still come; for them, partitions are made."""


class Partition(NamedTuple):
    """One that is there."""

    name: str
    begins_at: datetime


def _day(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _week(at: datetime) -> datetime:
    return _day(at) - timedelta(days=_day(at).weekday())


def _month(at: datetime) -> datetime:
    return _day(at).replace(day=1)


def _year(at: datetime) -> datetime:
    return _day(at).replace(month=1, day=1)


MINUTES: Final = Table("metrics_minutes", _day, lambda at: at + timedelta(days=1), MINUTES_FOR)
HOURS: Final = Table("metrics_hours", _week, lambda at: at + timedelta(days=7), HOURS_FOR + WAITED)
DAYS: Final = Table("metrics_days", _year, lambda at: at.replace(year=at.year + 1), HOURS_FOR + WAITED)
PLAYBACKS: Final = Table("playbacks", _month, lambda at: _month(at + timedelta(days=31)), LATE_PLAYBACKS)
TABLES: Final = (MINUTES, HOURS, DAYS, PLAYBACKS)


async def make(conn: Connection, now: datetime) -> int:
    """Make every partition that rows may come for until some days from now, where it is missing; how many."""
    made = 0
    for table in TABLES:
        there = {partition.begins_at for partition in await existing(conn, table)}
        begin = table.begin(now - table.back)
        while begin <= now + AHEAD:
            if begin not in there:
                made += await _make(conn, table, begin)
            begin = table.end(begin)
    return made


async def existing(conn: Connection, table: Table) -> list[Partition]:
    """The partitions of a table, the oldest first; not the one for what belongs in none."""
    rows = await conn.execute(
        "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = %s::regclass"
        " order by 1",
        (table.name,),
    )
    names = [_NAME.fullmatch(name) for (name,) in await rows.fetchall()]
    return [Partition(m[0], datetime.strptime(m[1], "%Y%m%d").replace(tzinfo=UTC)) for m in names if m]


async def _make(conn: Connection, table: Table, begin: datetime) -> bool:
    name = f"{table.name}_{begin:%Y%m%d}"
    async with conn.transaction():
        # Another control plane may be about to make the same one.
        await conn.execute("select pg_advisory_xact_lock(%s)", (_MAKING,))
        if await _exists(conn, name):
            return False
        new = {"name": sql.Identifier(name), "table": sql.Identifier(table.name)}
        await conn.execute(sql.SQL("create table {name} (like {table} including all)").format(**new))
        bounds = {"begin": sql.Literal(begin), "end": sql.Literal(table.end(begin))}
        if table is PLAYBACKS:
            # PostgreSQL would refuse a partition for rows that lie in the default one.
            await conn.execute(_MOVE.format(**new, **bounds))
        await conn.execute(_ATTACH.format(**new, **bounds))
    return True


_ATTACH: Final = sql.SQL("alter table {table} attach partition {name} for values from ({begin}) to ({end})")
_MOVE: Final = sql.SQL(
    "with moved as (delete from playbacks_other where played_at >= {begin} and played_at < {end} returning *)"
    " insert into {name} select * from moved"
)


async def _exists(conn: Connection, name: str) -> bool:
    row = await (await conn.execute("select to_regclass(%s) is not null", (name,))).fetchone()
    return bool(row and row[0])


async def drop(conn: Connection, table: Table, now: datetime, keep: timedelta | None = None) -> int:
    """Drop what ended longer ago than is kept (rows still come for the rest); how many partitions.

    Minutes are added up to hours and days before; all of that, or nothing of it.
    """
    before = now - max(keep or table.back, table.back) - GRACE
    dropped = 0
    for name, begins_at in await existing(conn, table):
        if table.end(begins_at) > before:
            continue
        async with conn.transaction():
            await conn.execute("select pg_advisory_xact_lock(%s)", (_DROPPING,))
            if not await _exists(conn, name):
                continue
            if table is MINUTES:
                await metrics.thin(conn, name)
            # Who reads the table now is waited for, and everybody else behind us: not for long.
            await conn.execute("set local lock_timeout = '10s'")
            await conn.execute(sql.SQL("drop table {}").format(sql.Identifier(name)))
        dropped += 1
    return dropped
