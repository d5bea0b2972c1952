"""Backups of clubs' configurations: a box leaves its own, encrypted to the team's recovery key; operators fetch it.

The server cannot read them. It refuses what is not an age file, so that no password of a club is ever kept in the open.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final

from litestar import Request, Response, get, put
from litestar.exceptions import ClientException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from control_plane.api.access import Access, bearer
from control_plane.api.bodies import read_body
from control_plane.api.budget import DailyBudget
from control_plane.api.ranges import Piece
from control_plane.api.spool import Spool
from control_plane.objects import ObjectStore
from control_plane.store.backups import StoredBackup, backup_of, keep_backup
from control_plane.store.pool import Pool, connection
from control_plane.web.visit import open_to
from schemas.names import digest_of

MAX_BACKUP_BYTES: Final = 4 << 20
MAX_A_DAY: Final = 100
"""New backups of one site in a day: a club saves now and then, and a box gone wild must not fill the store."""
AGE_MAGIC: Final = b"age-encryption.org/v1\n"
Asked = Request[Any, Any, Any]


class Backups:
    """The routes of backups."""

    def __init__(
        self, *, access: Access, spool: Spool, objects: ObjectStore, pool: Pool, clock: Callable[[], datetime]
    ) -> None:
        self._access, self._spool, self._objects, self._pool = access, spool, objects, pool
        self._budget = DailyBudget(clock, MAX_A_DAY, "new backups")

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        path = "/v1/sites/{site:str}/backup"
        return [
            put(
                path,
                status_code=204,
                operation_id="putBackup",
                **open_to("boxes"),
                request_max_body_size=MAX_BACKUP_BYTES,
            )(self.keep),
            get(path, operation_id="getBackup", **open_to("operators"))(self.read),
        ]

    async def keep(self, request: Asked, site: FromPath[str]) -> None:
        """Keep the backup of the box's own site, an age file of at most 4 MiB; the same one again changes nothing."""
        head = self._access.own_box(bearer(request), site)
        body = await read_body(request, MAX_BACKUP_BYTES)
        if not body.startswith(AGE_MAGIC):
            raise ClientException("cannot keep the backup: it is not encrypted as an age file")
        digest = digest_of(body)
        if not (await self._spool.state(digest)).complete:
            self._budget.take(head.site)
            await self._spool.append(digest, Piece(0, len(body), len(body)), _whole(body))
        async with connection(self._pool) as conn:
            await keep_backup(conn, head.site, StoredBackup(digest, len(body), self._budget.now()))

    async def read(self, site: FromPath[str]) -> Response[bytes]:
        """The newest backup of a site, as its box encrypted it."""
        async with connection(self._pool) as conn:
            found = await backup_of(conn, site)
        if found is None:
            raise NotFoundException(f"cannot find a backup of {site[:80]}: its box never left one")
        body = b"".join([chunk async for chunk in self._objects.read(found.digest)])
        headers = {
            "ETag": f'"{found.digest.removeprefix("sha256:")}"',
            "Last-Modified": format_datetime(found.received_at, usegmt=True),
            "Cache-Control": "no-store",
        }
        return Response(body, headers=headers, media_type="application/octet-stream")


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body
