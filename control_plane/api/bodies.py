"""Request bodies: raw bytes, bounded before and while they are read, and when they are decompressed."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any, Final

import zstandard
from litestar import Request
from litestar.exceptions import ClientException, HTTPException
from litestar.status_codes import (
    HTTP_408_REQUEST_TIMEOUT,
    HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    HTTP_415_UNSUPPORTED_MEDIA_TYPE,
)

IDENTITY: Final = "identity"
ZSTD: Final = "zstd"
_MAX_WINDOW_BYTES: Final = 8 << 20
IDLE_S: Final = 60.0
"""How long a sender may be silent in the middle of a body."""


def encoding(request: Request[Any, Any, Any]) -> str:
    """The Content-Encoding of the body, in lower case; `identity` where none is told."""
    return request.headers.get("content-encoding", IDENTITY).strip().lower()


def chunks(
    request: Request[Any, Any, Any], max_bytes: int, encodings: Collection[str] = (IDENTITY,)
) -> AsyncIterator[bytes]:
    """The body as it comes; 415 for another Content-Encoding, 413 above `max_bytes`, both before the first byte if
    told."""
    if encoding(request) not in encodings:
        raise HTTPException(
            f"cannot read a body of this encoding: send it as {' or '.join(encodings)}",
            status_code=HTTP_415_UNSUPPORTED_MEDIA_TYPE,
        )
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large(max_bytes)
    return _bounded(request, max_bytes)


async def read_body(request: Request[Any, Any, Any], max_bytes: int, encodings: Collection[str] = (IDENTITY,)) -> bytes:
    """The whole body; errors as `chunks`."""
    return b"".join([chunk async for chunk in chunks(request, max_bytes, encodings)])


def unpacked(packed: bytes, max_bytes: int) -> bytes:
    """What a zstd body holds; ClientException where it is none, 413 where it is larger than `max_bytes`."""
    reader = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES).stream_reader(
        packed, read_across_frames=True
    )
    try:
        plain = reader.read(max_bytes + 1)
    except zstandard.ZstdError as problem:
        raise ClientException(f"cannot read the body: it is not zstd: {problem}") from None
    if len(plain) > max_bytes:
        raise too_large(max_bytes)
    return bytes(plain)


def too_large(max_bytes: int) -> HTTPException:
    """413, which says the limit."""
    return HTTPException(f"cannot take more than {max_bytes} bytes here", status_code=HTTP_413_REQUEST_ENTITY_TOO_LARGE)


async def _bounded(request: Request[Any, Any, Any], max_bytes: int) -> AsyncIterator[bytes]:
    read, stream = 0, request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream, b""), IDLE_S)
        except TimeoutError:
            raise HTTPException("cannot wait longer for the body", status_code=HTTP_408_REQUEST_TIMEOUT) from None
        if not chunk:
            return
        read += len(chunk)
        if read > max_bytes:
            raise too_large(max_bytes)
        yield chunk
