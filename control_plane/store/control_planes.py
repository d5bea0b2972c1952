"""The control planes that work on this database: each says now and then that it is there."""

from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from control_plane.store.pool import Connection

REMEMBERED: Final = timedelta(days=7)


class ControlPlane(Struct, frozen=True, kw_only=True):
    """A process of ours. `seen_at`: when it last said that it is there; one that was stopped in order is not known."""

    id: str
    host: str
    version: str
    started_at: datetime
    seen_at: datetime


async def say(conn: Connection, plane: ControlPlane) -> None:
    """Say that this one is there; those that have not for a week are forgotten."""
    await conn.execute(
        "insert into control_planes (id, host, version, started_at, seen_at) values (%s, %s, %s, %s, %s)"
        " on conflict (id) do update set seen_at = excluded.seen_at",
        (plane.id, plane.host, plane.version, plane.started_at, plane.seen_at),
    )
    await conn.execute("delete from control_planes where seen_at < %s", (plane.seen_at - REMEMBERED,))


async def leave(conn: Connection, plane: ControlPlane) -> None:
    """Say that this one is no longer there."""
    await conn.execute("delete from control_planes where id = %s", (plane.id,))


async def known(conn: Connection) -> list[ControlPlane]:
    """Those of the last week, the one that was seen last first."""
    rows = await conn.execute(
        "select id, host, version, started_at, seen_at from control_planes order by seen_at desc, id"
    )
    return [
        ControlPlane(id=name, host=host, version=version, started_at=started_at, seen_at=seen_at)
        for name, host, version, started_at, seen_at in await rows.fetchall()
    ]
