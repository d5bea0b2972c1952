"""Deltas between releases as blobs: one zstd frame of the document's canonical JSON."""

import msgspec
import zstandard

from schemas.delta import MAX_DELTA_BYTES, ReleaseDelta


def decode_delta(blob: bytes) -> ReleaseDelta:
    """The document in a blob; ValueError where it is none."""
    try:
        if not 0 < zstandard.frame_content_size(blob) <= MAX_DELTA_BYTES:
            raise ValueError("it is too large, or does not say how large it is")
        return msgspec.json.decode(zstandard.ZstdDecompressor().decompress(blob), type=ReleaseDelta)
    except zstandard.ZstdError as problem:
        raise ValueError(f"it is not zstd: {problem}") from None
