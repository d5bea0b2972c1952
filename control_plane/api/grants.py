"""What a box may read: its manifest, what that names, and what is named by the listings and patches among it."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

import msgspec

from control_plane.errors import BlobMissing, BlobRejected
from control_plane.listings import files_of, packs_of
from control_plane.objects import ObjectStore
from control_plane.store import publications
from control_plane.store.pool import Pool, connection
from schemas.manifest import SiteManifest
from schemas.names import Digest

MANIFESTS: Final = 256
LISTINGS: Final = 16
"""How many are remembered: a manifest has some 25 kB, a listing of 6,000 files makes 1 MB of digests."""
Reader = Callable[[ObjectStore, Digest], Awaitable[frozenset[Digest] | None]]


class Grant(NamedTuple):
    """A manifest's exact bytes, the digests that it names itself, and which are listings or indices of patches.

    `restores`: it has a backup to put back.
    """

    body: bytes
    named: frozenset[Digest]
    listings: tuple[Digest, ...]
    patches: tuple[Digest, ...]
    restores: bool


class Grants:
    """Reads each manifest and each listing once, and remembers the ones used last."""

    def __init__(self, pool: Pool, objects: ObjectStore) -> None:
        self._pool, self._objects = pool, objects
        self._manifests: OrderedDict[Digest, Grant] = OrderedDict()
        self._listings: OrderedDict[Digest, frozenset[Digest]] = OrderedDict()
        self._one_listing_at_a_time = asyncio.Lock()

    async def of(self, manifest: Digest) -> Grant:
        """What this manifest allows but for the listing's files; BlobMissing."""
        known = self._manifests.get(manifest)
        if known is None:
            known = self._manifests[manifest] = await self._read_manifest(manifest)
        _keep_recent(self._manifests, manifest, MANIFESTS)
        return known

    async def allows(self, manifest: Digest, digest: Digest) -> bool:
        """Whether the box with this manifest may read that blob."""
        grant = await self.of(manifest)
        if digest == manifest or digest in grant.named:
            return True
        for read, blobs in ((files_of, grant.listings), (packs_of, grant.patches)):
            for blob in blobs:
                if digest in await self._inside(blob, read):
                    return True
        return False

    async def _read_manifest(self, digest: Digest) -> Grant:
        async with connection(self._pool) as conn:
            body = await publications.manifest_body(conn, digest)
        if body is None:
            raise BlobMissing(f"cannot find the manifest {digest}: it was never published")
        manifest = msgspec.json.decode(body, type=SiteManifest)
        release, agent = manifest.release, manifest.agent
        listings = tuple(target.tree for target in (release, agent) if target is not None)
        patches = tuple(patch.index for patch in release.patches) if release is not None else ()
        restore = () if manifest.restore is None else (manifest.restore,)
        named = frozenset((*(file.digest for file in manifest.content), *listings, *patches, *restore))
        return Grant(body, named, listings, patches, manifest.restore is not None)

    async def _inside(self, blob: Digest, read: Reader) -> frozenset[Digest]:
        async with self._one_listing_at_a_time:
            known = self._listings.get(blob)
            if known is None:
                found = await read(self._objects, blob)
                if found is None:
                    raise BlobRejected(f"cannot read the listing {blob}: it is none")
                known = self._listings[blob] = found
            _keep_recent(self._listings, blob, LISTINGS)
            return known


def _keep_recent(cache: OrderedDict[Digest, Any], key: Digest, most: int) -> None:
    cache.move_to_end(key)
    while len(cache) > most:
        cache.popitem(last=False)
