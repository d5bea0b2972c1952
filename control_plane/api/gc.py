"""`POST /v1/gc`: an operator lets blobs go that nothing alive names."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from control_plane.sweep import Sweeper
from control_plane.web.visit import open_to
from schemas.api import SweepReport

Asked = Request[Any, Any, Any]
Grace = Annotated[int, QueryParameter(ge=1, le=3650, description="Days for which nothing is let go.")]
DryRun = Annotated[bool, QueryParameter(description="Only say what would be let go.")]


class Gc:
    """The route of the sweep."""

    def __init__(self, sweeper: Sweeper) -> None:
        self._sweeper = sweeper

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handler, bound to this object."""
        return [post("/v1/gc", status_code=200, operation_id="sweepBlobs", **open_to("writers"))(self.sweep)]

    async def sweep(self, dry_run: DryRun = True, grace_days: Grace = 30) -> SweepReport:
        """Delete the blobs that no live or rollback manifest, document, release or backup names; 409 while one runs."""
        return await self._sweeper.sweep(timedelta(days=grace_days), dry_run=dry_run)
