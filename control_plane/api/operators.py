"""What operators and their programs read: sites, changes, the fleet. Every call needs a personal token."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from control_plane.api.access import Access
from control_plane.core.rollout_info import info_of, of_site, turn_of
from control_plane.store import library, observations, rollouts, views
from control_plane.store.lookout import Lookout
from control_plane.store.pool import Pool, connection
from control_plane.web.present import belongs_to, visible_to
from control_plane.web.visit import open_to, reader_of
from schemas.api import Change, FleetStatus, Observations, SiteDetail, SiteGeneration, SiteSummary, TokenInfo
from schemas.desired import RolloutPolicy
from schemas.rollouts import RolloutInfo, SiteRollout

Asked = Request[Any, Any, Any]
MAX_PAGE: Final = 1000
Limit = Annotated[int, QueryParameter(ge=1, le=MAX_PAGE, description="At most so many.")]
After = Annotated[str, QueryParameter(max_length=63, description="Sites behind this id.")]
_COMMIT: Final = re.compile(r"[0-9a-f]{7,64}")
_FRESH: Final = {"Cache-Control": "no-store"}


class Operators:
    """The routes of operators' reads."""

    def __init__(self, access: Access, pool: Pool, lookout: Lookout, clock: Callable[[], datetime]) -> None:
        self._access, self._pool, self._lookout, self._clock = access, pool, lookout, clock

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        return [
            get("/v1/fleet", operation_id="getFleet", **open_to("readers"))(self.fleet),
            get("/v1/sites", operation_id="listSites", **open_to("readers"))(self.sites),
            get("/v1/sites/{site:str}/status", operation_id="getSite", **open_to("readers"))(self.site),
            get("/v1/sites/{site:str}/history", operation_id="getSiteHistory", **open_to("team"))(self.history),
            get("/v1/observations", operation_id="getObservations", **open_to("team"))(self.observations),
            get("/v1/token", operation_id="getToken", **open_to("known"))(self.token),
            get("/v1/changes", operation_id="listChanges", **open_to("team"))(self.changes),
            get("/v1/changes/{commit:str}", operation_id="getChange", **open_to("team"))(self.change),
        ]

    async def _fleet(self, request: Asked) -> views.Fleet:
        return visible_to(await self._lookout.fleet(), reader_of(request).tenant)

    async def fleet(self, request: Asked) -> Response[FleetStatus]:
        """The whole fleet: what `neopro status` prints."""
        rolled = [] if reader_of(request).tenant else await self._rollouts()
        return Response(views.status_of(await self._fleet(request), rolled), headers=_FRESH)

    async def _rollouts(self) -> list[RolloutInfo]:
        async with connection(self._pool) as conn:
            found = await rollouts.count_opened(conn)
            policies = await library.policies(conn) if found else {}
        now = self._clock()
        return [info_of(one.rollout, policies.get(one.rollout.policy), now, one.counts) for one in found]

    async def sites(self, request: Asked, after: After = "", limit: Limit = MAX_PAGE) -> Response[list[SiteSummary]]:
        """Sites by id; the next page begins behind the last id of this one."""
        found = [view for view in (await self._fleet(request)).sites if view.site > after]
        return Response([views.summary_of(view) for view in found[:limit]], headers=_FRESH)

    async def site(self, request: Asked, site: FromPath[str]) -> Response[SiteDetail]:
        """One site, whole; its rollouts for the team alone: a number, or whose turn it is, tells of others' sites."""
        tenant = reader_of(request).tenant
        async with connection(self._pool) as conn:
            found = await views.detail(conn, site, self._clock())
            under_way = await rollouts.of_site(conn, site) if found and tenant is None else []
            policies = await library.policies(conn) if under_way else {}
        if found is None or not belongs_to(found[0], tenant):
            raise NotFoundException(f"cannot find the site {site[:80]}: it was never published")
        told = [_rollout(one, policies.get(one.rollout.policy)) for one in under_way]
        return Response(views.detail_of(*found, told), headers=_FRESH)

    async def history(
        self, site: FromPath[str], limit: Limit = observations.RECENT_GENERATIONS
    ) -> Response[list[SiteGeneration]]:
        """The commits that changed what a site is to be, the newest first."""
        async with connection(self._pool) as conn:
            found = await observations.history(conn, site, limit)
        if not found:
            raise NotFoundException(f"cannot find the site {site[:80]}: it was never published")
        return Response(found, headers=_FRESH)

    async def observations(self) -> Response[Observations]:
        """What every box last reported, as far as `neopro plan` asks: disk, release, the manifest that it has."""
        async with connection(self._pool) as conn:
            manifests = await observations.reported_manifests(conn)
        return Response(observations.observations_of(await self._lookout.fleet(), manifests), headers=_FRESH)

    async def token(self, request: Asked) -> Response[TokenInfo]:
        """The token that this call came with."""
        found = await self._access.token(request)
        told = TokenInfo(name=found.name, scopes=sorted(found.reader.scopes), expires_at=found.expires_at)
        return Response(told, headers=_FRESH)

    async def changes(self, limit: Limit = views.RECENT_CHANGES) -> Response[list[Change]]:
        """The commits that were looked at last, newest first."""
        async with connection(self._pool) as conn:
            return Response(await views.changes(conn, limit), headers=_FRESH)

    async def change(self, commit: FromPath[str]) -> Response[Change]:
        """One commit that was looked at, by its id or the first seven or more digits of it."""
        async with connection(self._pool) as conn:
            found = await views.changes_beginning(conn, commit) if _COMMIT.fullmatch(commit) else []
        if len(found) != 1:
            why = "several begin so; write more of its id" if found else "it was not looked at (yet); was it pushed?"
            raise NotFoundException(f"cannot find the commit {commit[:40]}: {why}")
        return Response(found[0], headers=_FRESH)


def _rollout(found: rollouts.SiteRollout, policy: RolloutPolicy | None) -> SiteRollout:
    turn = turn_of(found.rollout, found.ahead, found.sites, policy.waves) if policy else None
    return of_site(found.rollout, found.member, turn)
