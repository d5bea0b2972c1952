"""What the people who run the server ask: does it live, is it ready. What it counts: `scrapes`."""

from collections.abc import Sequence
from typing import Final

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from control_plane.api.heads import Heads
from control_plane.errors import FleetError
from control_plane.objects import ObjectStore
from control_plane.store import publications, remotes
from control_plane.store.pool import Pool, connection
from control_plane.web.visit import open_to

READY: Final = "ok"


class Operations:
    """The routes of operations."""

    def __init__(self, *, heads: Heads, pool: Pool, objects: ObjectStore) -> None:
        self._heads, self._pool, self._objects = heads, pool, objects

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        return [
            get("/healthz", operation_id="getHealth", **open_to("everyone"))(self.health),
            get("/readyz", operation_id="getReadiness", **open_to("everyone"))(self.readiness),
        ]

    async def health(self) -> dict[str, str]:
        """The process lives; nothing else is asked."""
        return {"status": READY}

    async def readiness(self) -> Response[dict[str, str]]:
        """200 when boxes can be served, else 503; each part is `ok` or says in one sentence what it lacks.

        A Git remote that is away is told but takes nothing from the boxes: it does not make the server unready.
        """
        parts = {"database": READY, "objects": READY, "publication": READY, "remote": READY}
        try:
            async with connection(self._pool) as conn:
                if await publications.current(conn) is None:
                    parts["publication"] = "nothing was published yet"
                look = await remotes.last_look(conn)
                parts["remote"] = _remote_in_words(look)
            if not self._heads.listening:
                parts["database"] = "publications are not being listened for"
        except FleetError:
            parts |= {"database": "it cannot be used", "publication": "unknown", "remote": "unknown"}
        try:
            await self._objects.check()
        except FleetError:
            parts["objects"] = "the object store cannot be used"
        ready = all(parts[part] == READY for part in ("database", "objects", "publication"))
        return Response(parts, status_code=200 if ready else 503, headers={"Cache-Control": "no-store"})


def _remote_in_words(look: remotes.RemoteLook | None) -> str:
    if look is None:
        return "it was not looked at yet"
    return "it cannot be reached or was refused; see the status page" if look.error else READY
