"""What is to be said to sites otherwise than before, and how it is written down: manifests, heads, rows, rollouts."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct
from psycopg.types.json import Jsonb

from control_plane.core.number import Mark
from control_plane.store import rollouts
from control_plane.store.copying import copy_into
from control_plane.store.pool import Connection
from schemas.names import Digest, Revision, SiteId


class SignedHead(Struct, frozen=True, kw_only=True, gc=False):
    """A head as it is sent, and what of it the server must find again."""

    envelope: bytes
    issued_at: datetime
    expires_at: datetime
    root_version: int
    release_list: Digest


class News(NamedTuple):
    """What is to be served otherwise: `heads` of sites with a new generation, `rows` of those with new facts only.

    `bodies`: at least the manifests that the heads name and that are new. `rolled`: the rollouts that moved.
    """

    heads: Mapping[SiteId, tuple[Mark, SignedHead]]
    rows: Mapping[SiteId, Mark] = {}
    bodies: Mapping[Digest, bytes] = {}
    rolled: Sequence[rollouts.Change] = ()


async def put_news(conn: Connection, revision: Revision, news: News, serial: int, now: datetime) -> None:
    """Write them down, in the caller's transaction."""
    await _put_manifests(conn, news.bodies, now)
    await _put_heads(conn, revision, news.heads, serial, now)
    await _put_rows(conn, news.rows, serial)
    await rollouts.write(conn, news.rolled)


async def _put_manifests(conn: Connection, bodies: Mapping[Digest, bytes], now: datetime) -> None:
    known = await conn.execute("select digest from manifests where digest = any(%s)", (list(bodies),))
    new = bodies.keys() - {digest for (digest,) in await known.fetchall()}
    await copy_into(
        conn,
        "copy manifests (digest, body, published_at) from stdin (format binary)",
        ["text", "bytea", "timestamptz"],
        ((digest, bodies[digest], now) for digest in sorted(new)),
    )


async def _put_heads(
    conn: Connection,
    revision: Revision,
    heads: Mapping[SiteId, tuple[Mark, SignedHead]],
    serial: int,
    now: datetime,
) -> None:
    """Replace the rows of these sites: without the old ones nothing conflicts, and COPY can go into the table."""
    await conn.execute("delete from sites where site = any(%s)", (list(heads),))
    await copy_into(
        conn,
        "copy sites (site, generation, manifest, state, revision, envelope, issued_at, expires_at, identity, name,"
        " release, agent, facts, gone, root_version, release_list, serial) from stdin (format binary)",
        [
            *("text", "int8", "text", "text", "text", "bytea", "timestamptz", "timestamptz", "text", "text"),
            *("text", "text", "jsonb", "bool", "int4", "text", "int8"),
        ],
        (
            (
                *(site, mark.generation, mark.manifest, mark.state, revision),
                *(head.envelope, head.issued_at, head.expires_at, mark.identity, mark.name),
                *(mark.release, mark.agent, Jsonb(mark.facts, bytes), mark.gone),
                *(head.root_version, head.release_list, serial),
            )
            for site, (mark, head) in heads.items()
        ),
    )
    await copy_into(
        conn,
        "copy generations (site, generation, revision, manifest, published_at) from stdin (format binary)",
        ["text", "int8", "text", "text", "timestamptz"],
        ((site, mark.generation, revision, mark.manifest, now) for site, (mark, _) in heads.items()),
    )


async def _put_rows(conn: Connection, rows: Mapping[SiteId, Mark], serial: int) -> None:
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "update sites set identity = %s, name = %s, release = %s, agent = %s, facts = %s, serial = %s"
            " where site = %s",
            [(m.identity, m.name, m.release, m.agent, Jsonb(m.facts, bytes), serial, site) for site, m in rows.items()],
        )
