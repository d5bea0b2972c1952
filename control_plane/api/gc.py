"""`POST /v1/gc`: an operator lets blobs go that nothing alive names."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from control_plane.api.access import Access
from control_plane.sweep import Sweeper
from schemas.api import SweepReport

Asked = Request[Any, Any, Any]
Grace = Annotated[int, QueryParameter(ge=1, le=3650, description="Days for which nothing is let go.")]
DryRun = Annotated[bool, QueryParameter(description="Only say what would be let go.")]


class Gc:
    """The route of the sweep."""

    def __init__(self, access: Access, sweeper: Sweeper) -> None:
        self._access, self._sweeper = access, sweeper

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handler, bound to this object."""
        return [post("/v1/gc", status_code=200, operation_id="sweepBlobs", tags=["operator"])(self.sweep)]

    async def sweep(self, request: Asked, dry_run: DryRun = True, grace_days: Grace = 30) -> SweepReport:
        """Delete the blobs that no live or rollback manifest, document, release or backup names; 409 while one runs."""
        await self._access.operator(request, "write")
        return await self._sweeper.sweep(timedelta(days=grace_days), dry_run=dry_run)
