"""From what is known to what should worry somebody: gathers the evidence, and lets the alerts go on from it."""

import asyncio
import bisect
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from control_plane import expiring
from control_plane.core.alerting import Step
from control_plane.core.alerts import (
    Firing,
    NewBox,
    Refusal,
    Server,
    Trend,
    Troubled,
    Watched,
    alerts_of_fleet,
    alerts_of_site,
)
from control_plane.core.rollout import is_overdue
from control_plane.core.rollout_outcome import NAMES
from control_plane.core.versions import Order, order
from control_plane.store import alerts, conditions, enrolments, library, refusals, rollouts, trends, views
from control_plane.store.pool import Connection, Pool, connection
from control_plane.store.views import Fleet, SiteView
from schemas.alerts import Alerts
from schemas.names import SiteId
from schemas.status import Metrics

TURN: Final = 500
"""Sites that are looked at before others have their turn."""
LISTENS_FIRST: Final = timedelta(minutes=10)
"""A server that was away itself has heard of nobody: it waits for two reports before it calls a box silent."""
TRENDS_EVERY: Final = timedelta(hours=1)
FORK_LASTS: Final = timedelta(hours=1)
"""Two machines that have not spoken in turn for so long are one again."""
REFUSED_LASTS: Final = timedelta(hours=2)
"""A box whose report was refused asks again within the hour; one that has not since is silent."""
NO_TREND: Final = Trend()


class Watch:
    """Looks at the whole fleet. `certificate`: the one that this server answers with, if it does so itself; it is read
    once, as the server does: another one in its place helps nobody before the next start.

    `listens_since`: since when reports could come; without it, since now.
    """

    def __init__(
        self,
        pool: Pool,
        clock: Callable[[], datetime],
        certificate: Path | None = None,
        *,
        listens_since: datetime | None = None,
    ) -> None:
        self._pool, self._clock = pool, clock
        self._certificates = [expiring.certificate(certificate)] if certificate else []
        self._listens_since = listens_since or clock()
        self._trends: dict[SiteId, Trend] = {}
        self._trends_at: datetime | None = None

    async def look(self) -> Step:
        """Fire, update and clear alerts by what is so now; DatabaseUnavailable."""
        now = self._clock()
        async with connection(self._pool) as conn:
            fleet = await views.fleet(conn, now)
            document = await library.fleet_document(conn)
            limits = document.alerts if document else None
            firing = await self._of_sites(conn, fleet, limits, now)
            if now - self._listens_since < LISTENS_FIRST:
                known = {row.alert.firing.key for row in await alerts.open_alerts(conn)}
                firing = [one for one in firing if one.kind != "offline" or one.key in known]
            firing += alerts_of_fleet(await self._server(conn, fleet, limits, now), now)
            return await alerts.take(conn, firing, now)

    async def _of_sites(self, conn: Connection, fleet: Fleet, limits: Alerts | None, now: datetime) -> list[Firing]:
        versions = sorted(order(version) for version in await library.ids(conn, "releases"))
        refused = await refusals.refused_since(conn, now - REFUSED_LASTS)
        forked = {fork.site for fork in await conditions.forks(conn, now - FORK_LASTS)}
        if self._trends_at is None or not timedelta(0) <= now - self._trends_at < TRENDS_EVERY:
            self._trends, self._trends_at = await trends.trends(conn, now), now
        fresh = await views.first_published_since(conn, now - timedelta(days=1))
        firing: list[Firing] = []
        for place, view in enumerate(fleet.sites):
            if place % TURN == 0:
                await asyncio.sleep(0)
            seen = _watched(view, versions, fresh.get(view.site))
            trend, refusal = self._trends.get(view.site, NO_TREND), refused.get(view.site)
            if trend is not NO_TREND or view.site in forked or refusal is not None:
                said = Refusal(count=refusal.number, why=refusal.reason) if refusal else None
                seen = replace(seen, forked=view.site in forked, refused=said, trend=trend)
            firing += alerts_of_site(seen, limits, now)
        return firing

    async def _server(self, conn: Connection, fleet: Fleet, limits: Alerts | None, now: datetime) -> Server:
        remote, newest = fleet.remote, fleet.newest
        return Server(
            newest_verdict=newest.verdict if newest else None,
            newest_commit=newest.commit if newest else "",
            newest_subject=newest.subject if newest else "",
            remote_error=remote.error if remote else "",
            remote_error_since=remote.error_since if remote else None,
            expiring=[*await expiring.of_fleet(conn), *self._certificates],
            new_releases=await library.came_since(conn, "releases", now - timedelta(days=1)),
            rollouts=await _troubled(conn, now),
            new_boxes=[
                NewBox(site=box.site, hostname=box.hostname, model=box.model) for box in await enrolments.waiting(conn)
            ],
            alerts=limits,
        )


async def _troubled(conn: Connection, now: datetime) -> list[Troubled]:
    """The rollouts that do not go on by themselves, or not in their time."""
    policies = await library.policies(conn)
    found = []
    for rollout in await rollouts.under_way(conn):
        policy, halted = policies.get(rollout.policy), rollout.phase != "rolling"
        if halted or (policy is not None and is_overdue(rollout, policy, now)):
            what = f"{NAMES[rollout.kind]} {rollout.version} ({rollout.policy})"
            found.append(Troubled(what=what, halted=halted, wave=rollout.wave + 1, cause=rollout.cause))
    return found


def _watched(view: SiteView, versions: Sequence[Order], first_published_at: datetime | None) -> Watched:
    said, facts = view.report, view.facts
    running = said.release.version if said and said.release else None
    own = facts.get("alerts")
    return Watched(
        site=view.site,
        name=view.name,
        verdict=view.verdict,
        connectivity=facts.get("connectivity", "always"),
        timezone=facts.get("timezone", "UTC"),
        alerts=msgspec.convert(own, Alerts, strict=False) if own else None,
        published_at=view.published_at,
        first_published_at=first_published_at,
        received_at=view.received_at,
        said_at=said.at if said else None,
        clock_synchronised=said.clock_synchronised if said else True,
        conditions=said.conditions if said else (),
        metrics=said.metrics if said else Metrics(),
        behind=len(versions) - bisect.bisect_right(versions, order(running)) if running else 0,
    )
