"""What is to be told to whom. A delivery is claimed before it is sent, so that it is sent again after a crash."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from control_plane.core.alerting import Alert
from control_plane.core.notices import Channel, Notice, What, is_for
from control_plane.store.pool import Connection

CLAIM: Final = timedelta(minutes=5)
GIVE_UP: Final = timedelta(days=1)
MAX_BATCH: Final = 500


class Failing(NamedTuple):
    """A channel whose deliveries fail: how many wait, since when, and the last error."""

    channel: str
    waiting: int
    since: datetime
    error: str


async def deal(conn: Connection, channels: Sequence[Channel], now: datetime) -> int:
    """Give every new notice to the channels that it is for; how many deliveries that made."""
    async with conn.transaction():
        rows = await conn.execute(
            "update notices set dealt = true from alerts a left join sites s on s.site = a.subject"
            " where not dealt and a.id = alert returning notices.id, a.severity, s.facts->>'tenant'"
        )
        wanted = [
            (number, channel.name)
            for number, severity, tenant in await rows.fetchall()
            for channel in channels
            if is_for(channel, severity, tenant)
        ]
        await conn.execute(
            "insert into deliveries (notice, channel, next_at) select n, c, %s"
            " from unnest(%s::bigint[], %s::text[]) as wanted (n, c) on conflict do nothing",
            (now, [number for number, _ in wanted], [name for _, name in wanted]),
        )
    return len(wanted)


async def claim(conn: Connection, channel: Channel, now: datetime) -> list[Notice]:
    """What the channel is to be sent now, claimed for five minutes; nothing within its pause after the last message."""
    rows = await conn.execute(
        "with due as (select notice from deliveries where channel = %(channel)s and sent_at is null"
        "  and next_at <= %(now)s and not exists (select from deliveries d where d.channel = %(channel)s"
        "   and d.sent_at > %(now)s::timestamptz - %(pause)s) order by notice limit %(limit)s for update skip locked)"
        " update deliveries set next_at = %(now)s::timestamptz + %(claim)s, attempts = attempts + 1"
        " from due, notices n join alerts a on a.id = n.alert left join sites s on s.site = a.subject"
        " where deliveries.notice = due.notice and channel = %(channel)s and n.id = due.notice"
        " returning n.id, n.what, a.body::text, s.facts->>'tenant', s.site",
        {
            "channel": channel.name,
            "now": now,
            "pause": timedelta(seconds=channel.pause_s),
            "claim": CLAIM,
            "limit": MAX_BATCH,
        },
    )
    return [_notice(*row) for row in await rows.fetchall()]


def _notice(number: int, what: What, body: str, tenant: str | None, site: str | None) -> Notice:
    alert = msgspec.json.decode(body, type=Alert)
    link = f"/sites/{site}" if site else "/alerts"
    return Notice(id=number, what=what, firing=alert.firing, tenant=tenant, link=link)


async def sent(conn: Connection, channel: str, notices: Sequence[Notice], now: datetime) -> None:
    """They were delivered."""
    await conn.execute(
        "update deliveries set sent_at = %s, error = '' where channel = %s and notice = any(%s)",
        (now, channel, [notice.id for notice in notices]),
    )


async def failed(conn: Connection, channel: str, notices: Sequence[Notice], error: str, now: datetime) -> None:
    """They were not, and are tried again: after a minute, two, four … an hour at most."""
    await conn.execute(
        "update deliveries set error = %s,"
        " next_at = %s::timestamptz + least(interval '1 minute' * 2 ^ least(attempts - 1, 10), interval '1 hour')"
        " where channel = %s and notice = any(%s)",
        (error[:500], now, channel, [notice.id for notice in notices]),
    )


async def give_up(conn: Connection, now: datetime) -> int:
    """Forget what could not be told for a day: nobody wants yesterday's news all at once. How many."""
    rows = await conn.execute(
        "delete from deliveries d using notices n where n.id = d.notice and d.sent_at is null and n.made_at < %s",
        (now - GIVE_UP,),
    )
    return rows.rowcount


async def failing(conn: Connection) -> list[Failing]:
    """The channels that something waits for after it failed."""
    rows = await conn.execute(
        "select channel, count(*), min(made_at), (array_agg(error order by attempts desc))[1] from deliveries d"
        " join notices n on n.id = d.notice where d.sent_at is null and d.error <> '' group by 1 order by 1"
    )
    return [Failing(*row) for row in await rows.fetchall()]
