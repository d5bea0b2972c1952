"""Logs that operations fetched: a box leaves its own once, operators read them. The text is never trusted, nor run."""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

import zstandard
from litestar import Request, Response, get, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from control_plane.api.access import Access, bearer
from control_plane.api.bodies import IDENTITY, ZSTD, encoding, read_body, unpacked
from control_plane.store import audit, operation_logs
from control_plane.store.pool import Pool, connection
from control_plane.web.entrance import done_by
from control_plane.web.visit import open_to
from schemas.api import OperationLog
from schemas.names import ID_PATTERN

MAX_BODY_BYTES: Final = 4 << 20
"""Of the upload, compressed or not."""
MAX_TEXT_BYTES: Final = 32 << 20
"""Of the text, once it is decompressed."""
_OPERATION: Final = re.compile(ID_PATTERN)
_FRESH: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
Asked = Request[Any, Any, Any]


class Logs:
    """The routes of logs."""

    def __init__(self, access: Access, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._access, self._pool, self._clock = access, pool, clock

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        path = "/v1/sites/{site:str}/logs/{operation:str}"
        return [
            post(
                path,
                status_code=204,
                operation_id="postLog",
                **open_to("boxes"),
                request_max_body_size=MAX_BODY_BYTES,
            )(self.keep),
            get(path, operation_id="getLog", **open_to("operators"))(self.read),
            get(
                "/v1/operations/{operation:str}/logs",
                operation_id="listLogs",
                **open_to("operators"),
            )(self.listed),
        ]

    async def keep(self, request: Asked, site: FromPath[str], operation: FromPath[str]) -> None:
        """Keep what the box fetched for an operation: text, as it is or as zstd (`Content-Encoding`).

        At most 4 MiB, and 32 MiB of text. Once: what comes again for the same operation changes nothing.
        """
        head = self._access.own_box(bearer(request), site)
        if not _OPERATION.fullmatch(operation):
            raise ClientException("cannot keep the log: that is no id of an operation")
        body = await read_body(request, MAX_BODY_BYTES, (IDENTITY, ZSTD))
        packed = await asyncio.to_thread(_checked if encoding(request) == ZSTD else _packed, body)
        async with connection(self._pool) as conn:
            await operation_logs.keep(conn, head.site, operation, packed, self._clock())

    async def read(self, request: Asked, site: FromPath[str], operation: FromPath[str]) -> Response[bytes]:
        """What a site's box fetched for an operation, as text; it may hold any character."""
        async with connection(self._pool) as conn:
            found = await operation_logs.log_of(conn, site, operation) if _OPERATION.fullmatch(operation) else None
            if found is None:
                raise NotFoundException(f"cannot find a log of {site[:80]} for {operation[:80]}: its box sent none")
            await audit.record(conn, done_by(request, "log_read", f"{site} {operation}"), self._clock())
        text = await asyncio.to_thread(unpacked, found, MAX_TEXT_BYTES)
        return Response(text, media_type="text/plain", headers=_FRESH)

    async def listed(self, operation: FromPath[str]) -> Response[list[OperationLog]]:
        """Which sites' boxes sent a log for an operation."""
        async with connection(self._pool) as conn:
            found = await operation_logs.logs_of(conn, operation) if _OPERATION.fullmatch(operation) else []
        return Response(found, headers=_FRESH)


def _checked(packed: bytes) -> bytes:
    """The body anew, made of what could be read of it."""
    return _packed(unpacked(packed, MAX_TEXT_BYTES))


def _packed(text: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(text)
