"""Blobs by their digest: read by boxes and operators, uploaded by operators. RFC 9110: ETag, Range, conditionals."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, NamedTuple

from litestar import Request, Response, get, put, route
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream
from litestar.status_codes import HTTP_416_REQUESTED_RANGE_NOT_SATISFIABLE

from control_plane.api.access import Access, bearer, is_personal
from control_plane.api.bodies import chunks, too_large
from control_plane.api.grants import Grants
from control_plane.api.heads import Head
from control_plane.api.pieces import named_blob, piece_of
from control_plane.api.pulse import Tally
from control_plane.api.ranges import Part, Unsatisfiable, parse_range
from control_plane.api.spool import Spool
from control_plane.errors import FleetError, Forbidden
from control_plane.monitoring.meters import Meters
from control_plane.objects import ObjectStore
from control_plane.store import publications, video_backups
from control_plane.store.pool import Pool, connection
from control_plane.web.visit import open_to
from schemas.api import UploadState
from schemas.names import Digest, SiteId

MAX_BLOB_BYTES: Final = 8 << 30
MAX_SIZES: Final = 10_000
"""Of blobs that are linked to, remembered."""
Asked = Request[Any, Any, Any]
_Reader = Callable[[Part], AsyncIterator[bytes]]
_IMMUTABLE: Final = "private, max-age=31536000, immutable"


class _Asker(NamedTuple):
    """Which box asks, None for an operator; and the body of what is asked for, if it is a manifest."""

    site: SiteId | None
    manifest: bytes | None


class Blobs:
    """The routes of blobs."""

    def __init__(
        self,
        *,
        access: Access,
        grants: Grants,
        spool: Spool,
        objects: ObjectStore,
        pool: Pool,
        tally: Tally,
        meters: Meters,
    ) -> None:
        self._access, self._grants, self._spool = access, grants, spool
        self._objects, self._pool, self._tally, self._meters = objects, pool, tally, meters
        self._sizes: dict[Digest, int] = {}

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        return [
            route(
                "/v1/blobs/{digest:str}",
                http_method=["GET", "HEAD"],
                operation_id=_reading,
                **open_to("boxes", "team"),
            )(self.read),
            put(
                "/v1/blobs/{digest:str}",
                operation_id="putBlob",
                **open_to("writers"),
                request_max_body_size=None,
            )(self.write),
            get("/v1/uploads/{digest:str}", operation_id="getUpload", **open_to("writers"))(self.upload),
        ]

    async def read(self, request: Asked, digest: FromPath[str]) -> Response[Any]:
        """The bytes: 200, 206 for a single `Range`, 304, 416, or 307 to the object store.

        A box may read its manifest and what that names; an operator's token with the scope read, everything.
        """
        name = named_blob(digest)
        site, body = await self._admit(request, name)
        if body is not None:
            read = self._counted(site, lambda part: _slice(body, part))
            return _answer(request, name, len(body), read, "application/json")
        link = await self._objects.link(name) if request.method == "GET" else None
        if link is not None:
            self._meters.blob_redirects.inc()
            await self._count_linked(site, name, request.headers.get("range"))
            return Response(b"", status_code=307, headers={"Location": link, "Cache-Control": "no-store"})
        size = await self._objects.size_bytes(name)
        stored = self._counted(site, lambda part: self._objects.read(name, *part))
        return _answer(request, name, size, stored, "application/octet-stream")

    def _counted(self, site: SiteId | None, read: _Reader) -> _Reader:
        """The same bytes, counted, also when the reader breaks off: those of a box for its site as well."""

        async def counting(part: Part) -> AsyncIterator[bytes]:
            given = 0
            try:
                async for data in read(part):
                    yield data
                    given += len(data)
            finally:
                self._meters.blob_bytes_sent.inc(given)
                if site is not None:
                    self._tally.download(site, given)

        return counting

    async def _count_linked(self, site: SiteId | None, digest: Digest, asked: str | None) -> None:
        """Whoever has a link fetches past us: what was asked for is counted. A trouble of counting troubles nobody."""
        if site is None:
            return
        try:
            if digest not in self._sizes:
                if len(self._sizes) >= MAX_SIZES:
                    self._sizes.clear()
                self._sizes[digest] = await self._objects.size_bytes(digest)
            size = self._sizes[digest]
            part = parse_range(asked, size)
        except (FleetError, Unsatisfiable):
            return
        self._tally.download(site, part.length if part else size)

    async def _admit(self, request: Asked, digest: Digest) -> _Asker:
        """Let nobody else in; a manifest's body comes from the database."""
        token = bearer(request)
        if is_personal(token):
            async with connection(self._pool) as conn:
                return _Asker(None, await publications.manifest_body(conn, digest))
        head = self._access.box(token)
        if not (await self._grants.allows(head.manifest, digest) or await self._is_put_back(head, digest)):
            raise Forbidden(f"cannot read {digest}: the manifest of {head.site} does not name it")
        body = (await self._grants.of(head.manifest)).body if digest == head.manifest else None
        return _Asker(head.site, body)

    async def _is_put_back(self, head: Head, digest: Digest) -> bool:
        """Whether it is a video that the site's box left, and its manifest has a backup to put back."""
        if not (await self._grants.of(head.manifest)).restores:
            return False
        async with connection(self._pool) as conn:
            return await video_backups.has_blob(conn, head.site, digest)

    async def upload(self, digest: FromPath[str]) -> UploadState:
        """How much of a blob is here."""
        return await self._spool.state(named_blob(digest))

    async def _received(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in body:
            self._meters.blob_bytes_received.inc(len(chunk))
            yield chunk

    async def write(self, request: Asked, digest: FromPath[str]) -> Response[UploadState]:
        """A whole blob, or a piece of it by `Content-Range: bytes FIRST-LAST/TOTAL`: 201 once it is complete, else 202.

        Go on from `offset_bytes` of the answer, or of `GET /v1/uploads/{digest}`.
        """
        name, piece = named_blob(digest), piece_of(request)
        if piece.total > MAX_BLOB_BYTES:
            raise too_large(MAX_BLOB_BYTES)
        body = chunks(request, MAX_BLOB_BYTES)
        known = await self._spool.state(name)
        if known.complete:
            return Response(known)
        state = await self._spool.append(name, piece, self._received(body))
        return Response(state, status_code=201 if state.complete else 202)


def _reading(_handler: object, method: str, _path: object) -> str:
    """The operation's name in the description, one a method."""
    return f"{method.lower()}Blob"


def _answer(request: Asked, digest: Digest, size: int, read: _Reader, media_type: str) -> Response[Any]:
    etag = f'"{digest.removeprefix("sha256:")}"'
    headers = {"ETag": etag, "Cache-Control": _IMMUTABLE, "Accept-Ranges": "bytes", "X-Content-Type-Options": "nosniff"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    part = _part(request, size, etag)
    if part is not None:
        headers["Content-Range"] = f"bytes {part.offset}-{part.offset + part.length - 1}/{size}"
    length = part.length if part else size
    headers["Content-Length"] = str(length)
    status = 200 if part is None else 206
    if request.method == "HEAD" or length == 0:
        return Response(b"", status_code=status, headers=headers, media_type=media_type)
    return Stream(read(part or Part(0, size)), status_code=status, headers=headers, media_type=media_type)


def _part(request: Asked, size: int, etag: str) -> Part | None:
    """The range to answer with; If-Range with anything but our strong tag asks for the whole (RFC 9110, 13.1.5)."""
    if request.headers.get("if-range", etag) != etag or request.method == "HEAD":
        return None
    try:
        return parse_range(request.headers.get("range"), size)
    except Unsatisfiable:
        raise HTTPException(
            f"cannot give that range: there are {size} bytes",
            status_code=HTTP_416_REQUESTED_RANGE_NOT_SATISFIABLE,
            headers={"Content-Range": f"bytes */{size}"},
        ) from None


async def _slice(body: bytes, part: Part) -> AsyncIterator[bytes]:
    yield body[part.offset : part.offset + part.length]
