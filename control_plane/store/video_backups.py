"""Which encrypted videos each site's box left, and the newest index of them."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from control_plane.store.pool import Connection
from schemas.api import KeptBlob
from schemas.names import Digest, SiteId

MAX_BLOBS: Final = 10_000
"""That are listed: ten times of what an index may name."""


async def has_blob(conn: Connection, site: SiteId, digest: Digest) -> bool:
    """Whether the site's box left this one, whole."""
    found = await conn.execute("select 1 from video_blobs where site = %s and digest = %s", (site, digest))
    return await found.fetchone() is not None


async def blobs_of(conn: Connection, site: SiteId) -> list[KeptBlob]:
    """All that the site's box left and did not let go."""
    rows = await conn.execute(
        "select digest, size_bytes from video_blobs where site = %s order by digest limit %s", (site, MAX_BLOBS)
    )
    return [KeptBlob(digest=digest, size_bytes=size_bytes) for digest, size_bytes in await rows.fetchall()]


async def kept_bytes(conn: Connection, site: SiteId) -> int:
    """How much is kept of the site."""
    row = await (
        await conn.execute("select coalesce(sum(size_bytes), 0)::bigint from video_blobs where site = %s", (site,))
    ).fetchone()
    return int(row[0]) if row else 0


async def keep_blob(conn: Connection, site: SiteId, digest: Digest, size_bytes: int, now: datetime) -> None:
    """Note that it was left."""
    await conn.execute(
        "insert into video_blobs (site, digest, size_bytes, received_at) values (%s, %s, %s, %s)"
        " on conflict do nothing",
        (site, digest, size_bytes, now),
    )


async def keep_index(
    conn: Connection, site: SiteId, index: bytes, blobs: Collection[Digest], now: datetime
) -> list[Digest]:
    """Keep this index and the blobs that it names, and let go of the site's others; those that the site never left.

    When there are any, nothing is changed.
    """
    async with conn.transaction():
        rows = await conn.execute("select digest from video_blobs where site = %s for update", (site,))
        unknown = sorted(set(blobs) - {digest for (digest,) in await rows.fetchall()})
        if not unknown:
            await conn.execute(
                "insert into video_backups (site, received_at, index) values (%s, %s, %s)"
                " on conflict (site) do update set received_at = excluded.received_at, index = excluded.index",
                (site, now, index),
            )
            await conn.execute("delete from video_blobs where site = %s and not digest = any(%s)", (site, list(blobs)))
    return unknown


async def index_of(conn: Connection, site: SiteId) -> tuple[bytes, datetime] | None:
    """The newest index, and when it came."""
    row = await (await conn.execute("select index, received_at from video_backups where site = %s", (site,))).fetchone()
    return (bytes(row[0]), row[1]) if row else None
