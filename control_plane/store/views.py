"""What people look at: sites beside what their boxes said, changes and how far they got. Reads only."""

import asyncio
import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from control_plane.core.standing import Desired, Reported, Verdict, judge
from control_plane.store import publications, remotes, reports
from control_plane.store.pool import Connection
from control_plane.store.publications import Published
from control_plane.store.remotes import RemoteLook
from schemas.api import Change, ChangeImpact, CommitSignature, FleetStatus, SiteDetail, SiteSummary, Standing
from schemas.desired import SiteState
from schemas.names import ID_PATTERN, Digest, DocumentId, Revision, SiteId
from schemas.rollouts import RolloutInfo, SiteRollout
from schemas.status import Event, RunningRelease, StatusReport

STANDINGS: Final[tuple[Standing, ...]] = (
    *("Degraded", "Offline", "Progressing", "Unknown", "Synced", "Suspended", "Retired"),
)
"""In the order of attention."""
RECENT_CHANGES: Final = 20
_SITE_ID: Final = re.compile(ID_PATTERN)
TURN: Final = 250
"""Rows that are read before others have their turn: some 5 ms, so that watching a large fleet delays no poll."""


class SiteView(Struct, frozen=True, kw_only=True):
    """A site as it is desired, as its box reported it, and how it stands. `facts` as the compiler wrote them."""

    site: SiteId
    name: str
    state: SiteState
    gone: bool
    has_identity: bool
    revoked: bool
    generation: int
    manifest: Digest
    commit: Revision
    published_at: datetime
    desired_release: str | None
    facts: dict[str, Any]
    received_at: datetime | None
    report: StatusReport | None
    verdict: Verdict


class Fleet(Struct, frozen=True, kw_only=True):
    """Everything on the first page, from one moment; `newest` is the commit last seen on the remote, if looked at."""

    sites: list[SiteView]
    changes: list[Change]
    published: Published | None
    remote: RemoteLook | None
    newest: Change | None
    read_at: datetime


_SITE: Final[LiteralString] = (
    "select s.site, s.name, s.state, s.gone, s.identity is not null, v.identity is not null, s.generation, s.manifest,"
    " s.revision, coalesce(g.published_at, s.issued_at), s.release, s.facts, r.received_at, r.body::text"
    " from sites s left join generations g on g.site = s.site and g.generation = s.generation"
    " left join revoked_identities v on v.identity = s.identity left join reports r on r.site = s.site"
)
# A site that left Git is listed until its box was told, if it has one.
_LISTED: Final[LiteralString] = (
    " where (not s.gone or (s.identity is not null and v.identity is null"
    " and r.site is not null and coalesce(r.head_generation, 0) < s.generation))"
)
_REPORT: Final = msgspec.json.Decoder(StatusReport)
_NOT_JUDGED: Final = Verdict(standing="Unknown", reason="", message="")


async def sites(conn: Connection, now: datetime, only: Collection[SiteId] | None = None) -> list[SiteView]:
    """Every site, by id, or `only` these of them."""
    named: LiteralString = "" if only is None else " and s.site = any(%(only)s)"
    given = {"only": None if only is None else list(only)}
    rows = await conn.execute(_SITE + _LISTED + named + " order by s.site", given)
    found: list[SiteView] = []
    while some := await rows.fetchmany(TURN):
        found += [_site_view(row, now) for row in some]
        await asyncio.sleep(0)
    return found


async def site(conn: Connection, name: SiteId, now: datetime) -> SiteView | None:
    """One site, also one that left Git."""
    row = await (await conn.execute(_SITE + " where s.site = %s", (name,))).fetchone()
    return _site_view(row, now) if row else None


async def is_visible(conn: Connection, name: SiteId, tenant: DocumentId | None) -> bool:
    """Whether somebody of that tenant may know of a site; the team (None) may know of all, also of what has none."""
    if tenant is None:
        return True
    rows = await conn.execute("select facts ->> 'tenant' = %s from sites where site = %s", (tenant, name))
    return await rows.fetchone() == (True,)


async def changes(conn: Connection, limit: int = RECENT_CHANGES) -> list[Change]:
    """The commits that were looked at last, newest first, and how many of the sites that each changed are there."""
    return await _changes(
        conn, "select * from commits order by seen_at desc, committed_at desc, revision limit %s", limit
    )


async def newest_commits(conn: Connection, limit: int = RECENT_CHANGES) -> list[tuple[Revision, str, list[str]]]:
    """The commits of `changes`, in its order, with verdict and problems: cheap to ask for."""
    rows = await conn.execute(
        "select revision, verdict, problems from commits order by seen_at desc, committed_at desc, revision limit %s",
        (limit,),
    )
    return await rows.fetchall()


async def change(conn: Connection, revision: Revision) -> Change | None:
    """One commit that was looked at."""
    found = await _changes(conn, "select * from commits where revision = %s", revision)
    return found[0] if found else None


async def changes_beginning(conn: Connection, digits: str) -> list[Change]:
    """The commits that were looked at whose id begins with these hexadecimal digits; two at most."""
    return await _changes(conn, "select * from commits where starts_with(revision, %s) limit 2", digits)


async def fleet(conn: Connection, now: datetime) -> Fleet:
    """The whole fleet, from one snapshot of the database."""
    async with conn.transaction():
        await conn.execute("set transaction isolation level repeatable read read only")
        remote = await remotes.last_look(conn)
        recent = await changes(conn)
        newest = next((c for c in recent if remote and c.commit == remote.revision), None)
        return Fleet(
            sites=await sites(conn, now),
            changes=recent,
            published=await publications.current(conn),
            remote=remote,
            newest=newest,
            read_at=now,
        )


async def reached_after(conn: Connection, revision: Revision) -> list[timedelta]:
    """After how long each site that a commit changed was there, by its box's report; the fastest first."""
    rows = await conn.execute(
        "select reached_at - published_at from generations where revision = %s and reached_at is not null order by 1",
        (revision,),
    )
    return [max(span, timedelta(0)) for (span,) in await rows.fetchall()]


async def reached_last(conn: Connection, revision: Revision, limit: int) -> list[tuple[SiteId, datetime, timedelta]]:
    """The sites that a commit changed and that are there: which, when, and how long after it; the last first."""
    rows = await conn.execute(
        "select site, reached_at, greatest(reached_at - published_at, interval '0') from generations"
        " where revision = %s and reached_at is not null order by reached_at desc, site limit %s",
        (revision, limit),
    )
    return await rows.fetchall()


async def first_published_since(conn: Connection, since: datetime) -> dict[SiteId, datetime]:
    """The sites that were published for the first time since then, and when; not those with which the fleet began."""
    rows = await conn.execute(
        "select g.site, min(g.published_at) from generations g where g.published_at > %(since)s"
        " and not exists (select from generations o where o.site = g.site and o.published_at <= %(since)s)"
        " group by g.site having min(g.published_at) > (select min(published_at) from commits)",
        {"since": since},
    )
    return dict(await rows.fetchall())


async def first_expiry(conn: Connection) -> datetime | None:
    """When the first head of a site that has a box expires."""
    rows = await conn.execute("select min(expires_at) from sites where identity is not null and not gone")
    row = await rows.fetchone()
    return row[0] if row else None


async def told_sites(conn: Connection) -> dict[SiteId, int]:
    """Suspended, retired and gone sites whose box has accepted the head that says so, and that head's generation."""
    rows = await conn.execute(
        "select s.site, s.generation from sites s join reports r on r.site = s.site"
        " where (s.gone or s.state <> 'active') and r.head_generation >= s.generation"
    )
    return dict(await rows.fetchall())


async def detail(conn: Connection, name: str, now: datetime) -> tuple[SiteView, list[Event]] | None:
    """One site and what happened on it, newest first; None where no site has that name, whatever it holds."""
    view = await site(conn, name, now) if _SITE_ID.fullmatch(name) else None
    return (view, await reports.events_of(conn, name)) if view else None


def standings(views: Sequence[SiteView]) -> dict[str, int]:
    """How many sites stand how; every word is there, also with 0."""
    counts: dict[str, int] = dict.fromkeys(STANDINGS, 0)
    for view in views:
        counts[view.verdict.standing] += 1
    return counts


def status_of(fleet: Fleet, rollouts: list[RolloutInfo]) -> FleetStatus:
    """The fleet as the command line and other programs read it."""
    return FleetStatus(
        commit=fleet.published.revision if fleet.published else None,
        published_at=fleet.published.published_at if fleet.published else None,
        remote_error=fleet.remote.error if fleet.remote else "",
        standings=standings(fleet.sites),
        changes=fleet.changes,
        rollouts=rollouts,
        sites=[summary_of(view) for view in fleet.sites],
    )


def summary_of(view: SiteView) -> SiteSummary:
    """A site in one line."""
    return SiteSummary(**_summary(view))


def detail_of(view: SiteView, events: list[Event], rollouts: list[SiteRollout]) -> SiteDetail:
    """A site, whole."""
    said = view.report
    if said is None:
        return SiteDetail(**_summary(view), manifest=view.manifest, events=events, rollouts=rollouts)
    return SiteDetail(
        **_summary(view),
        manifest=view.manifest,
        conditions=said.conditions,
        differences=said.differences,
        waiting=said.waiting,
        metrics=said.metrics,
        events=events,
        rollouts=rollouts,
    )


def running_release(view: SiteView) -> RunningRelease | None:
    """The release that the box said is active."""
    return view.report.release if view.report else None


def _summary(view: SiteView) -> dict[str, Any]:
    return {
        "site": view.site,
        "name": view.name,
        "standing": view.verdict.standing,
        "reason": view.verdict.reason,
        "message": view.verdict.message,
        "desired_release": view.desired_release,
        "release": running_release(view),
        "commit": view.commit,
        "generation": view.generation,
        "reported_generation": view.report.generation if view.report else None,
        "last_report_at": view.received_at,
    }


def _site_view(row: Sequence[Any], now: datetime) -> SiteView:
    name, title, state, gone, has_identity, revoked, generation, manifest, *rest = row
    commit, published_at, release, facts, at, body = rest
    view = SiteView(
        site=name,
        name=title,
        state=state,
        gone=gone,
        has_identity=has_identity,
        revoked=revoked,
        generation=generation,
        manifest=manifest,
        commit=commit,
        published_at=published_at,
        desired_release=release,
        facts=facts,
        received_at=at,
        report=_REPORT.decode(body) if body is not None else None,
        verdict=_NOT_JUDGED,
    )
    return replace(view, verdict=stands(view, now))


def stands(view: SiteView, now: datetime) -> Verdict:
    """How a site stands at `now`: silence is told by the time alone."""
    desired = Desired(
        state=view.state,
        gone=view.gone,
        has_identity=view.has_identity,
        revoked=view.revoked,
        generation=view.generation,
        published_at=view.published_at,
        connectivity=view.facts.get("connectivity", "always"),
    )
    return judge(desired, _reported(view.received_at, view.report), now)


def _reported(at: datetime | None, said: StatusReport | None) -> Reported | None:
    if at is None or said is None:
        return None
    return Reported(
        received_at=at,
        generation=said.generation,
        head_generation=said.head_generation,
        conditions=said.conditions,
        waiting=said.waiting,
    )


# A box that went straight to a newer generation has passed this one too; an ended site is there once it is told.
_PROGRESS: Final[LiteralString] = (
    # Sites are joined once for all of these commits, and nothing is sorted: a large fleet has hundreds of thousands.
    ", p as (select g.revision, count(*) filter (where there) reached,"
    "  array_agg(site) filter (where not there) missing from (select g.revision, g.site,"
    "   coalesce(r.generation >= g.generation"
    "    or ((s.gone or s.state <> 'active') and r.head_generation >= g.generation), false) there"
    "   from (select revision, site, max(generation) generation from generations"
    "    where revision in (select revision from c where verdict = 'published') group by 1, 2) g"
    "   left join reports r on r.site = g.site left join sites s on s.site = g.site) g group by 1)"
    " select c.revision, c.subject, c.author, c.committed_at, c.verdict, c.problems, c.published_at, c.sites,"
    " c.impact::text, c.signature::text, p.reached, p.missing from c left join p using (revision)"
    " order by c.seen_at desc, c.committed_at desc, c.revision"
)


async def _changes(conn: Connection, which: LiteralString, key: object) -> list[Change]:
    rows = await conn.execute("with c as materialized (" + which + ")" + _PROGRESS, (key,))
    return [_change(row) for row in await rows.fetchall()]


def _change(row: Sequence[Any]) -> Change:
    revision, subject, author, committed_at, verdict, problems, published_at, count, *rest = row
    impact, signature, reached, missing = rest
    return Change(
        commit=revision,
        subject=subject,
        author=author,
        committed_at=committed_at,
        verdict=verdict,
        problems=problems,
        published_at=published_at,
        sites=max(count, (reached or 0) + len(missing or ())),
        converged=reached or 0,
        missing=sorted(missing or ()),
        impact=msgspec.json.decode(impact, type=ChangeImpact) if impact else None,
        signature=msgspec.json.decode(signature, type=CommitSignature) if signature else None,
    )
