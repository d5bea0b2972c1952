"""What is named by blobs that manifests name: the files of a listing, the pack of a patch; none of it is trusted."""

from typing import Final

import msgspec
import zstandard
from msgspec import Struct

from control_plane.objects import ObjectStore
from schemas.manifest import FileTree
from schemas.names import Digest

MAX_LISTING_BYTES: Final = 64 << 20
MAX_INDEX_BYTES: Final = 16 << 20
"""Of a patch's index, compressed or not."""


class _Index(Struct):
    """Of a patch's index (`ReleaseDelta`) only what is needed here."""

    pack: Digest


async def files_of(objects: ObjectStore, listing: Digest) -> frozenset[Digest] | None:
    """The files that a listing names; None when the blob is no listing. BlobMissing, ObjectsUnavailable."""
    data = await _read(objects, listing, MAX_LISTING_BYTES)
    try:
        return frozenset(file.digest for file in msgspec.json.decode(data, type=FileTree).files)
    except msgspec.DecodeError:
        return None


async def packs_of(objects: ObjectStore, index: Digest) -> frozenset[Digest] | None:
    """The pack that a patch's index names; None when the blob is no index. BlobMissing, ObjectsUnavailable."""
    data = await _read(objects, index, MAX_INDEX_BYTES)
    try:
        plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=MAX_INDEX_BYTES)
        return frozenset((msgspec.json.decode(plain, type=_Index).pack,))
    except (zstandard.ZstdError, msgspec.DecodeError):
        return None


async def _read(objects: ObjectStore, digest: Digest, most: int) -> bytes:
    return b"".join([chunk async for chunk in objects.read(digest, 0, most)])
