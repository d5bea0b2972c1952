"""What worries somebody, now and in the last days: since when, and what to do."""

from collections.abc import Sequence, Set
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from control_plane.core.alert_words import remedy, sentence, title
from control_plane.store import alerts
from control_plane.store.alerts import AlertRow
from control_plane.store.pool import connection
from control_plane.web.present import visible_to
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words
from schemas.alerts import Severity
from schemas.names import SiteId

PAST_DAYS: Final = 14


class AlertLine(Struct, frozen=True, kw_only=True):
    """An alert in words. `link` leads to the page that shows why; `turned`: when it fired, or cleared.

    Only one that cleared has `cleared_at` and `lasted`.
    """

    number: int
    kind: str
    severity: Severity
    severity_word: str
    title: str
    sentence: str
    remedy: str
    link: str
    silenced: bool
    fired_at: datetime
    cleared_at: datetime | None
    ago: str
    turned: str
    lasted: str


class AlertsPage(Struct, frozen=True, kw_only=True):
    """Open alerts, the gravest first, and those that cleared, the newest first."""

    open: list[AlertLine]
    silenced: list[AlertLine]
    past: list[AlertLine]
    past_days: str


async def show(room: Room, visit: Visit) -> Shown:
    """The page; a tenant's people see those of their own sites."""
    now, tenant = room.clock(), visit.reader.tenant
    own = None if tenant is None else {view.site for view in visible_to(await room.lookout.fleet(), tenant).sites}
    async with connection(room.pool) as conn:
        open_rows = of_sites(await alerts.open_alerts(conn), own)
        past_rows = of_sites(await alerts.past_alerts(conn, now - timedelta(days=PAST_DAYS), subjects=own), own)
    lines = alert_lines(open_rows, now, visit.words)
    page = AlertsPage(
        open=[line for line in lines if not line.silenced],
        silenced=[line for line in lines if line.silenced],
        past=alert_lines(past_rows, now, visit.words),
        past_days=visit.words.number(PAST_DAYS),
    )
    return Shown("alerts.html", page)


def of_sites(rows: Sequence[AlertRow], sites: Set[SiteId] | None) -> Sequence[AlertRow]:
    """The alerts of these sites alone; None: all of them, the fleet's too."""
    if sites is None:
        return rows
    return [row for row in rows if row.alert.firing.subject in sites and row.alert.firing.kind not in FLEET_KINDS]


FLEET_KINDS: Final = frozenset(
    {"commit_refused", "commit_held", "rollout_halted", "rollout_overdue", "remote", "expiry", "new_release"}
)
"""Alerts that are not about a site."""
_LINKS: Final = {
    "new_release": "/releases",
    "commit_refused": "/",
    "commit_held": "/",
    "rollout_halted": "/rollouts",
    "rollout_overdue": "/rollouts",
    "remote": "/system",
    "expiry": "/system",
}


def alert_lines(rows: Sequence[AlertRow], now: datetime, words: Words) -> list[AlertLine]:
    """Alerts in the reader's language."""
    return [_line(row, now, words) for row in rows]


def _line(row: AlertRow, now: datetime, words: Words) -> AlertLine:
    firing, language = row.alert.firing, words.language
    lasted = words.span(row.cleared_at - row.alert.fired_at) if row.cleared_at else ""
    return AlertLine(
        number=row.number,
        kind=firing.kind,
        severity=firing.severity,
        severity_word=words(f"alert.{firing.severity}"),
        title=title(firing.kind, language),
        sentence=sentence(firing, language),
        remedy=remedy(firing, language),
        link=_LINKS.get(firing.kind, "/alerts") if firing.kind in FLEET_KINDS else f"/sites/{firing.subject}",
        silenced=firing.silenced,
        fired_at=row.alert.fired_at,
        cleared_at=row.cleared_at,
        ago=words.ago(row.alert.fired_at, now),
        turned=words("alert.cleared", ago=words.ago(row.cleared_at, now))
        if row.cleared_at
        else words("alert.fired", ago=words.ago(row.alert.fired_at, now)),
        lasted=words("alert.lasted", span=lasted) if lasted else "",
    )
