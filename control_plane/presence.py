"""Whether the object store holds what a commit names, to the last file: nothing is published that a box would miss."""

import asyncio
from collections.abc import Set

from control_plane.core.absent import absent_problems
from control_plane.core.compile import CompiledFleet
from control_plane.git_objects import Tree
from control_plane.listings import files_of, packs_of
from control_plane.objects import ObjectStore
from schemas.names import Digest


class Presence:
    """Asks the store, and remembers what it was seen to hold: blobs that are named are never taken away."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._present: set[Digest] = set()
        self._complete: set[Digest] = set()

    async def absent(self, compiled: CompiledFleet, tree: Tree) -> tuple[object, ...]:
        """Problems of the blobs that the commit names and the object store lacks. ObjectsUnavailable."""
        assert compiled.release_list is not None, "a commit without a release list has errors"
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
            return ()
        await self._objects.check()  # a store that is away (a disk that is not mounted) must not look like an empty one
        return await asyncio.to_thread(absent_problems, missing, incomplete, unreadable, tree.entries, tree.blobs)

    async def _missing(self, digests: Set[Digest]) -> set[Digest]:
        """What the store lacks; what it was seen to hold is not asked for again."""
        missing = await self._objects.missing(unseen) if (unseen := digests - self._present) else set()
        self._present |= unseen - missing
        return missing
