"""How it went, by week and month: availability, deployments, frequent troubles. Of active sites; reads only."""

from datetime import datetime
from typing import Any, Final, LiteralString

from control_plane.store.pool import Connection
from schemas.memory import Availability, Deployments, Period, Trouble
from schemas.names import SiteId

MAX_PERIODS: Final = 60
_PERIODS: Final[LiteralString] = (
    "with periods as (select b as begins, b + %(step)s::interval as ends from generate_series("
    "date_trunc(%(unit)s, %(now)s) - %(back)s * %(step)s::interval, %(now)s, %(step)s::interval) b),"
    " fleet as (select s.site, r.first_at, r.received_at from sites s join reports r on r.site = s.site"
    " where s.state = 'active' and not s.gone and (%(site)s::text is null or s.site = %(site)s))"
)
_STEPS: Final = {"week": "1 week", "month": "1 month"}

_AVAILABILITY: Final[LiteralString] = (
    # The last report of a site that is silent now begins a silence that is not over.
    ", quiet as (select q.site, q.since, q.until from silences q join fleet using (site)"
    "  where q.until > (select min(begins) from periods)"
    "  union all select site, received_at, %(now)s from fleet where received_at < %(now)s - interval '15 minutes'),"
    " known as (select p.begins, extract(epoch from sum(least(p.ends, %(now)s) - greatest(p.begins, f.first_at))) s"
    "  from periods p join fleet f on f.first_at < least(p.ends, %(now)s) group by 1),"
    " unheard as (select p.begins, extract(epoch from sum(least(p.ends, q.until) - greatest(p.begins, q.since))) s"
    "  from periods p join quiet q on q.since < p.ends and q.until > p.begins group by 1),"
    # From the tables themselves and by days first: PostgreSQL does that part with several workers.
    " days as (select m.at, sum(m.span_s) s, sum(m.late_s) late from metrics_days m join sites s on s.site = m.site"
    "  where s.state = 'active' and not s.gone and (%(site)s is null or m.site = %(site)s) and m.at < %(now)s"
    "  and m.at >= (select min(begins) from periods) group by m.at),"
    " ran as (select date_trunc(%(unit)s, at) as begins, sum(s) s, sum(late) late from days group by 1)"
    " select p.begins::date, coalesce(known.s, 0)::bigint, coalesce(unheard.s, 0)::bigint, coalesce(ran.s, 0)::bigint,"
    " coalesce(ran.late, 0)::bigint from periods p left join known using (begins) left join unheard using (begins)"
    " left join ran using (begins) order by 1"
)


async def availability(
    conn: Connection, period: Period, count: int, now: datetime, site: SiteId | None = None
) -> list[Availability]:
    """Of a site, or of all, in the last `count` weeks or months and the present one, the oldest first."""
    rows = await conn.execute(_PERIODS + _AVAILABILITY, _asked(period, count, now, site))
    return [
        Availability(begins=begins, known_s=known, heard_s=max(0, known - unheard), ran_s=ran, ran_unheard_s=late)
        for begins, known, unheard, ran, late in await rows.fetchall()
    ]


_DEPLOYMENTS: Final[LiteralString] = (
    ", given as (select g.site, g.published_at, g.reached_at, lead(g.published_at) over newer as overtaken_at"
    "  from generations g join fleet using (site) where g.published_at >= (select min(begins) from periods)"
    "  window newer as (partition by g.site order by g.generation)),"
    " judged as (select date_trunc(%(unit)s, published_at) as begins, published_at, reached_at, case"
    "  when reached_at is not null then 'reached'"
    "  when exists (select from condition_spans c where c.site = given.site and c.type = 'Degraded'"
    "   and c.status = 'True' and c.since < coalesce(overtaken_at, %(now)s)"
    "   and (c.until is null or c.until > published_at)) then 'failing'"
    "  when overtaken_at is not null then 'overtaken' else 'waiting' end as came from given)"
    " select p.begins::date, count(j.came), count(*) filter (where came = 'reached'),"
    " count(*) filter (where came = 'overtaken'), count(*) filter (where came = 'failing'),"
    " count(*) filter (where came = 'waiting'), extract(epoch from avg(reached_at - published_at))::float8,"
    " extract(epoch from percentile_cont(0.5) within group (order by reached_at - published_at))::float8"
    " from periods p left join judged j using (begins) group by 1 order by 1"
)


async def deployments(
    conn: Connection, period: Period, count: int, now: datetime, site: SiteId | None = None
) -> list[Deployments]:
    """To a site, or to all, that were published in the last `count` weeks or months and the present one."""
    rows = await conn.execute(_PERIODS + _DEPLOYMENTS, _asked(period, count, now, site))
    return [_deployments(*row) for row in await rows.fetchall()]


def _deployments(begins: Any, published: int, *rest: Any) -> Deployments:
    reached, overtaken, failing, waiting, mean_s, median_s = rest
    return Deployments(
        begins=begins,
        published=published,
        reached=reached,
        overtaken=overtaken,
        failing=failing,
        waiting=waiting,
        mean_s=mean_s,
        median_s=median_s,
    )


async def troubles(conn: Connection, since: datetime, limit: int = 20) -> list[Trouble]:
    """The reasons of warnings and errors that came since then, the most frequent first."""
    rows = await conn.execute(
        "select reason, severity, count(*), count(distinct site), max(at) from events"
        " where received_at >= %s and severity <> 'info' group by 1, 2 order by 3 desc, 1, 2 limit %s",
        (since, limit),
    )
    return [
        Trouble(reason=reason, severity=severity, events=events, sites=sites, last_at=last_at)
        for reason, severity, events, sites, last_at in await rows.fetchall()
    ]


def _asked(period: Period, count: int, now: datetime, site: SiteId | None) -> dict[str, object]:
    return {"unit": period, "step": _STEPS[period], "back": count, "now": now, "site": site}
