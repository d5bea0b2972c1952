"""Failed attempts to come in, counted in the database: several control planes have one count."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from control_plane.core.people import ATTEMPTS_WITHIN, Bucket, buckets, is_full, neighbourhood
from control_plane.store.pool import Connection

KNOWN_FOR: Final = timedelta(days=30)
_LOCK: Final = 0x6E656F_0004


async def is_known(conn: Connection, name: str, address: str, now: datetime) -> bool:
    """Whether the account of this name came in from this address lately."""
    rows = await conn.execute(
        "select distinct a.address from audit a join users u on u.id = a.account"
        " where u.name = %s and a.act = 'login' and a.at > %s",
        (name, now - KNOWN_FOR),
    )
    return neighbourhood(address) in {neighbourhood(known) for (known,) in await rows.fetchall()}


async def begin(conn: Connection, against: Sequence[Bucket], now: datetime) -> bool:
    """Count an attempt before it is looked at, as if it failed; False, and not counted, where there were too many.

    One at a time for a bucket, so that many at once are not all let through.
    """
    keys = [bucket.key for bucket in against]
    async with conn.transaction():
        for key in sorted(keys):
            await conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, %s))", (key, _LOCK))
        rows = await conn.execute(
            "select k, (select count(*) from attempts where bucket = k and at > %s) from unnest(%s::text[]) k",
            (now - ATTEMPTS_WITHIN, keys),
        )
        counts: dict[str, int] = dict(await rows.fetchall())
        if is_full((bucket, counts[bucket.key]) for bucket in against):
            return False
        await conn.execute("insert into attempts select k, %s from unnest(%s::text[]) k", (now, keys))
    return True


async def forgive(conn: Connection, name: str, address: str, began: Sequence[datetime]) -> None:
    """The attempts that began then were right: the name's buckets are empty again, the address' loses just these."""
    names = {buckets(name, address, known=known)[0].key for known in (True, False)}
    _, near = buckets(name, address, known=True)
    await conn.execute("delete from attempts where bucket = any(%s)", (list(names),))
    await conn.execute(
        "delete from attempts where ctid = any(array(select min(ctid) from attempts"
        " where bucket = %s and at = any(%s) group by at))",
        (near.key, list(began)),
    )


async def forget(conn: Connection, bucket: Bucket) -> None:
    """A bucket is empty again."""
    await conn.execute("delete from attempts where bucket = %s", (bucket.key,))


async def prune_attempts(conn: Connection, now: datetime) -> int:
    """Forget what counts no more; how many."""
    return (await conn.execute("delete from attempts where at <= %s", (now - ATTEMPTS_WITHIN,))).rowcount
