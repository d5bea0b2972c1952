"""A sweep deletes blobs that nothing alive names: `neopro gc`.

Alive is what is named, also through listings and deltas, by the manifests of current heads, by manifests that were in
force within the grace (a revert leads back to them), by the documents of the published commit, by the newest release
list, and by the backups of clubs. A blob that came, or that an upload asked for, within the grace is left alone, too.

Why nothing is ever published without its blobs, whatever runs beside a sweep, also in another process, and wherever it
is killed:

1. What is alive is gathered and the store is listed without any lock. Then, in one transaction under the publishers'
   lock, the rest is condemned, only if what is published still is what was looked at; and the serial of condemnations
   rises. So a publication comes before (its blobs are alive) or after.
2. A publisher reads serial and condemned first and looks into the store after; condemned is missing. Its transaction
   demands the same serial, else it looks again. So it has either seen the condemnation or has not missed one, and what
   it has seen in the store stays there. At worst a commit is refused as BlobMissing, and taken when the blobs are back.
3. Blobs are deleted a few at a time, in a transaction that locks their rows. An upload that finds a blob in the store
   takes its row away and notes that it asked, waiting for that lock; then it looks again. So it is told that a blob is
   there only if it stays.
4. Killed between condemnation and deletion, a sweep leaves rows: those blobs count as missing, uploads take them back,
   the next sweep judges them anew. Killed while it deletes, the rows stay for blobs that are gone already.

What is gathered is held in memory, 65 bytes a digest; the store is listed a part at a time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from control_plane.core.live import (
    Named,
    named_by_documents,
    named_by_list,
    named_by_manifest,
)
from control_plane.core.reading import EMPTY, read_tree
from control_plane.errors import BlobMissing, Superseded
from control_plane.git_source import GitSource
from control_plane.listings import files_of, packs_of
from control_plane.objects import SHARDS, ObjectStore, Stored
from control_plane.store import publications, sweeps
from control_plane.store.pool import Connection, Pool, connection
from schemas.api import SweepReport, SweptBlob
from schemas.names import Digest, Revision
from schemas.trust import read_release_list, read_root

MAX_SWEPT: Final = 5000
"""Blobs that one sweep deletes; the report says when there are more."""
AT_ONCE: Final = 100
LISTED_AT_ONCE: Final = 8
TOLD: Final = 200
"""Blobs that a report names."""
_TRIES: Final = 3


class _Found(Struct, frozen=True):
    """What a look at the store came to."""

    condemned: list[Stored]
    blobs: int
    alive: int
    fresh: int
    more: bool


class Sweeper:
    """Sweeps one store for one database; one sweep runs at a time, in whatever process."""

    def __init__(self, pool: Pool, git: GitSource, objects: ObjectStore, clock: Callable[[], datetime]) -> None:
        self._pool, self._git, self._objects, self._clock = pool, git, objects, clock

    async def sweep(self, grace: timedelta, *, dry_run: bool) -> SweepReport:
        """Delete what nothing alive names and is older than `grace`, or only say what that would be.

        Superseded while another one runs, or when commits come faster than it can look.
        """
        since = self._clock() - grace
        async with connection(self._pool) as conn, sweeps.only_sweep(conn) as alone:
            if not alone:
                raise Superseded("cannot sweep: another sweep is under way; try again when it has ended")
            for _ in range(_TRIES):
                published = await publications.current(conn)
                revision = published.revision if published else None
                found = await self._look(conn, revision, since)
                digests = [stored.digest for stored in found.condemned]
                if dry_run or await sweeps.condemn(conn, revision, digests):
                    swept = [] if dry_run else await self._delete(conn, digests, since)
                    return _report(found, set(swept), dry_run)
        raise Superseded("cannot sweep: commits were published while it looked; try again in a quieter moment")

    async def _look(self, conn: Connection, revision: Revision | None, since: datetime) -> _Found:
        alive = await self._alive(conn, revision, since)
        asked = {_raw(digest) for digest in await sweeps.asked_since(conn, since)}
        condemned: list[Stored] = []
        blobs = kept = fresh = 0
        more = False
        async for stored in self._listed():
            blobs += 1
            if _raw(stored.digest) in alive:
                kept += 1
            elif stored.modified_at >= since or _raw(stored.digest) in asked:
                fresh += 1
            elif len(condemned) < MAX_SWEPT:
                condemned.append(stored)
            else:
                more = True
        return _Found(condemned, blobs, kept, fresh, more)

    async def _listed(self) -> AsyncIterator[Stored]:
        for start in range(0, SHARDS, LISTED_AT_ONCE):
            shards = range(start, min(start + LISTED_AT_ONCE, SHARDS))
            for found in await asyncio.gather(*(self._objects.stored(shard) for shard in shards)):
                for stored in found:
                    yield stored

    async def _alive(self, conn: Connection, revision: Revision | None, since: datetime) -> set[bytes]:
        named = Named(blobs=await sweeps.backup_digests(conn))
        async for body in sweeps.manifest_bodies(conn, since):
            more = named_by_manifest(body)
            if not (more.blobs <= named.blobs and more.trees <= named.trees and more.deltas <= named.deltas):
                named |= more
        named |= await self._of_commit(revision)
        envelopes = await publications.newest_trust(conn)
        if envelopes is not None:
            named |= named_by_list(read_release_list(envelopes[1], read_root(envelopes[0], None)))
        alive = {_raw(digest) for digest in (*named.blobs, *named.trees, *named.deltas)}
        async for digests in self._led_to(named):
            alive |= {_raw(digest) for digest in digests}
        return alive

    async def _of_commit(self, revision: Revision | None) -> Named:
        """What the documents of the published commit name."""
        if revision is None:
            return Named()
        tree = await self._git.tree(revision)
        reading, _ = read_tree(tree.entries, tree.blobs, EMPTY)
        return named_by_documents(file.document for file in reading.files.values())

    async def _led_to(self, named: Named) -> AsyncIterator[Iterable[Digest]]:
        """What listings and deltas name. One that is missing can lead to nothing: adding the release again asks for
        each of its files."""
        for blobs, read in ((named.trees, files_of), (named.deltas, packs_of)):
            for blob in sorted(blobs):
                with suppress(BlobMissing):
                    yield await read(self._objects, blob) or ()

    async def _delete(self, conn: Connection, digests: list[Digest], since: datetime) -> list[Digest]:
        swept: list[Digest] = []
        for start in range(0, len(digests), AT_ONCE):
            async with sweeps.executing(conn, digests[start : start + AT_ONCE], since) as doomed:
                await self._objects.delete(doomed)
            swept += doomed
        return swept


def _report(found: _Found, swept: set[Digest], dry_run: bool) -> SweepReport:
    told = [stored for stored in found.condemned if dry_run or stored.digest in swept]
    return SweepReport(
        dry_run=dry_run,
        blobs=found.blobs,
        alive=found.alive,
        fresh=found.fresh,
        swept=len(told),
        swept_bytes=sum(stored.size_bytes for stored in told),
        more=found.more,
        examples=[
            SweptBlob(digest=stored.digest, size_bytes=stored.size_bytes, modified_at=stored.modified_at)
            for stored in told[:TOLD]
        ],
    )


def _raw(digest: Digest) -> bytes:
    return bytes.fromhex(digest.removeprefix("sha256:"))
