"""What plans ask: every site as its box last reported it, and the commits that changed a site. Reads only."""

from collections.abc import Mapping
from typing import Any, Final

from control_plane.store.pool import Connection
from control_plane.store.views import Fleet, SiteView
from schemas.api import Observations, SiteGeneration, SiteObservation
from schemas.names import Digest, Revision, SiteId
from schemas.status import StatusReport

CONFLICTS: Final = frozenset(("ContentNotOurs", "ClubCategoryRenamed"))
"""Reasons by which a box tells that a club owns something under a name that is ours."""
RECENT_GENERATIONS: Final = 100


async def reported_manifests(conn: Connection) -> dict[SiteId, Digest]:
    """The manifest of the generation that each site reported; those that this server never gave are left out."""
    rows = await conn.execute(
        "select r.site, g.manifest from reports r join generations g on g.site = r.site and g.generation = r.generation"
    )
    return dict(await rows.fetchall())


async def history(conn: Connection, site: SiteId, limit: int = RECENT_GENERATIONS) -> list[SiteGeneration]:
    """The commits that gave the site another manifest or state, the newest first; empty where it was never published.

    `converged`: its box has been there, or beyond.
    """
    rows = await conn.execute(
        "select g.generation, c.revision, c.subject, c.author, c.committed_at, g.published_at, g.manifest,"
        " coalesce(r.generation >= g.generation, false)"
        " from generations g join commits c on c.revision = g.revision left join reports r on r.site = g.site"
        " where g.site = %s order by g.generation desc limit %s",
        (site, limit),
    )
    return [_generation(*row) for row in await rows.fetchall()]


def observations_of(fleet: Fleet, manifests: Mapping[SiteId, Digest]) -> Observations:
    """The fleet as plans take it."""
    published = fleet.published
    return Observations(
        at=fleet.read_at,
        commit=published.revision if published else None,
        sites=[_observation(view, manifests.get(view.site)) for view in fleet.sites],
    )


def _generation(generation: int, commit: Revision, subject: str, author: str, *rest: Any) -> SiteGeneration:
    committed_at, published_at, manifest, converged = rest
    return SiteGeneration(
        generation=generation,
        commit=commit,
        subject=subject,
        author=author,
        committed_at=committed_at,
        published_at=published_at,
        manifest=manifest,
        converged=converged,
    )


def _observation(view: SiteView, manifest: Digest | None) -> SiteObservation:
    said = view.report
    if said is None:
        return SiteObservation(site=view.site, standing=view.verdict.standing)
    return SiteObservation(
        site=view.site,
        standing=view.verdict.standing,
        last_report_at=view.received_at,
        generation=said.generation,
        manifest=manifest,
        release=said.release,
        agent_version=said.agent_version,
        disk_total_bytes=said.metrics.disk_total_bytes,
        disk_free_bytes=said.metrics.disk_free_bytes,
        conflicts=_conflicts(said),
    )


def _conflicts(said: StatusReport) -> list[str]:
    told = [(one.reason, one.message) for one in said.conditions]
    told += [(one.reason, one.message) for one in said.waiting]
    return list(dict.fromkeys(message or reason for reason, message in told if reason in CONFLICTS))
