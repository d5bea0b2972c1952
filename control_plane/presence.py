"""Whether the object store holds what a commit names, to the last file: nothing is published that a box would miss.

A sweep may delete what a commit is about to count on. So the condemned are read first and the store after them: a blob
that is condemned counts as missing, one that was deleted is missing. And `seen` goes into the publishing transaction,
which is superseded when anything was condemned since (see `control_plane.sweep`).
"""

import asyncio
from collections.abc import Set

from control_plane.core.absent import absent_problems
from control_plane.core.compile import CompiledFleet
from control_plane.git_objects import Tree
from control_plane.listings import files_of, packs_of
from control_plane.objects import ObjectStore
from control_plane.store import sweeps
from control_plane.store.pool import Pool, connection
from schemas.names import Digest


class Presence:
    """Asks the store once for each blob, until something is condemned; `seen`: the condemnations that this is as of."""

    def __init__(self, pool: Pool, objects: ObjectStore) -> None:
        self._pool, self._objects = pool, objects
        self.seen = 0
        self._condemned: set[Digest] = set()
        self._present: set[Digest] = set()
        self._complete: set[Digest] = set()

    async def absent(self, compiled: CompiledFleet, tree: Tree) -> tuple[object, ...]:
        """Problems of the blobs that the commit names and the object store lacks. ObjectsUnavailable."""
        assert compiled.release_list is not None, "a commit without a release list has errors"
        await self._catch_up()
        missing = await self._missing(compiled.blobs)
        trees = {release.tree for release in compiled.release_list.releases} & compiled.blobs
        incomplete: dict[Digest, tuple[int, int]] = {}
        unreadable: set[Digest] = set()
        for named, read in ((trees, files_of), (compiled.patches, packs_of)):
            for blob in sorted(named - missing - self._complete):
                inside = await read(self._objects, blob)
                if inside is None:
                    unreadable.add(blob)
                elif lacking := await self._missing(inside):
                    incomplete[blob] = (len(lacking), len(inside))
                else:
                    self._complete.add(blob)
        if not (missing or incomplete or unreadable):
            self._forget_but(compiled.blobs)
            return ()
        await self._objects.check()  # a store that is away (a disk that is not mounted) must not look like an empty one
        return await asyncio.to_thread(absent_problems, missing, incomplete, unreadable, tree.entries, tree.blobs)

    def _forget_but(self, named: Set[Digest]) -> None:
        """What a whole commit does not name is asked for again when one does: else all that ever was stays here."""
        self._present &= named
        self._complete &= named

    async def _catch_up(self) -> None:
        async with connection(self._pool) as conn:
            condemnations, self._condemned = await sweeps.verdicts(conn)
        if condemnations != self.seen:
            self._present.clear()
            self._complete.clear()
            self.seen = condemnations

    async def _missing(self, digests: Set[Digest]) -> set[Digest]:
        """What the store lacks, or will in a moment; what it was seen to hold is not asked for again."""
        unseen = digests - self._present - self._condemned
        missing = await self._objects.missing(unseen) if unseen else set()
        self._present |= unseen - missing
        return missing | (digests & self._condemned)
