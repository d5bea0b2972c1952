"""Rollouts, for operators and their programs."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Final

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, QueryParameter

from control_plane.core.rollout_info import detail_of, info_of
from control_plane.errors import NotFound
from control_plane.store import library, rollouts
from control_plane.store.pool import Pool, connection
from control_plane.web.visit import open_to
from schemas.rollouts import RolloutDetail, RolloutInfo

Ended = Annotated[int, QueryParameter(ge=0, le=1000, description="And so many of those that ended last.")]
_FRESH: Final = {"Cache-Control": "no-store"}


class Rollouts:
    """The routes of rollouts: for the team, since each names sites of everybody."""

    def __init__(self, pool: Pool, clock: Callable[[], datetime]) -> None:
        self._pool, self._clock = pool, clock

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        return [
            get("/v1/rollouts", operation_id="listRollouts", **open_to("team"))(self.rollouts),
            get("/v1/rollouts/{number:int}", operation_id="getRollout", **open_to("team"))(self.rollout),
        ]

    async def rollouts(self, ended: Ended = 0) -> Response[list[RolloutInfo]]:
        """The rollouts that are under way or halted, the oldest first; then those that ended, the newest first."""
        now = self._clock()
        async with connection(self._pool) as conn:
            found = await rollouts.count_opened(conn)
            found += await rollouts.count_ended(conn, ended) if ended else []
            policies = await library.policies(conn)
        told = [info_of(one.rollout, policies.get(one.rollout.policy), now, one.counts) for one in found]
        return Response(told, headers=_FRESH)

    async def rollout(self, number: FromPath[int]) -> Response[RolloutDetail]:
        """One rollout, with its sites."""
        async with connection(self._pool) as conn:
            found = await rollouts.rollout(conn, number) if 0 < number < 2**63 else None
            policies = await library.policies(conn)
        if found is None:
            raise NotFound(f"cannot find rollout {number}: there is none of that number; see `neopro rollout list`")
        return Response(detail_of(found, policies.get(found.policy), self._clock()), headers=_FRESH)
