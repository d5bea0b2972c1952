"""What boxes sent and fetched, by the hour and by the tenant of their sites: a few rows an hour, however many boxes."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, LiteralString

import msgspec
from msgspec import Struct

from control_plane.store.pool import Connection
from schemas.memory import Period, Traffic
from schemas.names import DocumentId, SiteId

HOUR: Final = timedelta(hours=1)
HOURS: Final = 24


class Counted(Struct, frozen=True, kw_only=True):
    """What a site's box sent and fetched within the hour that began at `at`."""

    at: datetime
    site: SiteId
    reports: int = 0
    downloads: int = 0
    download_bytes: int = 0


class Hour(Struct, frozen=True, kw_only=True):
    """An hour of all sites, or of a tenant's. `changes`: commits that were published and reached for any of them."""

    at: datetime
    reports: int
    downloads: int
    download_bytes: int
    changes: int


async def add(conn: Connection, counted: Sequence[Counted]) -> None:
    """Add what was counted to what is known; several control planes may, at once."""
    if not counted:
        return
    await conn.execute(
        "insert into activity as a (at, tenant, reports, downloads, download_bytes)"
        " select c.at, coalesce(s.facts->>'tenant', ''), sum(c.reports), sum(c.downloads), sum(c.download_bytes)"
        " from json_to_recordset(%s) as c (at timestamptz, site text, reports bigint, downloads bigint,"
        " download_bytes bigint) left join sites s on s.site = c.site group by 1, 2 order by 1, 2"
        " on conflict (at, tenant) do update set reports = a.reports + excluded.reports,"
        " downloads = a.downloads + excluded.downloads, download_bytes = a.download_bytes + excluded.download_bytes",
        (msgspec.json.encode(counted).decode(),),
    )


_CHANGES: Final[LiteralString] = (
    "with c as (select date_bin('1 hour', published_at, %(since)s) as at, count(*) n from commits"
    " where published_at >= %(since)s and sites > 0 group by 1),"
)
_OWN_CHANGES: Final[LiteralString] = (
    "with c as (select date_bin('1 hour', g.published_at, %(since)s) as at, count(distinct g.revision) n"
    " from generations g join sites s on s.site = g.site"
    " where g.published_at >= %(since)s and s.facts->>'tenant' = %(tenant)s group by 1),"
)
_HOURS: Final[LiteralString] = (
    " a as (select at, sum(reports)::bigint r, sum(downloads)::bigint d, sum(download_bytes)::bigint b from activity"
    "  where at >= %(since)s and (%(tenant)s::text is null or tenant = %(tenant)s) group by 1)"
    " select h.at, coalesce(a.r, 0), coalesce(a.d, 0), coalesce(a.b, 0), coalesce(c.n, 0)"
    " from generate_series(%(since)s, %(now)s, interval '1 hour') h (at) left join a using (at) left join c using (at)"
    " order by 1"
)


async def last_hours(conn: Connection, now: datetime, tenant: DocumentId | None = None) -> list[Hour]:
    """The last 24 hours, the oldest first, the present one last: of all sites, or of that tenant's alone."""
    since = now.replace(minute=0, second=0, microsecond=0) - (HOURS - 1) * HOUR
    changes: LiteralString = _CHANGES if tenant is None else _OWN_CHANGES
    rows = await conn.execute(changes + _HOURS, {"since": since, "now": now, "tenant": tenant})
    return [
        Hour(at=at, reports=reports, downloads=downloads, download_bytes=size, changes=changed)
        for at, reports, downloads, size, changed in await rows.fetchall()
    ]


async def traffic(conn: Connection, period: Period, count: int, now: datetime) -> list[Traffic]:
    """Of all sites in the last `count` weeks or months and the present one, the oldest first."""
    rows = await conn.execute(
        "select p::date, coalesce(sum(a.reports), 0)::bigint, coalesce(sum(a.downloads), 0)::bigint,"
        " coalesce(sum(a.download_bytes), 0)::bigint from generate_series(date_trunc(%(unit)s, %(now)s)"
        " - %(back)s * %(step)s::interval, %(now)s, %(step)s::interval) p"
        " left join activity a on a.at >= p and a.at < p + %(step)s::interval group by 1 order by 1",
        {"unit": period, "step": f"1 {period}", "back": count, "now": now},
    )
    return [
        Traffic(begins=begins, reports=reports, downloads=downloads, download_bytes=size)
        for begins, reports, downloads, size in await rows.fetchall()
    ]


async def prune(conn: Connection, before: datetime) -> int:
    """Forget hours that began before this instant; how many rows."""
    return (await conn.execute("delete from activity where at < %s", (before,))).rowcount
