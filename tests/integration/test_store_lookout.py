"""A look at a large fleet reads only what was heard of, and finds what a look at everything finds."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from control_plane.api.heads import Heads
from control_plane.store import publications, views
from control_plane.store.lookout import Lookout
from control_plane.store.publications import CommitLook
from control_plane.store.views import Fleet
from schemas.status import Condition, StatusReport
from tests.support.api import Api, until
from tests.support.patience import PATIENCE_S
from tests.support.published import Box, Wanted

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
SITES = [f"club-{number}" for number in range(8)]
BOXES = {site: Box(site) for site in SITES}


@asynccontextmanager
async def watching(api: Api) -> AsyncIterator[Lookout]:
    """A lookout for which every fleet is a large one, and that hears of news."""
    lookout = Lookout(api.pool, lambda: api.now, small=0)
    heads = Heads(lambda: str(api.pool.conninfo), lookout)
    async with heads.following():
        await until(lambda: heads.listening)
        yield lookout


async def everything(api: Api) -> Fleet:
    async with api.connection() as conn:
        return await views.fleet(conn, api.now)


class Walk:
    """Things that happen to a fleet, by chance."""

    def __init__(self, api: Api, seed: int) -> None:
        self.api, self.chance = api, random.Random(seed)
        self.sequence = 0

    async def step(self) -> None:
        rarely = (self.publish, self.leave, self.revoke, self.refuse, self.pass_time)
        await self.chance.choice((*rarely, self.report, self.report, self.report))()

    def some(self) -> list[str]:
        return self.chance.sample(SITES, self.chance.randint(1, 3))

    async def report(self) -> None:
        known = {view.site: view.generation for view in (await everything(self.api)).sites}
        for site in self.some():
            generation = self.chance.choice([None, 1, known.get(site, 1)])
            self.sequence += 1
            degraded = Condition(
                type="Degraded", status=self.chance.choice(["True", "False"]), reason="DiskFull", since=self.api.now
            )
            said = StatusReport(
                run_id="a" * 32,
                sequence=self.sequence,
                at=self.api.now,
                agent_version="1.0.0",
                generation=generation,
                head_generation=generation,
                conditions=[degraded],
            )
            await self.api.report(site, said)

    async def publish(self) -> None:
        self.api.now += timedelta(seconds=1)
        sites = {
            site: Wanted(
                BOXES[site].identity, name=f"Club {self.sequence}", state=self.chance.choice(["active", "suspended"])
            )
            for site in self.some()
        }
        await self.api.publish(sites)

    async def leave(self) -> None:
        self.api.now += timedelta(seconds=1)
        await self.api.publish({site: Wanted(BOXES[site].identity, gone=True) for site in self.some()[:1]})

    async def revoke(self) -> None:
        await self.api.publish({}, revoked=[BOXES[site].identity for site in self.some()[:1]])

    async def refuse(self) -> None:
        self.api.now += timedelta(seconds=1)
        commit = CommitLook(
            revision=f"{self.chance.getrandbits(160):040x}", author="Eve", subject="Break", committed_at=self.api.now
        )
        async with self.api.connection() as conn:
            await publications.refuse(conn, await publications.current(conn), commit, [], now=self.api.now)

    async def pass_time(self) -> None:
        self.api.now += timedelta(minutes=self.chance.randint(1, 20))


@pytest.mark.parametrize("seed", range(3))
async def test_look_that_reads_what_was_heard_of_is_a_look_at_everything(api: Api, seed: int) -> None:
    await api.publish({site: Wanted(BOXES[site].identity) for site in SITES})
    walk = Walk(api, seed)
    async with watching(api) as lookout:
        await lookout.fleet()
        for _ in range(25):
            await walk.step()
            await seen(lookout, await everything(api))


async def seen(lookout: Lookout, wanted: Fleet) -> None:
    """Return when the lookout finds this fleet; fail when it does not in time."""
    async with asyncio.timeout(PATIENCE_S):
        while await lookout.fleet() != wanted:
            await asyncio.sleep(0.01)


async def test_view_of_a_site_of_which_nothing_is_new_stays_the_very_same(api: Api) -> None:
    await api.publish({site: Wanted(BOXES[site].identity) for site in SITES})
    async with watching(api) as lookout:
        before = {view.site: view for view in (await lookout.fleet()).sites}
        await api.report("club-3", StatusReport(run_id="a" * 32, sequence=1, at=api.now, agent_version="1.0.0"))
        await seen(lookout, await everything(api))
        after = {view.site: view for view in (await lookout.fleet()).sites}
    assert [site for site in SITES if after[site] is not before[site]] == ["club-3"]


async def test_news_that_was_missed_while_nobody_listened_is_found(api: Api) -> None:
    await api.publish({site: Wanted(BOXES[site].identity) for site in SITES})
    async with watching(api) as lookout:
        await lookout.fleet()
        async with api.connection() as conn:
            await conn.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where query like 'listen%%' and datname = current_database() and pid <> pg_backend_pid()"
            )
        await api.report("club-5", StatusReport(run_id="a" * 32, sequence=1, at=api.now, agent_version="1.0.0"))
        await seen(lookout, await everything(api))


async def test_who_was_shown_an_old_look_is_told_when_there_is_a_new_one(api: Api) -> None:
    await api.publish({site: Wanted(BOXES[site].identity) for site in SITES})
    async with watching(api) as lookout, asyncio.timeout(PATIENCE_S):
        told, shown_old = asyncio.Event(), False
        lookout.tell = lambda sites: told.set() if sites == {"club-5"} else None
        for sequence in itertools.count(1):
            await lookout.fleet()
            await api.report("club-5", StatusReport(run_id="a" * 32, sequence=sequence, at=api.now, agent_version="1"))
            wanted = await everything(api)
            # On a slow machine the look is too old to be shown: then everybody waits, and nobody needs to be told.
            while await lookout.fleet() != wanted:
                shown_old = True
                await asyncio.sleep(0.01)
            if shown_old:
                break
        await told.wait()
