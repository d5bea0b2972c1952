"""What worries somebody, for operators and their programs."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter

from control_plane.core.alert_words import remedy, sentence
from control_plane.store import alerts
from control_plane.store.alerts import AlertRow
from control_plane.store.lookout import Lookout
from control_plane.store.pool import Pool, connection
from control_plane.web.pages.alerts import of_sites
from control_plane.web.present import visible_to
from control_plane.web.visit import open_to, reader_of
from schemas.alerts import AlertInfo

Asked = Request[Any, Any, Any]
Hours = Annotated[int, QueryParameter(ge=0, le=24 * 366, description="And those that cleared within so many hours.")]
_FRESH: Final = {"Cache-Control": "no-store"}


class Alerting:
    """The route of alerts."""

    def __init__(self, pool: Pool, lookout: Lookout, clock: Callable[[], datetime]) -> None:
        self._pool, self._lookout, self._clock = pool, lookout, clock

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handler, bound to this object."""
        return [get("/v1/alerts", operation_id="listAlerts", **open_to("readers"))(self.alerts)]

    async def alerts(self, request: Asked, past_hours: Hours = 0) -> Response[list[AlertInfo]]:
        """The alerts that are open, the gravest first; then those that cleared, the newest first."""
        now, tenant = self._clock(), reader_of(request).tenant
        own = None if tenant is None else {view.site for view in visible_to(await self._lookout.fleet(), tenant).sites}
        async with connection(self._pool) as conn:
            found = await alerts.open_alerts(conn)
            if past_hours:
                found += await alerts.past_alerts(conn, now - timedelta(hours=past_hours), subjects=own)
        return Response([_info(row) for row in of_sites(found, own)], headers=_FRESH)


def _info(row: AlertRow) -> AlertInfo:
    firing = row.alert.firing
    return AlertInfo(
        id=row.number,
        kind=firing.kind,
        subject=firing.subject,
        severity=firing.severity,
        sentence=sentence(firing),
        remedy=remedy(firing),
        fired_at=row.alert.fired_at,
        cleared_at=row.cleared_at,
        silenced=firing.silenced,
    )
