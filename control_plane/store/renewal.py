"""A look at the fleet renewed: only what was heard of is read again, and everything is judged anew."""

import asyncio
from collections.abc import Mapping, Set
from datetime import datetime

from msgspec.structs import replace

from control_plane.store import publications, remotes, views
from control_plane.store.pool import Connection
from control_plane.store.views import TURN, Fleet, SiteView
from schemas.api import Change
from schemas.names import SiteId


async def renewed(conn: Connection, old: Fleet, changed: Set[SiteId], now: datetime) -> Fleet:
    """What `views.fleet` would find at `now`, if since `old` nothing was published or reported but of `changed`.

    Of a site of which nothing is new the view is the very same object.
    """
    async with conn.transaction():
        await conn.execute("set transaction isolation level repeatable read read only")
        remote = await remotes.last_look(conn)
        anew = {view.site: view for view in await views.sites(conn, now, changed)}
        before = {view.site: view for view in old.sites if view.site in changed}
        recent = await _changes(conn, old, moved=before.keys() != anew.keys() or _moved(before, anew))
        published = await publications.current(conn)
    newest = next((change for change in recent if remote and change.commit == remote.revision), None)
    sites = await _merged(old, anew, changed, now)
    return Fleet(sites=sites, changes=recent, published=published, remote=remote, newest=newest, read_at=now)


def _moved(before: Mapping[SiteId, SiteView], anew: Mapping[SiteId, SiteView]) -> bool:
    """Whether a box has got anywhere, so that changes have reached others than before."""
    return any(_reached(before[site]) != _reached(view) for site, view in anew.items())


def _reached(view: SiteView) -> tuple[int | None, int | None]:
    return (view.report.generation, view.report.head_generation) if view.report else (None, None)


async def _changes(conn: Connection, old: Fleet, *, moved: bool) -> list[Change]:
    """How far the newest commits got is counted site by site: only where it can be another than before."""
    known = [(change.commit, change.verdict, change.problems) for change in old.changes]
    return await views.changes(conn) if moved or await views.newest_commits(conn) != known else old.changes


async def _merged(old: Fleet, anew: Mapping[SiteId, SiteView], changed: Set[SiteId], now: datetime) -> list[SiteView]:
    sites, left = [], dict(anew)
    for number, view in enumerate(old.sites):
        if number % (TURN * 4) == 0:
            await asyncio.sleep(0)
        if view.site not in changed:
            verdict = views.stands(view, now)
            sites.append(view if verdict == view.verdict else replace(view, verdict=verdict))
        elif fresh := left.pop(view.site, None):
            sites.append(fresh)
    return sorted([*sites, *left.values()], key=lambda view: view.site) if left else sites
