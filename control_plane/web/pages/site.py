"""One site: what is desired, what its box says, what happened, and what it measured over time."""

from msgspec import Struct

from control_plane.errors import NotFound
from control_plane.store import alerts, clubs, metrics, views
from control_plane.store.pool import connection
from control_plane.web.charts import Charts, charts, span_of
from control_plane.web.pages.alerts import AlertLine, alert_lines
from control_plane.web.present import belongs_to
from control_plane.web.present_site import SitePage, site_page
from control_plane.web.visit import Room, Shown, Visit


class WholeSite(Struct, frozen=True, kw_only=True):
    """The page: the site as it stands, its open alerts, and its figures over the span that is asked for."""

    now: SitePage
    alerts: list[AlertLine]
    charts: Charts


async def show(room: Room, visit: Visit) -> Shown:
    """The page of the site in the path; for a tenant, another's site is one that was never published."""
    name, now, words = visit.path["site"], room.clock(), visit.words
    span = span_of(visit.query.get("span", ""))
    async with connection(room.pool) as conn:
        found = await views.detail(conn, name, now)
        if found is None or not belongs_to(found[0], visit.reader.tenant):
            raise NotFound(f"cannot find the site {name[:80]}: it was never published")
        club = await clubs.club_of(conn, name)
        worries = [row for row in await alerts.alerts_about(conn, name) if row.cleared_at is None]
        measured = await metrics.series(conn, name, now - span.back, now, span.points)
    page = WholeSite(
        now=site_page(*found, club, now, words),
        alerts=alert_lines(worries, now, words),
        charts=charts(measured, span, now, words),
    )
    return Shown("site.html", page)
