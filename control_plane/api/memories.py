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

from control_plane.api.access import Access
from control_plane.store import conditions, metrics, outcomes, views
from control_plane.store.pool import Connection, Pool, connection
from schemas.memory import Availability, ConditionSpan, Deployments, IdentityFork, MetricsPoint, Period, Trouble
from schemas.names import ID_PATTERN

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

    def __init__(self, access: Access, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._access, self._pool, self._clock = access, pool, clock

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        site = "/v1/sites/{site:str}"
        return [
            get(f"{site}/metrics", operation_id="getSiteMetrics", tags=["operator"])(self.metrics),
            get(f"{site}/conditions", operation_id="getSiteConditions", tags=["operator"])(self.conditions),
            get("/v1/availability", operation_id="getAvailability", tags=["operator"])(self.availability),
            get("/v1/deployments", operation_id="getDeployments", tags=["operator"])(self.deployments),
            get("/v1/troubles", operation_id="listTroubles", tags=["operator"])(self.troubles),
            get("/v1/identity-forks", operation_id="listIdentityForks", tags=["operator"])(self.forks),
        ]

    async def metrics(
        self, request: Asked, site: FromPath[str], hours: Hours = 24, points: Points = 288
    ) -> Response[list[MetricsPoint]]:
        """What the box measured, the oldest first: by the minute for a day, by the hour for 90 days, by the day."""
        await self._access.operator(request, "read")
        now = self._clock()
        async with connection(self._pool) as conn:
            await _require(conn, site, now)
            found = await metrics.series(conn, site, now - timedelta(hours=hours), now, points)
        return Response(found, headers=_FRESH)

    async def conditions(
        self, request: Asked, site: FromPath[str], hours: Hours = 24 * 7
    ) -> Response[list[ConditionSpan]]:
        """Which conditions held, since when and until when, the newest first; a thousand at most."""
        await self._access.operator(request, "read")
        now = self._clock()
        async with connection(self._pool) as conn:
            await _require(conn, site, now)
            found = await conditions.history_of(conn, site, now - timedelta(hours=hours), now)
        return Response(found, headers=_FRESH)

    async def availability(
        self, request: Asked, by: By = "week", count: Count = 12, site: Site = None
    ) -> Response[list[Availability]]:
        """How much of the time boxes were heard, and how much they ran, the oldest week or month first."""
        await self._access.operator(request, "read")
        async with connection(self._pool) as conn:
            found = await outcomes.availability(conn, by, count, self._clock(), site)
        return Response(found, headers=_FRESH)

    async def deployments(
        self, request: Asked, by: By = "week", count: Count = 12, site: Site = None
    ) -> Response[list[Deployments]]:
        """What became of what was published, and how long it took, the oldest week or month first."""
        await self._access.operator(request, "read")
        async with connection(self._pool) as conn:
            found = await outcomes.deployments(conn, by, count, self._clock(), site)
        return Response(found, headers=_FRESH)

    async def troubles(self, request: Asked, hours: Hours = 24 * 7) -> Response[list[Trouble]]:
        """The most frequent reasons of warnings and errors."""
        await self._access.operator(request, "read")
        async with connection(self._pool) as conn:
            found = await outcomes.troubles(conn, self._clock() - timedelta(hours=hours))
        return Response(found, headers=_FRESH)

    async def forks(self, request: Asked, hours: Hours = 24) -> Response[list[IdentityFork]]:
        """Sites for which two machines spoke lately."""
        await self._access.operator(request, "read")
        async with connection(self._pool) as conn:
            found = await conditions.forks(conn, self._clock() - timedelta(hours=hours))
        return Response(found, headers=_FRESH)


async def _require(conn: Connection, site: str, now: datetime) -> None:
    if not _SITE.fullmatch(site) or await views.site(conn, site, now) is None:
        raise NotFoundException(f"cannot find the site {site[:80]}: it was never published")
