"""Request bodies: raw bytes, bounded before and while they are read, never decompressed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

from litestar import Request
from litestar.exceptions import HTTPException
from litestar.status_codes import (
    HTTP_408_REQUEST_TIMEOUT,
    HTTP_413_REQUEST_ENTITY_TOO_LARGE,
    HTTP_415_UNSUPPORTED_MEDIA_TYPE,
)

IDLE_S: Final = 60.0
"""How long a sender may be silent in the middle of a body."""


def chunks(request: Request[Any, Any, Any], max_bytes: int) -> AsyncIterator[bytes]:
    """The body as it comes; 415 for any Content-Encoding, 413 above `max_bytes`, both before the first byte if told."""
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise HTTPException(
            "cannot read an encoded body: send it as it is", status_code=HTTP_415_UNSUPPORTED_MEDIA_TYPE
        )
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large(max_bytes)
    return _bounded(request, max_bytes)


async def read_body(request: Request[Any, Any, Any], max_bytes: int) -> bytes:
    """The whole body; errors as `chunks`."""
    return b"".join([chunk async for chunk in chunks(request, max_bytes)])


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
