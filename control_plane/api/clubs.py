"""What clubs own: each box tells its own, operators read it. Words of clubs: kept and shown, never obeyed."""

import asyncio
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from litestar import Request, Response, get, put
from litestar.exceptions import ClientException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from control_plane.api.access import Access, bearer
from control_plane.api.bodies import IDENTITY, ZSTD, encoding, read_body, unpacked
from control_plane.api.budget import DailyBudget
from control_plane.store import clubs, views
from control_plane.store.pool import Pool, connection
from control_plane.web.visit import open_to, reader_of
from schemas.api import ClubNames, ClubState
from schemas.club import MAX_MIRROR_BYTES, ClubMirror
from schemas.names import ID_PATTERN

MAX_A_DAY: Final = 1_000
"""Mirrors of one site: an agent leaves one in five minutes at most."""
MAX_ASKED: Final = 100
Sites = Annotated[
    list[str], QueryParameter(name="site", min_items=1, max_items=MAX_ASKED, description="Ids of sites, repeated.")
]
_SITE: Final = re.compile(ID_PATTERN)
_MIRROR: Final = msgspec.json.Decoder(ClubMirror)
_FRESH: Final = {"Cache-Control": "no-store"}
Asked = Request[Any, Any, Any]


class Clubs:
    """The routes of mirrors."""

    def __init__(self, access: Access, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._access, self._pool, self._clock = access, pool, clock
        self._budget = DailyBudget(clock, MAX_A_DAY, "mirrors")

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        path = "/v1/sites/{site:str}/club"
        return [
            put(
                path,
                status_code=204,
                operation_id="putClub",
                **open_to("boxes"),
                request_max_body_size=MAX_MIRROR_BYTES,
            )(self.keep),
            get(path, operation_id="getClub", **open_to("readers"))(self.read),
            get("/v1/clubs", operation_id="listClubs", **open_to("team"))(self.listed),
        ]

    async def keep(self, request: Asked, site: FromPath[str]) -> None:
        """Keep what the club of the box's own site owns (a `ClubMirror`), as JSON or as zstd of it, instead of the
        last. Keys that are none of a mirror's are not kept."""
        head = self._access.own_box(bearer(request), site)
        body = await read_body(request, MAX_MIRROR_BYTES, (IDENTITY, ZSTD))
        if encoding(request) == ZSTD:
            body = await asyncio.to_thread(unpacked, body, MAX_MIRROR_BYTES)
        try:
            mirror = _MIRROR.decode(body)
        except (msgspec.DecodeError, RecursionError, ValueError) as problem:
            raise ClientException(f"cannot read what the club owns: {str(problem)[:200]}") from None
        self._budget.take(head.site)
        async with connection(self._pool) as conn:
            await clubs.keep(conn, head.site, mirror, self._clock())

    async def read(self, request: Asked, site: FromPath[str]) -> Response[ClubState]:
        """What the club of a site owns, as its box last told it."""
        async with connection(self._pool) as conn:
            known = _SITE.fullmatch(site) and await views.is_visible(conn, site, reader_of(request).tenant)
            found = await clubs.club_of(conn, site) if known else None
        if found is None:
            raise NotFoundException(f"cannot find what the club of {site[:80]} owns: its box never told")
        return Response(found, headers=_FRESH)

    async def listed(self, sites: Sites) -> Response[list[ClubNames]]:
        """What `neopro plan` asks of the clubs of some sites: ids of categories, paths of files."""
        async with connection(self._pool) as conn:
            found = await clubs.names(conn, [site for site in sites if _SITE.fullmatch(site)])
        return Response(found, headers=_FRESH)
