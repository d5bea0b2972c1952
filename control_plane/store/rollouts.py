"""Rollouts as they are kept: where each stands, and how it goes at each of its sites."""

import asyncio
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple

import msgspec
from msgspec import Struct
from psycopg.rows import dict_row

from control_plane.core.rollout import Member, Rollout
from control_plane.store.copying import copy_into
from control_plane.store.pool import Connection
from schemas.desired import Connectivity
from schemas.names import Revision, SiteId
from schemas.rollouts import Cause, Outcome
from schemas.status import Condition, RunningRelease

RECENT: Final = 20
TURN: Final = 500
_FIELDS: Final = tuple(field for field in Rollout.__struct_fields__ if field != "members")
_ROLLOUT: Final[LiteralString] = (
    "select r.number, r.kind, r.version, r.policy, r.revision, r.started_at, r.phase, r.wave, r.wave_at, r.sound_since,"
    " r.ended_at, r.cause::text"
)
_OPENED: Final[LiteralString] = " from rollouts r where r.ended_at is null order by r.number"
_ENDED: Final[LiteralString] = (
    " from rollouts r where r.ended_at is not null order by r.ended_at desc, r.number desc limit %s"
)
_ONE: Final[LiteralString] = " from rollouts r where r.number = %s"
_BEGUN: Final[LiteralString] = " from rollouts r where r.revision = %s order by r.number"


class Change(NamedTuple):
    """A rollout before and after; None: it is new."""

    before: Rollout | None
    after: Rollout

    @property
    def moved(self) -> bool:
        """Whether it stands otherwise, whatever is known of its members."""
        return self.before is None or any(getattr(self.before, name) != getattr(self.after, name) for name in _FIELDS)


class Brief(Struct, frozen=True, kw_only=True, gc=False):
    """Of a report what tells how a release does."""

    agent_version: str
    release: RunningRelease | None = None
    conditions: list[Condition] = []


_REPORT: Final = msgspec.json.Decoder(Brief)
_CAUSE: Final = msgspec.json.Decoder(Cause | None)


class Said(NamedTuple):
    """What a box last said, and when."""

    received_at: datetime
    connectivity: Connectivity
    report: Brief


class SiteRollout(NamedTuple):
    """A rollout that a site is part of, without its other members: how many there are, and how many go before it."""

    rollout: Rollout
    member: Member
    ahead: int
    sites: int


class Tally(NamedTuple):
    """How many of the members that a wave let in (None: that wait) have an outcome; `since`: the first was let in."""

    wave: int | None
    outcome: Outcome
    sites: int
    since: datetime | None


class Counted(NamedTuple):
    """A rollout without its members, and how many of them do how."""

    rollout: Rollout
    tallies: Sequence[Tally]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many wait, or have which outcome."""
        counts: Counter[str] = Counter()
        for tally in self.tallies:
            counts[tally.outcome if tally.wave is not None else "waiting"] += tally.sites
        return counts


class Placed(NamedTuple):
    """A member, and how many go before it."""

    site: SiteId
    member: Member
    ahead: int


async def opened(conn: Connection) -> list[Rollout]:
    """Those that have not ended, whole, in the order in which they began."""
    return await _whole(conn, await _rows(conn, _OPENED, ()))


async def under_way(conn: Connection) -> list[Rollout]:
    """Those that have not ended, without their members, which may be many."""
    return [
        _rollout(row) for row in await _rows(conn, " from rollouts r where r.ended_at is null order by r.number", ())
    ]


async def rollout(conn: Connection, number: int) -> Rollout | None:
    """One of them, whole."""
    found = await _whole(conn, await _rows(conn, _ONE, (number,)))
    return found[0] if found else None


async def count_opened(conn: Connection) -> list[Counted]:
    """As `opened`, by their figures: what a first page may ask for of ten thousand members."""
    return await _counted(conn, await _rows(conn, _OPENED, ()))


async def count_ended(conn: Connection, limit: int = RECENT) -> list[Counted]:
    """The last ones that ended, by their figures, the newest first."""
    return await _counted(conn, await _rows(conn, _ENDED, (limit,)))


async def count(conn: Connection, number: int) -> Counted | None:
    """As `rollout`, by its figures."""
    found = await _counted(conn, await _rows(conn, _ONE, (number,)))
    return found[0] if found else None


async def count_begun(conn: Connection, revision: Revision) -> list[Counted]:
    """Those that this commit began, by their figures."""
    return await _counted(conn, await _rows(conn, _BEGUN, (revision,)))


async def members(conn: Connection, number: int, *, limit: int, skip: int) -> list[Placed]:
    """Some of a rollout's members: those that failed first, then who has not told, then who has it, then who waits;
    each in the order of their turn."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            "select m.*, row_number() over (order by m.position) - 1 as ahead from rollout_sites m"
            " where m.rollout = %s order by case when m.outcome = 'failed' then 0 when m.wave is null then 3"
            " when m.outcome = 'pending' then 1 else 2 end, m.position limit %s offset %s",
            (number, limit, skip),
        )
        rows = await cursor.fetchall()
    return [
        Placed(row["site"], _member([row[name] for name in Member.__struct_fields__]), row["ahead"]) for row in rows
    ]


async def of_site(conn: Connection, site: SiteId) -> list[SiteRollout]:
    """Those open ones that a site is part of."""
    rows = await _rows(
        conn,
        ", m.position, m.before, m.wave as member_wave, m.let_in_at, m.outcome, m.why as member_why, m.excused,"
        " o.ahead, o.sites from rollouts r join rollout_sites m on m.rollout = r.number cross join lateral"
        " (select count(*) sites, count(*) filter (where o.position < m.position) ahead"
        "  from rollout_sites o where o.rollout = r.number) o"
        " where r.ended_at is null and m.site = %s order by r.number",
        (site,),
    )
    names = ("position", "before", "member_wave", "let_in_at", "outcome", "member_why", "excused")
    return [
        SiteRollout(_rollout(row), _member([row[name] for name in names]), row["ahead"], row["sites"]) for row in rows
    ]


async def has_opened(conn: Connection) -> bool:
    """Whether there is one that has not ended."""
    row = await (await conn.execute("select exists (select from rollouts where ended_at is null)")).fetchone()
    return row == (True,)


async def next_number(conn: Connection) -> int:
    """Of a rollout that begins."""
    row = await (await conn.execute("select coalesce(max(number), 0) + 1 from rollouts")).fetchone()
    assert row is not None
    return int(row[0])


async def said(conn: Connection, number: int) -> dict[SiteId, Said]:
    """What the boxes of a rollout last said, of those that have it; none of one that never spoke."""
    rows = await conn.execute(
        "select m.site, r.received_at, coalesce(s.facts ->> 'connectivity', 'always'), r.body::text"
        " from rollout_sites m join reports r on r.site = m.site join sites s on s.site = m.site"
        " where m.rollout = %s and m.wave is not null",
        (number,),
    )
    found: dict[SiteId, Said] = {}
    while some := await rows.fetchmany(TURN):
        found |= {site: Said(at, connectivity, _REPORT.decode(body)) for site, at, connectivity, body in some}
        await asyncio.sleep(0)
    return found


async def write(conn: Connection, changes: Iterable[Change]) -> None:
    """Keep them as they are now; in the caller's transaction."""
    for change in changes:
        before, after = change
        if change.moved:
            await _write_rollout(conn, after)
        known = before.members if before else {}
        gone = [site for site in known if site not in after.members]
        if gone and after.ended_at is None:
            await conn.execute("delete from rollout_sites where rollout = %s and site = any(%s)", (after.number, gone))
        changed = [(site, member) for site, member in after.members.items() if known.get(site) != member]
        await _write_members(conn, after.number, changed)


async def _write_rollout(conn: Connection, rollout: Rollout) -> None:
    await conn.execute(
        "insert into rollouts (number, kind, version, policy, revision, started_at, phase, wave, wave_at,"
        " sound_since, ended_at, cause) values (%(number)s, %(kind)s, %(version)s, %(policy)s,"
        " %(revision)s, %(started_at)s, %(phase)s, %(wave)s, %(wave_at)s, %(sound_since)s, %(ended_at)s,"
        " %(cause)s::jsonb)"
        " on conflict (number) do update set phase = excluded.phase, wave = excluded.wave,"
        " wave_at = excluded.wave_at, sound_since = excluded.sound_since, ended_at = excluded.ended_at,"
        " cause = excluded.cause",
        {name: getattr(rollout, name) for name in _FIELDS} | {"cause": msgspec.json.encode(rollout.cause).decode()},
    )


async def _write_members(conn: Connection, number: int, members: Sequence[tuple[SiteId, Member]]) -> None:
    if not members:
        return
    await conn.execute("create temporary table joining (like rollout_sites including defaults) on commit drop")
    await copy_into(
        conn,
        "copy joining from stdin (format binary)",
        ["int8", "text", "int4", "text", "int4", "timestamptz", "text", "text", "bool"],
        ((number, site, m.position, m.before, m.wave, m.let_in_at, m.outcome, m.why, m.excused) for site, m in members),
    )
    await conn.execute(
        "insert into rollout_sites select * from joining on conflict (rollout, site) do update set"
        " position = excluded.position, before = excluded.before, wave = excluded.wave,"
        " let_in_at = excluded.let_in_at, outcome = excluded.outcome, why = excluded.why, excused = excluded.excused"
    )
    await conn.execute("drop table joining")


async def prune(conn: Connection, before: datetime) -> int:
    """Forget rollouts that ended before this instant, but the last that there was: no number comes again. How many."""
    return (
        await conn.execute(
            "delete from rollouts where ended_at < %s and number < (select max(number) from rollouts)", (before,)
        )
    ).rowcount


async def _rows(conn: Connection, query: LiteralString, given: Sequence[object]) -> list[dict[str, Any]]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_ROLLOUT + query, given)
        return await cursor.fetchall()


async def _whole(conn: Connection, rows: Collection[dict[str, Any]]) -> list[Rollout]:
    members: dict[int, dict[SiteId, Member]] = {row["number"]: {} for row in rows}
    found = await conn.execute(
        "select rollout, site, position, before, wave, let_in_at, outcome, why, excused from rollout_sites"
        " where rollout = any(%s) order by rollout, position",
        (list(members),),
    )
    while some := await found.fetchmany(TURN):
        for number, site, *about in some:
            members[number][site] = _member(about)
        await asyncio.sleep(0)
    return [_rollout(row, members[row["number"]]) for row in rows]


async def _counted(conn: Connection, rows: Collection[dict[str, Any]]) -> list[Counted]:
    if not rows:
        return []
    tallies: dict[int, list[Tally]] = {row["number"]: [] for row in rows}
    found = await conn.execute(
        "select rollout, wave, outcome, count(*), min(let_in_at) from rollout_sites where rollout = any(%s)"
        " group by 1, 2, 3 order by 1, 2, 3",
        (list(tallies),),
    )
    for number, *tally in await found.fetchall():
        tallies[number].append(Tally(*tally))
    return [Counted(_rollout(row), tallies[row["number"]]) for row in rows]


def _rollout(row: dict[str, Any], members: dict[SiteId, Member] | None = None) -> Rollout:
    cause = _CAUSE.decode(row["cause"] or "null")
    return Rollout(**{name: row[name] for name in _FIELDS} | {"cause": cause}, members=members or {})


def _member(about: Sequence[Any]) -> Member:
    position, before, wave, let_in_at, outcome, why, excused = about
    return Member(
        position=position,
        before=before,
        wave=wave,
        let_in_at=let_in_at,
        outcome=outcome,
        why=why,
        excused=excused,
    )
