"""The zstd frames of a delta (`schemas.delta`), read with every limit checked before a byte is made."""

from collections.abc import Iterator, Sequence

import msgspec
import zstandard

from schemas.delta import MAX_DELTA_BYTES, WINDOW_LOG, ReleaseDelta


def decode_delta(blob: bytes) -> ReleaseDelta:
    """The document in a blob; ValueError where it is none."""
    try:
        if not 0 < zstandard.frame_content_size(blob) <= MAX_DELTA_BYTES:
            raise ValueError("it is too large, or does not say how large it is")
        return msgspec.json.decode(zstandard.ZstdDecompressor().decompress(blob), type=ReleaseDelta)
    except zstandard.ZstdError as problem:
        raise ValueError(f"it is not zstd: {problem}") from None


def read_frame(frame: bytes, dictionary: bytes, size_bytes: int) -> bytes:
    """What a frame of `size_bytes` gives, which is all that is ever taken; ValueError where it is of another size."""
    try:
        if zstandard.frame_content_size(frame) != size_bytes:
            raise ValueError(f"a frame does not hold {size_bytes} bytes")
        decompressor = zstandard.ZstdDecompressor(dict_data=raw_dictionary(dictionary), max_window_size=1 << WINDOW_LOG)
        return decompressor.decompress(frame)
    except zstandard.ZstdError as problem:
        raise ValueError(f"a frame cannot be read: {problem}") from None


def raw_dictionary(dictionary: bytes) -> zstandard.ZstdCompressionDict | None:
    """Bytes as they are, as a dictionary; None for none."""
    if not dictionary:
        return None
    return zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)


def cut(content: bytes, sizes: Sequence[int]) -> Iterator[bytes]:
    """What a frame gives, file by file."""
    start = 0
    for size in sizes:
        yield content[start : start + size]
        start += size
