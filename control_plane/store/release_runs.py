"""Which releases ran on a box, from when until when, by the reports that said so."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from control_plane.store.pool import Connection
from schemas.names import Digest, SiteId
from schemas.status import RunningRelease

MAX_RUNS: Final = 100


class ReleaseRun(Struct, frozen=True, kw_only=True):
    """A release ran from the report that first said so until the one that said otherwise; None: it runs.

    `tree` is None for one that was installed by hand.
    """

    version: str
    tree: Digest | None
    since: datetime
    until: datetime | None


class Started(NamedTuple):
    """A box said at `at` that it runs another release than before."""

    site: SiteId
    release: RunningRelease | None
    at: datetime


def told(release: RunningRelease | None) -> str:
    """A release in one word: two reports with the same one run the same."""
    return f"{release.version} {release.tree or ''}".strip() if release else ""


async def write(conn: Connection, started: Sequence[Started]) -> None:
    """End the runs of these sites, and begin those that came."""
    if not started:
        return
    rows = [
        {"site": one.site, "version": one.release and one.release.version, "tree": one.release and one.release.tree}
        | {"at": one.at}
        for one in started
    ]
    given = (msgspec.json.encode(rows).decode(),)
    await conn.execute(
        "update release_runs r set until = greatest(r.since, n.at) from json_to_recordset(%s) as n"
        " (site text, at timestamptz) where r.site = n.site and r.until is null",
        given,
    )
    await conn.execute(
        "insert into release_runs (site, version, tree, since) select site, version, tree, at"
        " from json_to_recordset(%s) as n (site text, version text, tree text, at timestamptz)"
        " where version is not null"
        " on conflict (site, since) do update set version = excluded.version, tree = excluded.tree, until = null",
        given,
    )


async def runs_of(conn: Connection, site: SiteId, limit: int = MAX_RUNS) -> list[ReleaseRun]:
    """What ran on a site's box, the newest first."""
    rows = await conn.execute(
        "select version, tree, since, until from release_runs where site = %s order by since desc limit %s",
        (site, limit),
    )
    return [
        ReleaseRun(version=version, tree=tree, since=since, until=until)
        for version, tree, since, until in await rows.fetchall()
    ]


class Failure(NamedTuple):
    """A release failed at a site, by the box's clock, and why."""

    site: SiteId
    at: datetime
    message: str


async def failures_of(conn: Connection, version: str, limit: int = MAX_RUNS) -> list[Failure]:
    """Where a release failed, by the events that are still kept, the newest first."""
    rows = await conn.execute(
        "select site, at, message from events where reason = 'ReleaseFailed' and starts_with(message, %s)"
        " order by received_at desc, number desc limit %s",
        (f"Release {version} failed, ", limit),
    )
    return [Failure(*row) for row in await rows.fetchall()]


async def prune(conn: Connection, before: datetime) -> int:
    """Forget runs that ended before this instant; how many rows."""
    return (await conn.execute("delete from release_runs where until < %s", (before,))).rowcount
