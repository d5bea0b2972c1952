"""One site: what is desired, what its box says, what happened, what it had, and what it measured over time."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from control_plane.core.people import may_see
from control_plane.errors import NotFound
from control_plane.store import (
    alerts,
    clubs,
    conditions,
    library,
    metrics,
    operation_logs,
    release_runs,
    reports,
    rollouts,
    views,
    wanted,
)
from control_plane.store.alerts import AlertRow
from control_plane.store.pool import Connection, connection
from control_plane.store.release_runs import ReleaseRun
from control_plane.store.rollouts import SiteRollout
from control_plane.store.views import SiteView
from control_plane.store.wanted import Wants
from control_plane.web.charts import Charts, Span, charts, span_of
from control_plane.web.pages.alerts import AlertLine, alert_lines
from control_plane.web.present import belongs_to
from control_plane.web.present_compared import Compared, compared
from control_plane.web.present_content import Content, content_of
from control_plane.web.present_operations import Asked, OperationRow, operation_rows
from control_plane.web.present_releases import FAILURES, ReleaseRow, release_rows
from control_plane.web.present_rollouts import besides
from control_plane.web.present_site import SitePage, site_page
from control_plane.web.timeline import Timeline, timeline_of
from control_plane.web.visit import Room, Shown, Visit
from schemas.api import ClubState
from schemas.desired import RolloutPolicy
from schemas.memory import ConditionSpan, MetricsPoint
from schemas.names import DocumentId, SiteId
from schemas.status import Event


class WholeSite(Struct, frozen=True, kw_only=True):
    """The page: the site as it stands, and as it was over the span that is asked for."""

    now: SitePage
    alerts: list[AlertLine]
    compared: list[Compared]
    content: Content | None
    timeline: Timeline
    charts: Charts
    releases: list[ReleaseRow]
    operations: list[OperationRow]


class _Read(NamedTuple):
    """What was read of a site beside its view."""

    club: ClubState | None
    worries: list[AlertRow]
    measured: list[MetricsPoint]
    turned: list[ConditionSpan]
    wants: Wants | None
    runs: list[ReleaseRun]
    failures: list[Event]
    asked: Asked
    versions: list[DocumentId]
    rollouts: list[SiteRollout]
    policies: Mapping[DocumentId, RolloutPolicy]


async def show(room: Room, visit: Visit) -> Shown:
    """The page of the site in the path; for a tenant, another's site is one that was never published."""
    name, now, words, team = visit.path["site"], room.clock(), visit.words, visit.reader.tenant is None
    span = span_of(visit.query.get("span", ""))
    async with connection(room.pool) as conn:
        found = await views.detail(conn, name, now)
        if found is None or not belongs_to(found[0], visit.reader.tenant):
            raise NotFound(f"cannot find the site {name[:80]}: it was never published")
        view, events = found
        read = await _read(conn, view, span, now)
    content = content_of(view, read.wants, now, words, team=team) if read.wants else None
    manifest, mirror = read.wants.manifest if read.wants else None, read.club.club if read.club else None
    beside = besides(read.rollouts, read.policies, words, team=team)
    page = WholeSite(
        now=site_page(view, events, read.club, now, words),
        alerts=alert_lines(read.worries, now, words),
        compared=compared(view, manifest, content, mirror, words, besides=beside),
        content=content,
        timeline=timeline_of(read.turned, span, now, words),
        charts=charts(read.measured, span, now, words),
        releases=release_rows(read.runs, read.failures, now, words, pages=read.versions if team else ()),
        operations=operation_rows(view, read.asked, now, words, reads=may_see(visit.reader, "operators")),
    )
    return Shown("site.html", page)


async def _read(conn: Connection, view: SiteView, span: Span, now: datetime) -> _Read:
    site: SiteId = view.site
    wants, parts = await wanted.wants_of(conn, view), await rollouts.of_site(conn, site)
    return _Read(
        club=await clubs.club_of(conn, site),
        worries=[row for row in await alerts.alerts_about(conn, site) if row.cleared_at is None],
        measured=await metrics.series(conn, site, now - span.back, now, span.points),
        turned=await conditions.history_of(conn, site, now - span.back, now),
        wants=wants,
        runs=await release_runs.runs_of(conn, site),
        failures=await reports.events_of(conn, site, reasons=FAILURES),
        asked=Asked(
            wants.manifest.operations if wants else [],
            await operation_logs.results_of_site(conn, site),
            await operation_logs.logs_of_site(conn, site),
        ),
        versions=await library.ids(conn, "releases"),
        rollouts=parts,
        policies=await library.policies(conn) if parts else {},
    )
