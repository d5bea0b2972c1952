"""What a sweep of the object store must agree on with publications and uploads, also those of other processes.

`condemned` are blobs that a sweep is about to delete: no commit may count on them, and an upload that asks for one
takes it back. `sweep_serial` rises whenever blobs are condemned, so that whoever saw one before looks again.
`asked_blobs` are those that an operator's upload found in the store: as good as new.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from control_plane.store import publications
from control_plane.store.pool import Connection
from schemas.names import Digest, Revision

_ONE_SWEEP: Final = 0x6E656F_0003
BODIES_AT_ONCE: Final = 100


@asynccontextmanager
async def only_sweep(conn: Connection) -> AsyncIterator[bool]:
    """Whether no other sweep runs now; none begins until the context is left."""
    row = await (await conn.execute("select pg_try_advisory_lock(%s)", (_ONE_SWEEP,))).fetchone()
    held = bool(row and row[0])
    try:
        yield held
    finally:
        if held:
            await conn.execute("select pg_advisory_unlock(%s)", (_ONE_SWEEP,))


async def manifest_bodies(conn: Connection, since: datetime) -> AsyncIterator[bytes]:
    """The manifests of current heads, and those that were in force at some time since then: what a revert leads to."""
    async with conn.transaction(), conn.cursor("live_manifests") as cursor:
        cursor.itersize = BODIES_AT_ONCE
        await cursor.execute(
            "select body from manifests where digest in (select manifest from sites"
            " union select manifest from generations where published_at >= %(since)s"
            " union (select distinct on (site) manifest from generations where published_at < %(since)s"
            " order by site, generation desc))",
            {"since": since},
        )
        async for (body,) in cursor:
            yield body


async def backup_digests(conn: Connection) -> set[Digest]:
    """The newest backup of each club, and the videos that its box left and did not let go."""
    rows = await conn.execute("select digest from backups union select digest from video_blobs")
    return {digest for (digest,) in await rows.fetchall()}


async def asked_since(conn: Connection, since: datetime) -> set[Digest]:
    """Blobs that an upload asked for since then; older questions are forgotten."""
    await conn.execute("delete from asked_blobs where asked_at < %s", (since,))
    return {digest for (digest,) in await (await conn.execute("select digest from asked_blobs")).fetchall()}


async def condemn(conn: Connection, revision: Revision | None, digests: Collection[Digest]) -> bool:
    """Condemn exactly these, what an earlier sweep left among them; False, and nothing done, when `revision` is not
    what is published any more."""
    async with publications.writing_alone(conn) as found:
        if (found and found.revision) != revision:
            return False
        listed = sorted(digests)
        await conn.execute("delete from condemned where not digest = any(%s)", (listed,))
        await conn.execute("insert into condemned (digest) select unnest(%s::text[]) on conflict do nothing", (listed,))
        await conn.execute(
            "insert into sweep_serial (serial) values (1) on conflict (only_row) do update"
            " set serial = sweep_serial.serial + 1"
        )
    return True


@asynccontextmanager
async def executing(conn: Connection, digests: Sequence[Digest], since: datetime) -> AsyncIterator[list[Digest]]:
    """Those of these that are still condemned and that no upload asked for since; delete them within the context.

    Uploads that ask for one of them wait for its end. They are no longer condemned afterwards; where the context is
    left by an error, they still are.
    """
    async with conn.transaction():
        rows = await conn.execute(
            "select digest from condemned where digest = any(%s) order by digest for update", (list(digests),)
        )
        condemned = {digest for (digest,) in await rows.fetchall()}
        asked = await conn.execute(
            "select digest from asked_blobs where digest = any(%s) and asked_at >= %s", (list(digests), since)
        )
        yield sorted(condemned - {digest for (digest,) in await asked.fetchall()})
        await conn.execute("delete from condemned where digest = any(%s)", (list(digests),))


async def ask(conn: Connection, digest: Digest, now: datetime) -> None:
    """An upload counts on this blob: it is as good as new. Waits for a sweep that is deleting it: look again after."""
    async with conn.transaction():
        await conn.execute("delete from condemned where digest = %s", (digest,))
        await conn.execute(
            "insert into asked_blobs (digest, asked_at) values (%s, %s) on conflict (digest) do update"
            " set asked_at = greatest(asked_blobs.asked_at, excluded.asked_at)",
            (digest, now),
        )


async def verdicts(conn: Connection) -> tuple[int, set[Digest]]:
    """The serial of the last condemnation, and what is condemned now, of one moment."""
    rows = await conn.execute(
        "select coalesce((select serial from sweep_serial), 0), coalesce(array_agg(digest), '{}') from condemned"
    )
    row = await rows.fetchone()
    assert row is not None, "an aggregate has one row"
    return row[0], set(row[1])
