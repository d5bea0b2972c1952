"""Whose reports are refused now: of each box, by the token that it signed, one row with the last reason."""

from datetime import datetime
from typing import Final, NamedTuple

from control_plane.store.pool import Connection
from schemas.names import SiteId

MAX_REASON: Final = 300


class Refusal(NamedTuple):
    """`number` reports were refused since the last that was taken, the first at `since`."""

    since: datetime
    last_at: datetime
    number: int
    reason: str


async def note(conn: Connection, site: SiteId, reason: str, count: int, now: datetime) -> None:
    """So many more reports of this box were refused, the last for this reason."""
    await conn.execute(
        "insert into refused_reports as f (site, since, last_at, count, reason)"
        " values (%(site)s, %(now)s, %(now)s, %(count)s, %(reason)s) on conflict (site) do update"
        " set last_at = excluded.last_at, reason = excluded.reason, (since, count) = ("
        "  select case when taken then excluded.since else f.since end,"
        "  excluded.count + case when taken then 0 else f.count end"
        "  from (select exists (select from reports where site = f.site and received_at >= f.last_at) as taken) t)",
        {"site": site, "now": now, "count": count, "reason": reason.replace("\0", "")[:MAX_REASON]},
    )


async def refused_since(conn: Connection, since: datetime) -> dict[SiteId, Refusal]:
    """The boxes whose last report was refused, and not before then."""
    rows = await conn.execute(
        "select f.site, f.since, f.last_at, f.count, f.reason from refused_reports f left join reports r using (site)"
        " where f.last_at >= %s and (r.received_at is null or r.received_at < f.last_at)",
        (since,),
    )
    return {site: Refusal(*facts) for site, *facts in await rows.fetchall()}


async def prune(conn: Connection, before: datetime) -> int:
    """Forget whose last report was refused before then; how many."""
    return (await conn.execute("delete from refused_reports where last_at < %s", (before,))).rowcount
