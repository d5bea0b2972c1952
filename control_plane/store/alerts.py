"""Alerts, open and past. One control plane at a time advances them; the others find it done."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, LiteralString, NamedTuple

import msgspec

from control_plane.core.alerting import Alert, Key, News, Step, advance
from control_plane.core.alerts import Firing
from control_plane.store.pool import Connection
from schemas.names import DocumentId

CHANNEL: Final = "neopro_alerts"
_LOCK: Final = 0x6E656F_0004


class AlertRow(NamedTuple):
    """An alert with its number and, once it cleared, when."""

    id: int
    alert: Alert
    cleared_at: datetime | None

    @property
    def number(self) -> int:
        """By which people know it: made of the alert itself, so that nobody counts those of others by it."""
        kind, subject = self.alert.firing.key
        name = f"{kind} {subject} {self.alert.fired_at.timestamp()}"
        return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6], "big")


async def take(conn: Connection, firing: Iterable[Firing], now: datetime) -> Step:
    """Advance the open alerts by what is so at `now`, in one transaction; what is to be told is queued as notices."""
    async with conn.transaction():
        await conn.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        before = await open_alerts(conn)
        ids = {row.alert.firing.key: row.id for row in before}
        known = {row.alert.firing.key: row.alert for row in before}
        step = advance(known, firing, now)
        changed = {key: alert for key, alert in step.open.items() if known.get(key) != alert}
        ids |= await _put(conn, changed, ids)
        await _clear(conn, [(ids[alert.firing.key], alert) for alert in step.cleared], now)
        await _queue(conn, [(ids[one.alert.firing.key], one) for one in step.news], now)
        if changed or step.cleared:
            await conn.execute("select pg_notify(%s, '')", (CHANNEL,))
    return step


async def open_alerts(conn: Connection) -> list[AlertRow]:
    """What is so now, the gravest and then the newest first."""
    return await _rows(
        conn,
        "select id, body::text, cleared_at from alerts where cleared_at is null"
        " order by array_position(array['critical', 'warning', 'info'], severity), fired_at desc, id desc",
        (),
    )


async def past_alerts(
    conn: Connection, since: datetime, limit: int = 200, *, subjects: Collection[str] | None = None
) -> list[AlertRow]:
    """What cleared since then, the newest first; of these subjects alone, if any are named."""
    return await _rows(
        conn,
        "select id, body::text, cleared_at from alerts where cleared_at >= %(since)s"
        " and (%(subjects)s::text[] is null or subject = any(%(subjects)s)) order by cleared_at desc limit %(limit)s",
        {"since": since, "limit": limit, "subjects": None if subjects is None else list(subjects)},
    )


_NEWS: Final[LiteralString] = (
    "with news as ((select * from alerts where fired_at >= %(since)s order by fired_at desc limit %(limit)s)"
    " union (select * from alerts where cleared_at >= %(since)s order by cleared_at desc limit %(limit)s))"
)
_OWN_NEWS: Final[LiteralString] = (
    "with news as (select a.* from alerts a join sites s on s.site = a.subject"
    " where s.facts->>'tenant' = %(tenant)s and a.kind <> all (%(but)s)"
    " and (a.fired_at >= %(since)s or a.cleared_at >= %(since)s))"
)


_NEWEST: Final[LiteralString] = (
    " select id, body::text, cleared_at from news order by coalesce(cleared_at, fired_at) desc, id desc limit %(limit)s"
)


async def recent_alerts(
    conn: Connection, since: datetime, limit: int, *, tenant: DocumentId | None = None, but: Iterable[str] = ()
) -> list[AlertRow]:
    """What fired or cleared since then, the newest first; of a `tenant`'s sites alone, and then no kind of `but`."""
    return await _rows(
        conn,
        (_NEWS if tenant is None else _OWN_NEWS) + _NEWEST,
        {"since": since, "limit": limit, "tenant": tenant, "but": list(but)},
    )


async def alerts_about(conn: Connection, subject: str, limit: int = 50) -> list[AlertRow]:
    """The alerts of a site, open ones first."""
    return await _rows(
        conn,
        "select id, body::text, cleared_at from alerts where subject = %s"
        " order by cleared_at desc nulls first, id desc limit %s",
        (subject, limit),
    )


async def prune_alerts(conn: Connection, before: datetime) -> int:
    """Forget alerts that cleared before then, and their notices; how many."""
    return (await conn.execute("delete from alerts where cleared_at < %s", (before,))).rowcount


async def _rows(
    conn: Connection, query: LiteralString, parameters: Sequence[object] | Mapping[str, object]
) -> list[AlertRow]:
    rows = await conn.execute(query, parameters)
    decoder = msgspec.json.Decoder(Alert)
    return [AlertRow(number, decoder.decode(body), at) for number, body, at in await rows.fetchall()]


async def _put(conn: Connection, changed: dict[Key, Alert], ids: dict[Key, int]) -> dict[Key, int]:
    """Write these alerts; the numbers of the new ones."""
    new: dict[Key, int] = {}
    for key, alert in changed.items():
        body, firing = msgspec.json.encode(alert).decode(), alert.firing
        if key in ids:
            await conn.execute(
                "update alerts set severity = %s, silenced = %s, body = %s::jsonb where id = %s",
                (firing.severity, firing.silenced, body, ids[key]),
            )
            continue
        row = await conn.execute(
            "insert into alerts (kind, subject, severity, silenced, fired_at, body)"
            " values (%s, %s, %s, %s, %s, %s::jsonb) returning id",
            (*key, firing.severity, firing.silenced, alert.fired_at, body),
        )
        found = await row.fetchone()
        assert found is not None
        new[key] = found[0]
    return new


async def _clear(conn: Connection, cleared: Sequence[tuple[int, Alert]], now: datetime) -> None:
    await conn.execute("update alerts set cleared_at = %s where id = any(%s)", (now, [number for number, _ in cleared]))


async def _queue(conn: Connection, news: Sequence[tuple[int, News]], now: datetime) -> None:
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "insert into notices (alert, what, made_at) values (%s, %s, %s)",
            [(number, one.what, now) for number, one in news],
        )
