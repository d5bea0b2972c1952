"""What was played on the screens: a box hands over batches of what its application counted, operators read it."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
import psycopg
from litestar import Request, Response, get, post
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from control_plane.api.access import Access, bearer
from control_plane.api.bodies import IDENTITY, ZSTD, encoding, read_body, unpacked
from control_plane.api.budget import DailyBudget
from control_plane.store import playbacks, views
from control_plane.store.pool import Pool, connection
from control_plane.web.visit import open_to, reader_of
from schemas.analytics import MAX_BATCH_BYTES, Batch, Kind, Playback

MAX_A_DAY: Final = 500_000
"""Of one site, repeated ones as well: a screen plays some 3,000 clips in a day, a box comes back after months, and one
gone wild must not fill the disk."""
MAX_PAGE: Final = 10_000
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="At most so many.")]
Wanted = Annotated[Kind, QueryParameter(description="Events of playing, or impressions of sponsors.")]
_BATCH: Final = msgspec.json.Decoder(Batch)
Asked = Request[Any, Any, Any]


class Analytics:
    """The routes of analytics."""

    def __init__(self, access: Access, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._access, self._pool, self._clock = access, pool, clock
        self._budget = DailyBudget(clock, MAX_A_DAY, "events of playing")

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        path = "/v1/sites/{site:str}/analytics"
        return [
            post(
                path,
                status_code=204,
                operation_id="postAnalytics",
                **open_to("boxes"),
                request_max_body_size=MAX_BATCH_BYTES,
            )(self.keep),
            get(path, operation_id="listAnalytics", **open_to("readers"))(self.read),
        ]

    async def keep(self, request: Asked, site: FromPath[str]) -> None:
        """Keep at most 500 events or impressions (a `Batch`), as JSON or as zstd of it; each counts once.

        The same: kind, `played_at`, `video_filename`, `session_id` and `duration_played`.
        """
        head = self._access.own_box(bearer(request), site)
        body = await read_body(request, MAX_BATCH_BYTES, (IDENTITY, ZSTD))
        if encoding(request) == ZSTD:
            body = await asyncio.to_thread(unpacked, body, MAX_BATCH_BYTES)
        try:
            batch = _BATCH.decode(body)
        except (msgspec.DecodeError, RecursionError, ValueError) as problem:
            raise ClientException(f"cannot read the batch: {str(problem)[:200]}") from None
        self._budget.take(head.site, len(batch.playbacks))
        try:
            async with connection(self._pool) as conn:
                await playbacks.keep(conn, head.site, batch, self._clock())
        except psycopg.DataError as problem:
            why = str(problem).splitlines()[0]
            raise ClientException(f"cannot keep the batch: the database cannot hold it: {why}") from None

    async def read(
        self, request: Asked, site: FromPath[str], kind: Wanted = "event", limit: Limit = 1_000
    ) -> Response[list[Playback]]:
        """What was played on a site, newest first; empty for a site that never sent any."""
        async with connection(self._pool) as conn:
            visible = await views.is_visible(conn, site, reader_of(request).tenant)
            found = await playbacks.playbacks_of(conn, site, kind, limit) if visible else []
        return Response(found, headers={"Cache-Control": "no-store"})
