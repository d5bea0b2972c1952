"""What a box may read: its manifest, the content that it names, its release's listing, and the files of that."""

import asyncio
from collections import OrderedDict
from typing import Any, Final, NamedTuple

import msgspec

from control_plane.errors import BlobMissing, BlobRejected
from control_plane.objects import ObjectStore
from control_plane.store import publications
from control_plane.store.pool import Pool, connection
from schemas.manifest import FileTree, SiteManifest
from schemas.names import Digest

MANIFESTS: Final = 256
LISTINGS: Final = 16
"""How many are remembered: a manifest has some 25 kB, a listing of 6,000 files makes 1 MB of digests."""
MAX_LISTING_BYTES: Final = 64 << 20


class Grant(NamedTuple):
    """A manifest's exact bytes, the digests that it names itself, and its release's listing."""

    body: bytes
    named: frozenset[Digest]
    listing: Digest | None


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
        return grant.listing is not None and digest in await self._files(grant.listing)

    async def _read_manifest(self, digest: Digest) -> Grant:
        async with connection(self._pool) as conn:
            body = await publications.manifest_body(conn, digest)
        if body is None:
            raise BlobMissing(f"cannot find the manifest {digest}: it was never published")
        manifest = msgspec.json.decode(body, type=SiteManifest)
        listing = manifest.release.tree if manifest.release else None
        named = frozenset(file.digest for file in manifest.content)
        named |= {digest for digest in (listing, manifest.restore) if digest}
        return Grant(body, named, listing)

    async def _files(self, listing: Digest) -> frozenset[Digest]:
        async with self._one_listing_at_a_time:
            known = self._listings.get(listing)
            if known is None:
                known = self._listings[listing] = await self._read_listing(listing)
            _keep_recent(self._listings, listing, LISTINGS)
            return known

    async def _read_listing(self, digest: Digest) -> frozenset[Digest]:
        body = b"".join([chunk async for chunk in self._objects.read(digest, 0, MAX_LISTING_BYTES)])
        try:
            tree = msgspec.json.decode(body, type=FileTree)
        except msgspec.DecodeError as problem:
            raise BlobRejected(f"cannot read the listing {digest}: {problem}") from None
        return frozenset(file.digest for file in tree.files)


def _keep_recent(cache: OrderedDict[Digest, Any], key: Digest, most: int) -> None:
    cache.move_to_end(key)
    while len(cache) > most:
        cache.popitem(last=False)
