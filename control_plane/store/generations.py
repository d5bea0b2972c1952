"""What sites were given before, and for how long that is kept: which manifest, by which commit."""

from datetime import datetime

from control_plane.store import publications
from control_plane.store.pool import Connection


async def prune(conn: Connection, before: datetime) -> int:
    """Forget what was in force until this instant at the latest, and manifests that nobody then names; how many rows.

    What a site had then stays, however old: a generation is known as long as it is in force.
    """
    gone = await conn.execute(
        "delete from generations g where published_at < %(before)s and exists (select from generations n"
        " where n.site = g.site and n.generation > g.generation and n.published_at <= %(before)s)",
        {"before": before},
    )
    return gone.rowcount + await _prune_manifests(conn, before) if gone.rowcount else 0


async def _prune_manifests(conn: Connection, before: datetime) -> int:
    """They are looked for before publishers are kept waiting; one that came into use meanwhile stays."""
    unnamed = await conn.execute(
        "select digest from manifests m where published_at < %s"
        " and not exists (select from generations g where g.manifest = m.digest)",
        (before,),
    )
    digests = [digest for (digest,) in await unnamed.fetchall()]
    async with publications.writing_alone(conn):
        gone = await conn.execute(
            "delete from manifests m where digest = any(%s) and not exists (select from sites s"
            " where s.manifest = m.digest) and not exists (select from generations g where g.manifest = m.digest"
            " and g.published_at >= %s)",
            (digests, before),
        )
    return gone.rowcount
