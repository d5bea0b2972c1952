"""The clubs' videos as their boxes leave them: encrypted, in pieces, for the site's own box alone to have back.

The server cannot read them, nor which is which. A box may read back what it proved to have by sending every byte.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from litestar import Request, Response, get, put
from litestar.exceptions import ClientException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from control_plane.api.access import Access, bearer
from control_plane.api.bodies import chunks, read_body, too_large
from control_plane.api.budget import DailyBudget
from control_plane.api.pieces import named_blob, piece_of
from control_plane.api.spool import Claim, Spool
from control_plane.objects import ObjectStore
from control_plane.store import video_backups
from control_plane.store.pool import Pool, connection
from control_plane.web.visit import open_to
from schemas.api import KeptBlob, UploadState
from schemas.backup import AGE_MAGIC, MAX_ENCRYPTED_BYTES, MAX_INDEX_BYTES, MAX_VIDEOS, KeptVideos
from schemas.names import SiteId

MAX_SITE_BYTES: Final = 16 << 30
"""Kept of one site: a box has 2 to 4 GB of videos."""
MAX_DAY_BYTES: Final = 16 << 30
"""Sent by one site in a day, what is sent again as well."""
MAX_PIECE_BYTES: Final = 8 << 20
MAX_TOLD_BYTES: Final = 4 * MAX_INDEX_BYTES // 3 + 80 * MAX_VIDEOS
_TOLD: Final = msgspec.json.Decoder(KeptVideos)
Asked = Request[Any, Any, Any]


class VideoBackups:
    """The routes of videos' backups. Unfinished uploads lie under `folder`, apart for each site."""

    def __init__(
        self,
        *,
        access: Access,
        folder: Path,
        objects: ObjectStore,
        claim: Claim,
        pool: Pool,
        clock: Callable[[], datetime],
    ) -> None:
        self._access, self._folder, self._objects, self._claim = access, folder, objects, claim
        self._pool, self._clock = pool, clock
        self._budget = DailyBudget(clock, MAX_DAY_BYTES, "bytes of videos")
        self._spools: dict[SiteId, Spool] = {}

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        backup = "/v1/sites/{site:str}/backup"
        path = backup + "/videos"
        one = path + "/{digest:str}"
        return [
            get(one, operation_id="getVideoBackup", **open_to("boxes"))(self.state),
            put(
                one,
                operation_id="putVideoBackup",
                **open_to("boxes"),
                request_max_body_size=MAX_PIECE_BYTES,
            )(self.append),
            put(
                path,
                status_code=204,
                operation_id="putVideoIndex",
                **open_to("boxes"),
                request_max_body_size=MAX_TOLD_BYTES,
            )(self.tell),
            get(path, operation_id="getVideoIndex", **open_to("operators"))(self.index),
            get(backup + "/blobs", operation_id="listVideoBackups", **open_to("operators"))(self.blobs),
        ]

    def forget_old(self) -> None:
        """Remove what no box has gone on with for a week."""
        for folder in self._folder.glob("*") if self._folder.is_dir() else ():
            self._spool(folder.name).forget_old()

    async def state(self, request: Asked, site: FromPath[str], digest: FromPath[str]) -> UploadState:
        """How much of an encrypted video of the box's own site is here."""
        head, name = self._access.own_box(bearer(request), site), named_blob(digest)
        async with connection(self._pool) as conn:
            if await video_backups.has_blob(conn, head.site, name):
                size = await self._objects.size_bytes(name)
                return UploadState(digest=name, offset_bytes=size, complete=True)
        return await self._spool(head.site).unfinished(name)

    async def append(self, request: Asked, site: FromPath[str], digest: FromPath[str]) -> Response[UploadState]:
        """A piece of an encrypted video, by `Content-Range: bytes FIRST-LAST/TOTAL`: 201 once it is whole, else 202.

        An age file of at most 2 GiB, a piece of at most 8 MiB; 413 when the site has 16 GiB already, 429 after 16 GiB
        in a day.
        """
        head, name, piece = self._access.own_box(bearer(request), site), named_blob(digest), piece_of(request)
        if piece.total > MAX_ENCRYPTED_BYTES:
            raise too_large(MAX_ENCRYPTED_BYTES)
        body = chunks(request, MAX_PIECE_BYTES)
        async with connection(self._pool) as conn:
            kept = await video_backups.kept_bytes(conn, head.site)
        if kept + piece.total > MAX_SITE_BYTES:
            raise too_large(MAX_SITE_BYTES)
        self._budget.take(head.site, piece.length)
        state = await self._spool(head.site).append(name, piece, _encrypted(body) if piece.offset == 0 else body)
        if state.complete:
            async with connection(self._pool) as conn:
                await video_backups.keep_blob(conn, head.site, name, piece.total, self._clock())
        return Response(state, status_code=201 if state.complete else 202)

    async def tell(self, request: Asked, site: FromPath[str]) -> None:
        """Keep the newest encrypted index of the box's own site; what it does not name of the site may be let go."""
        head = self._access.own_box(bearer(request), site)
        try:
            told = _TOLD.decode(await read_body(request, MAX_TOLD_BYTES))
        except (msgspec.DecodeError, RecursionError, ValueError) as problem:
            raise ClientException(f"cannot read which videos are kept: {str(problem)[:200]}") from None
        if not told.index.startswith(AGE_MAGIC):
            raise ClientException("cannot keep the index: it is not encrypted as an age file")
        async with connection(self._pool) as conn:
            unknown = await video_backups.keep_index(conn, head.site, told.index, told.blobs, self._clock())
        if unknown:
            raise ClientException(f"cannot keep the index: {unknown[0]} was never left by this site's box")

    async def index(self, site: FromPath[str]) -> Response[bytes]:
        """The newest index of a site's videos, as its box encrypted it."""
        async with connection(self._pool) as conn:
            found = await video_backups.index_of(conn, site) if "\x00" not in site else None
        if found is None:
            raise NotFoundException(f"cannot find a backup of the videos of {site[:80]}: its box never left one")
        headers = {"Last-Modified": format_datetime(found[1], usegmt=True), "Cache-Control": "no-store"}
        return Response(found[0], headers=headers, media_type="application/octet-stream")

    async def blobs(self, site: FromPath[str]) -> list[KeptBlob]:
        """Which encrypted videos are kept of a site: what its replaced box fetches beside what its manifest names."""
        async with connection(self._pool) as conn:
            return await video_backups.blobs_of(conn, site) if "\x00" not in site else []

    def _spool(self, site: SiteId) -> Spool:
        if site not in self._spools:
            self._spools[site] = Spool(self._folder / site, self._objects, self._claim)
        return self._spools[site]


async def _encrypted(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The beginning of a file, which must be an age file's; 400 before a byte of anything else is written."""
    held = b""
    async for chunk in body:
        held += chunk
        if len(held) >= len(AGE_MAGIC):
            break
    if not held.startswith(AGE_MAGIC):
        raise ClientException("cannot keep the video: it is not encrypted as an age file")
    yield held
    async for chunk in body:
        yield chunk
