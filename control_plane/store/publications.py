"""What is published: commits, manifests, heads, trust documents. One writer at a time, readers never wait.

Every row of `sites` carries the serial of the publication that last wrote it, so that a reader that holds the heads in
memory asks for the rows above its own serial. `NOTIFY neopro_published, '<serial>'` says that there are some.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from control_plane.core.number import Mark
from control_plane.errors import Superseded
from control_plane.store import library, revocations
from control_plane.store.copying import copy_into
from control_plane.store.news import News, SignedHead, put_news
from control_plane.store.pool import Connection
from schemas.api import ChangeImpact, CommitSignature
from schemas.desired import SiteState
from schemas.names import Digest, PublicKeyLine, Revision, SiteId

CHANNEL: Final = "neopro_published"
_LOCK: Final = 0x6E656F_0002


class Published(NamedTuple):
    """The publication that is being served."""

    revision: Revision
    serial: int
    published_at: datetime


class CommitLook(Struct, frozen=True, kw_only=True):
    """A commit that was looked at, every Problem found in it, rendered, what the plan of it counted, who signed it."""

    revision: Revision
    author: str
    subject: str
    committed_at: datetime
    problems: list[str] = []
    impact: ChangeImpact | None = None
    signature: CommitSignature | None = None


class TrustRow(NamedTuple):
    """A signed document that boxes fetch by its version."""

    kind: Literal["root", "release-list"]
    version: int
    envelope: bytes


class HeadRow(NamedTuple):
    """A head as the server answers with it; `identity` is None when nobody may speak for the site, or it is revoked."""

    site: SiteId
    etag: str
    envelope: bytes
    identity: PublicKeyLine | None
    state: SiteState
    gone: bool
    generation: int
    manifest: Digest


class Word(NamedTuple):
    """What a head says of its site, all but dates and trust: what stays the same when it is signed anew."""

    site: SiteId
    generation: int
    manifest: Digest
    state: SiteState
    revision: Revision


async def current(conn: Connection) -> Published | None:
    """What is being served; None before the first publication."""
    row = await (await conn.execute("select revision, serial, published_at from publication")).fetchone()
    return Published(*row) if row else None


async def marks(conn: Connection) -> dict[SiteId, Mark]:
    """What is published for every site, to number the next commit against."""
    rows = await conn.execute(
        "select site, generation, manifest, state, gone, identity, name, release, agent, facts::text from sites"
    )
    return {
        site: Mark(
            generation=generation,
            manifest=manifest,
            state=state,
            gone=gone,
            identity=identity,
            name=name,
            release=release,
            agent=agent,
            facts=msgspec.json.encode(msgspec.json.decode(facts), order="deterministic"),
        )
        async for site, generation, manifest, state, gone, identity, name, release, agent, facts in rows
    }


async def all_heads(conn: Connection) -> list[HeadRow]:
    """Every head."""
    return await heads_changed_since(conn, 0)


async def heads_changed_since(conn: Connection, serial: int) -> list[HeadRow]:
    """The heads whose row was written by a publication above `serial` (read `current` first, in the same order)."""
    rows = await conn.execute(
        "select s.site, s.envelope, case when r.identity is null then s.identity end, s.state, s.gone, s.generation,"
        " s.manifest from sites s left join revoked_identities r on r.identity = s.identity where s.serial > %s",
        (serial,),
        binary=True,
    )
    return [
        HeadRow(site, etag(generation, envelope), envelope, identity, state, gone, generation, manifest)
        for site, envelope, identity, state, gone, generation, manifest in await rows.fetchall()
    ]


def etag(generation: int, envelope: bytes) -> str:
    """The strong entity tag of a head (RFC 9110, 8.8.3): a renewed head has another."""
    return f'"{generation}-{hashlib.sha256(envelope).hexdigest()[:16]}"'


async def manifest_body(conn: Connection, digest: Digest) -> bytes | None:
    """The exact bytes of a manifest."""
    row = await (await conn.execute("select body from manifests where digest = %s", (digest,))).fetchone()
    return row[0] if row else None


async def trust_document(conn: Connection, kind: Literal["root", "release-list"], version: int) -> bytes | None:
    """The envelope of that version; None when there is none yet."""
    rows = await conn.execute("select envelope from trust_documents where kind = %s and version = %s", (kind, version))
    row = await rows.fetchone()
    return row[0] if row else None


async def newest_trust(conn: Connection) -> tuple[bytes, bytes] | None:
    """The envelopes of the newest root and of the newest release list; None before the first publication."""
    rows = await conn.execute(
        "select distinct on (kind) kind, envelope from trust_documents order by kind, version desc"
    )
    found: dict[str, bytes] = dict(await rows.fetchall())
    return (found["root"], found["release-list"]) if len(found) == 2 else None


async def publish(
    conn: Connection,
    base: Published | None,
    commit: CommitLook,
    news: News,
    *,
    now: datetime,
    trust: Sequence[TrustRow],
    revoked: Sequence[PublicKeyLine],
    documents: Mapping[library.Name, library.Entry] | None = None,
    seen: int | None = None,
) -> Published:
    """Serve `commit` from now on, in one transaction; Superseded if the publication is not `base` any more.

    `seen`: the `condemnations` as of which its blobs were seen in the object store; Superseded if there are more.

    `documents`: all but the sites (None: as they were). Can be run again from any point: before the commit nothing of
    it is to be seen.
    """
    async with _writing(conn, base) as serial:
        if seen is not None and await condemnations(conn) != seen:
            raise Superseded("cannot publish: a sweep of the object store came between; looking again")
        await _record(conn, commit, "published", now, sites=len(news.heads))
        await put_news(conn, commit.revision, news, serial, now)
        await _put_trust(conn, trust)
        await revocations.replace(conn, revoked, serial)
        if documents is not None:
            await library.replace(conn, documents, now)
        await conn.execute(
            "insert into publication (revision, serial, published_at) values (%s, %s, %s) on conflict (only_row)"
            " do update set revision = excluded.revision, serial = excluded.serial,"
            " published_at = excluded.published_at",
            (commit.revision, serial, now),
        )
        await _notify(conn, serial)
    return Published(commit.revision, serial, now)


async def publish_again(conn: Connection, base: Published, news: News, *, now: datetime) -> Published:
    """Serve the commit that is published in another way: what rollouts came to. Superseded.

    What only is known better of some of their sites makes no new publication.
    """
    async with _writing(conn, base) as serial:
        await put_news(conn, base.revision, news, serial, now)
        if not (news.heads or news.rows or any(change.moved for change in news.rolled)):
            return base
        await conn.execute("update publication set serial = %s", (serial,))
        await _notify(conn, serial)
    return base._replace(serial=serial)


async def refuse(
    conn: Connection,
    base: Published | None,
    commit: CommitLook,
    revoked: Sequence[PublicKeyLine],
    *,
    now: datetime,
    verdict: Literal["refused", "held"] = "refused",
) -> Published | None:
    """Record a refused or held commit; what it revokes takes effect, what it no longer revokes stays revoked.

    Superseded.
    """
    async with _writing(conn, base) as serial:
        await _record(conn, commit, verdict, now, sites=0)
        if not await revocations.add(conn, revoked, serial) or base is None:
            return base
        await conn.execute("update publication set serial = %s", (serial,))
        await _notify(conn, serial)
    return base._replace(serial=serial)


async def outdated_heads(
    conn: Connection, root_version: int, release_list: Digest, issued_before: datetime, limit: int
) -> list[Word]:
    """Up to `limit` sites whose head is older than `issued_before`, or names another root or release list."""
    rows = await conn.execute(
        "select site, generation, manifest, state, revision from sites"
        " where issued_at < %s or root_version <> %s or release_list <> %s order by issued_at limit %s",
        (issued_before, root_version, release_list, limit),
    )
    return [Word(*row) for row in await rows.fetchall()]


async def replace_heads(conn: Connection, base: Published, heads: Mapping[SiteId, SignedHead]) -> Published:
    """Serve these renewed heads; their generations, manifests and commits are unchanged. Superseded."""
    async with _writing(conn, base) as serial:
        await conn.execute(
            "create temporary table fresh (site text, envelope bytea, issued_at timestamptz, expires_at timestamptz,"
            " root_version integer, release_list text) on commit drop"
        )
        await copy_into(
            conn,
            "copy fresh from stdin (format binary)",
            ["text", "bytea", "timestamptz", "timestamptz", "int4", "text"],
            ((s, h.envelope, h.issued_at, h.expires_at, h.root_version, h.release_list) for s, h in heads.items()),
        )
        await conn.execute(
            "update sites set envelope = f.envelope, issued_at = f.issued_at, expires_at = f.expires_at,"
            " root_version = f.root_version, release_list = f.release_list, serial = %s"
            " from fresh f where sites.site = f.site",
            (serial,),
        )
        await conn.execute("update publication set serial = %s", (serial,))
        await _notify(conn, serial)
    return base._replace(serial=serial)


@asynccontextmanager
async def writing_alone(conn: Connection) -> AsyncIterator[Published | None]:
    """A transaction beside which nothing is published; what is published now."""
    async with conn.transaction():
        await conn.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        yield await current(conn)


@asynccontextmanager
async def _writing(conn: Connection, base: Published | None) -> AsyncIterator[int]:
    """A transaction of the only writer, and the next serial; Superseded if another one wrote since `base`."""
    async with writing_alone(conn) as found:
        if (found and found.serial) != (base and base.serial):
            raise Superseded("cannot publish: another control plane published first; looking again")
        yield (found.serial if found else 0) + 1


async def condemnations(conn: Connection) -> int:
    """How often blobs were condemned by a sweep of the object store (`store.sweeps`)."""
    row = await (await conn.execute("select serial from sweep_serial")).fetchone()
    return row[0] if row else 0


async def _notify(conn: Connection, serial: int) -> None:
    await conn.execute("select pg_notify(%s, %s)", (CHANNEL, str(serial)))


async def _record(
    conn: Connection, commit: CommitLook, verdict: Literal["published", "refused", "held"], now: datetime, *, sites: int
) -> None:
    # A commit that is published again (a revert of the pointer cannot happen, a rebuild can) keeps its first date.
    await conn.execute(
        "insert into commits (revision, author, subject, committed_at, seen_at, verdict, problems, published_at, sites,"
        " impact, signature) values (%s, %s, %s, %s, %s, %s, %s::jsonb, %s, %s, %s::jsonb, %s::jsonb)"
        " on conflict (revision) do update set"
        " verdict = excluded.verdict, problems = excluded.problems, impact = excluded.impact,"
        " signature = excluded.signature,"
        " published_at = coalesce(commits.published_at, excluded.published_at),"
        " sites = greatest(commits.sites, excluded.sites)",
        (
            commit.revision,
            commit.author,
            commit.subject,
            commit.committed_at,
            now,
            verdict,
            msgspec.json.encode(commit.problems).decode(),
            now if verdict == "published" else None,
            sites,
            msgspec.json.encode(commit.impact).decode() if commit.impact else None,
            msgspec.json.encode(commit.signature).decode() if commit.signature else None,
        ),
    )


async def _put_trust(conn: Connection, documents: Sequence[TrustRow]) -> None:
    for document in documents:
        await conn.execute(
            "insert into trust_documents (kind, version, envelope) values (%s, %s, %s) on conflict (kind, version)"
            " do update set envelope = excluded.envelope where trust_documents.envelope <> excluded.envelope",
            document,
        )
