"""What is remembered, for operators and their programs: figures and conditions of a site, how it went by week or month.

Every call needs a personal token that may read.
"""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from control_plane.store import conditions, metrics, outcomes, views
from control_plane.store.pool import Connection, Pool, connection
from control_plane.web.present import belongs_to
from control_plane.web.visit import open_to, reader_of
from schemas.memory import Availability, ConditionSpan, Deployments, IdentityFork, MetricsPoint, Period, Trouble
from schemas.names import ID_PATTERN, DocumentId

MAX_HOURS: Final = 24 * 366 * 20
Hours = Annotated[int, QueryParameter(ge=1, le=MAX_HOURS, description="Of so many hours before now.")]
Points = Annotated[int, QueryParameter(ge=1, le=metrics.MAX_POINTS, description="In at most so many points.")]
By = Annotated[Period, QueryParameter(description="Weeks from Monday, or months, UTC.")]
Count = Annotated[int, QueryParameter(ge=0, le=outcomes.MAX_PERIODS, description="So many, and the present one.")]
Site = Annotated[str | None, QueryParameter(pattern=ID_PATTERN, description="Of this site alone.")]
_SITE: Final = re.compile(ID_PATTERN)
_FRESH: Final = {"Cache-Control": "no-store"}
Asked = Request[Any, Any, Any]


class Memories:
    """The routes of what is remembered."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._pool, self._clock = pool, clock

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        site = "/v1/sites/{site:str}"
        return [
            get(f"{site}/metrics", operation_id="getSiteMetrics", **open_to("readers"))(self.metrics),
            get(f"{site}/conditions", operation_id="getSiteConditions", **open_to("readers"))(self.conditions),
            get("/v1/availability", operation_id="getAvailability", **open_to("team"))(self.availability),
            get("/v1/deployments", operation_id="getDeployments", **open_to("team"))(self.deployments),
            get("/v1/troubles", operation_id="listTroubles", **open_to("team"))(self.troubles),
            get("/v1/identity-forks", operation_id="listIdentityForks", **open_to("team"))(self.forks),
        ]

    async def metrics(
        self, request: Asked, site: FromPath[str], hours: Hours = 24, points: Points = 288
    ) -> Response[list[MetricsPoint]]:
        """What the box measured, the oldest first: by the minute for a day, by the hour for 90 days, by the day."""
        now = self._clock()
        async with connection(self._pool) as conn:
            await _require(conn, site, reader_of(request).tenant, now)
            found = await metrics.series(conn, site, now - timedelta(hours=hours), now, points)
        return Response(found, headers=_FRESH)

    async def conditions(
        self, request: Asked, site: FromPath[str], hours: Hours = 24 * 7
    ) -> Response[list[ConditionSpan]]:
        """Which conditions held, since when and until when, the newest first; a thousand at most."""
        now = self._clock()
        async with connection(self._pool) as conn:
            await _require(conn, site, reader_of(request).tenant, now)
            found = await conditions.history_of(conn, site, now - timedelta(hours=hours), now)
        return Response(found, headers=_FRESH)

    async def availability(self, by: By = "week", count: Count = 12, site: Site = None) -> Response[list[Availability]]:
        """How much of the time boxes were heard, and how much they ran, the oldest week or month first."""
        async with connection(self._pool) as conn:
            found = await outcomes.availability(conn, by, count, self._clock(), site)
        return Response(found, headers=_FRESH)

    async def deployments(self, by: By = "week", count: Count = 12, site: Site = None) -> Response[list[Deployments]]:
        """What became of what was published, and how long it took, the oldest week or month first."""
        async with connection(self._pool) as conn:
            found = await outcomes.deployments(conn, by, count, self._clock(), site)
        return Response(found, headers=_FRESH)

    async def troubles(self, hours: Hours = 24 * 7) -> Response[list[Trouble]]:
        """The most frequent reasons of warnings and errors."""
        async with connection(self._pool) as conn:
            found = await outcomes.troubles(conn, self._clock() - timedelta(hours=hours))
        return Response(found, headers=_FRESH)

    async def forks(self, hours: Hours = 24) -> Response[list[IdentityFork]]:
        """Sites for which two machines spoke lately."""
        async with connection(self._pool) as conn:
            found = await conditions.forks(conn, self._clock() - timedelta(hours=hours))
        return Response(found, headers=_FRESH)


async def _require(conn: Connection, site: str, tenant: DocumentId | None, now: datetime) -> None:
    found = await views.site(conn, site, now) if _SITE.fullmatch(site) else None
    if found is None or not belongs_to(found, tenant):
        raise NotFoundException(f"cannot find the site {site[:80]}: it was never published")
