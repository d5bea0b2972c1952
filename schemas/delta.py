"""What makes the files of one release out of another's, so that a box downloads little: a delta and its pack.

The pack is a blob of zstd frames (RFC 8878), one behind the other. A frame gives some files of the new release, their
bytes joined; its dictionary (raw content) are some files of the old one, joined. Files of a frame share what is said
once of all of them, which for many small changes is half of the bytes; a box that lacks one of a frame's old files
takes the files of that frame whole, and uses the others. Files that the old release has already, under whatever path,
are in no frame.

The last frame gives the new listing. Its dictionary is the old listing and then the digests (64 hexadecimal digits
each) of all files that the frames before it gave, in their order: so no digest of a changed file needs to be sent. A
box for which a frame was of no use takes the listing whole, too.

Nothing of it is signed or needs to be: the listing must have the digest that is the release's tree, and what no listed
digest fits is thrown away.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from schemas.manifest import FileTree
from schemas.names import Digest

MAX_PATCHED_BYTES: Final = 64 << 20
"""Larger files, on either side, are never in a pack: they are fetched whole. Also the most that a frame gives."""
WINDOW_LOG: Final = 27
"""No frame needs a larger window to be read: what zstd allows by default."""
MAX_DELTA_BYTES: Final = 16 << 20
"""Of the document, decompressed."""

Place = Annotated[int, Meta(ge=0, description="The place of a file in the base's listing, from 0.")]
Size = Annotated[int, Meta(ge=0, le=MAX_PATCHED_BYTES, description="Bytes of a file.")]


class DeltaFrame(Struct, frozen=True, array_like=True):
    """A frame: `[bases, sizes, length]`: whose dictionary, which files it gives by their sizes, and its own bytes."""

    bases: list[Place]
    sizes: Annotated[list[Size], Meta(min_length=1)]
    length_bytes: Annotated[int, Meta(ge=1)]


class ReleaseDelta(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the tree `tree` is made out of the tree `base`; its blob is one zstd frame of its canonical JSON.

    `pack` is the blob that holds `frames` and then, up to its end, the frame of the listing, of `listing_bytes` when it
    is decompressed.
    """

    schema: Literal[1]
    base: Digest
    tree: Digest
    pack: Digest
    pack_size_bytes: Annotated[int, Meta(ge=1)]
    listing_bytes: Annotated[int, Meta(ge=1)]
    frames: list[DeltaFrame]
    critical: list[str] = []


def listing_dictionary(base_listing: bytes, given: Iterable[Digest]) -> bytes:
    """The dictionary of the last frame."""
    return base_listing + "".join(digest.removeprefix("sha256:") for digest in given).encode()


def frame_bases(frame: DeltaFrame, base: FileTree) -> list[Digest]:
    """The files whose bytes, joined, are a frame's dictionary; ValueError where the base has none of that place."""
    if any(place >= len(base.files) for place in frame.bases):
        raise ValueError("it names a file that its base does not have")
    return [base.files[place].digest for place in frame.bases]
