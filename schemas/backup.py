"""What a box keeps of the club's for the box that comes after: its configuration and, where asked for, its videos.

Videos are age files, each for the team's recovery key and for a key of the box's own (`identity`), which stands in the
index. The index is encrypted to the recovery key; when a box is replaced it alone is encrypted anew, to the new box, so
that no video passes through anybody's hands. The control plane reads neither.
"""

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from schemas.manifest import RELATIVE_PATH
from schemas.names import Digest, whole

MAX_VIDEOS: Final = 1000
MAX_VIDEO_BYTES: Final = 2 << 30
"""Of one video; larger ones are left out, and the box says so."""
MAX_ENCRYPTED_BYTES: Final = MAX_VIDEO_BYTES + (1 << 20)
MAX_INDEX_BYTES: Final = 2 << 20
"""Of an index as an age file."""
AGE_MAGIC: Final = b"age-encryption.org/v1\n"

VideoPath = Annotated[str, Meta(pattern=RELATIVE_PATH)]
AgeIdentity = Annotated[str, Meta(pattern=whole(r"AGE-SECRET-KEY-1[A-Z0-9]{58}"))]


class KeptVideo(Struct, frozen=True, kw_only=True):
    """A file of the club's under `videos/`, and the blob that holds it encrypted."""

    path: VideoPath
    size_bytes: Annotated[int, Meta(ge=0, le=MAX_VIDEO_BYTES)]
    digest: Digest
    blob: Digest
    blob_bytes: Annotated[int, Meta(ge=0, le=MAX_ENCRYPTED_BYTES)]


class VideoIndex(Struct, frozen=True, kw_only=True):
    """All that is kept; `identity` reads every blob."""

    identity: AgeIdentity
    videos: Annotated[list[KeptVideo], Meta(max_length=MAX_VIDEOS)] = []


class KeptVideos(Struct, frozen=True, kw_only=True):
    """What a box tells: the encrypted index, and which blobs it names; others of the site may be let go."""

    index: Annotated[bytes, Meta(max_length=MAX_INDEX_BYTES)]
    blobs: Annotated[list[Digest], Meta(max_length=MAX_VIDEOS)]


class Restore(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a replaced box puts back, encrypted to it; an older form is the configuration alone."""

    configuration: dict[str, Any]
    videos: VideoIndex | None = None
