"""Rollouts on the server: who is served what, wave by wave, through commits, halts, restarts and other processes."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from control_plane.core.alert_words import sentence
from control_plane.core.rollout import Rollout
from control_plane.core.rollout_info import info_of
from control_plane.pipeline import Outcome
from control_plane.store import alerts, figures, library, publications, reports, rollouts
from control_plane.store.reports import Received
from control_plane.watching import Watch
from schemas.manifest import SiteManifest
from schemas.rollouts import Cause
from schemas.status import Condition, RunningRelease
from tests.support.published import NOW, report
from tests.support.trust_keys import Changes
from tests.support.world import World, as_yaml, open_world, reopened

pytestmark = pytest.mark.anyio

TEN = [f"site-{number}" for number in range(10)]
POLICY: dict[str, Any] = {"waves": ["10%", "50%", "100%"], "soak": "30m", "quorum": "80%", "deadline": "24h"}
SOAK = timedelta(minutes=31)


def fleet(release: str | None, policy: Mapping[str, Any] = POLICY, **more: Any) -> str:
    defaults = {"video_sets": ["national"], "rollout": "standard"} | ({"release": release} if release else {}) | more
    return as_yaml({"schema": 1, "defaults": defaults, "rollouts": {"standard": policy}})


def files(world: World) -> Changes:
    others = {path: text for path, text in world.first_files().items() if not path.startswith("sites/")}
    sites = {f"sites/{site}.yaml": world.site_file(site) for site in TEN}
    return others | sites | {"fleet.yaml": fleet("1.0.0")}


def release(world: World, version: str) -> Changes:
    return world.add_release(version, {"VERSION": version.encode(), "server/app.py": f"# {version}".encode()})


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[World]:
    """Ten sites run 1.0.0 and say so, and a policy is in force."""
    async with open_world(tmp_path, database, files=files) as opened:
        assert (await opened.ingest()).verdict == "published"
        await say(opened, TEN, "1.0.0")
        yield opened


async def push(world: World, changes: Mapping[str, str | None], message: str = "Change the fleet") -> Outcome:
    world.commit(changes, message)
    outcome = await world.ingest()
    assert outcome.verdict == "published", outcome.problems
    return outcome


async def roll_out(world: World, version: str, policy: Mapping[str, Any] = POLICY) -> Outcome:
    return await push(world, {"fleet.yaml": fleet(version, policy)} | release(world, version))


async def say(world: World, sites: Iterable[str], version: str, *conditions: Condition, **fields: Any) -> None:
    """Each of these boxes reports now that it runs this version, well unless the conditions say otherwise."""
    healthy = Condition(type="ReleaseHealthy", status="True", reason="Healthy", since=NOW)
    said = [condition for condition in (healthy, *conditions) if condition.type != "ReleaseHealthy" or not conditions]
    sequence = int(world.clock().timestamp() * 1000)
    async with world.connection() as conn:
        generations = {row.site: row.generation for row in await publications.all_heads(conn)}
        received = [
            Received(
                site=site,
                report=report(
                    generations[site],
                    sequence=sequence,
                    release=RunningRelease(version=version),
                    conditions=said or [healthy],
                    **fields,
                ),
                received_at=world.clock(),
            )
            for site in sites
        ]
        await reports.record(conn, received)


def failed(version: str) -> Condition:
    message = f"Release {version} failed: it does not answer; the box went back to 1.0.0"
    return Condition(type="Degraded", status="True", reason="ReleaseUnhealthy", message=message, since=NOW)


async def served(world: World) -> dict[str, str | None]:
    """The release that each site is told to run."""
    found = {}
    async with world.connection() as conn:
        for row in await publications.all_heads(conn):
            body = await publications.manifest_body(conn, row.manifest)
            manifest = msgspec.json.decode(body or b"", type=SiteManifest)
            found[row.site] = manifest.release.version if manifest.release else None
    return found


async def having(world: World, version: str) -> set[str]:
    return {site for site, release in (await served(world)).items() if release == version}


async def opened(world: World) -> Rollout:
    async with world.connection() as conn:
        (found,) = await rollouts.opened(conn)
    return found


async def soak(world: World, version: str) -> None:
    """Those that have it say that it runs well, before and after it has soaked."""
    await say(world, await having(world, version), version)
    await world.pipeline.roll()
    world.clock.offset += SOAK
    await say(world, await having(world, version), version)
    await world.pipeline.roll()


@pytest.mark.every_postgres
async def test_release_reaches_the_fleet_wave_by_wave(world: World) -> None:
    before = await generations(world)
    outcome = await roll_out(world, "1.1.0")
    assert outcome.sites == 1 and len(await having(world, "1.1.0")) == 1
    assert sum(generation != before[site] for site, generation in (await generations(world)).items()) == 1
    for reached in (5, 10):
        await soak(world, "1.1.0")
        assert len(await having(world, "1.1.0")) == reached
    await soak(world, "1.1.0")
    async with world.connection() as conn:
        assert await rollouts.opened(conn) == []
        ended = await rollouts.rollout(conn, 1)
    assert ended is not None
    assert (ended.phase, ended.cause) == ("done", None)
    assert {member.outcome for member in ended.members.values()} == {"well"}


async def generations(world: World) -> dict[str, int]:
    async with world.connection() as conn:
        return {row.site: row.generation for row in await publications.all_heads(conn)}


async def test_look_without_news_publishes_nothing(world: World) -> None:
    await roll_out(world, "1.1.0")
    async with world.connection() as conn:
        before = await publications.current(conn)
    assert await world.pipeline.roll() == 0
    assert await world.pipeline.roll() == 0
    async with world.connection() as conn:
        assert await publications.current(conn) == before


async def test_everything_else_of_a_commit_reaches_those_who_wait_at_once(world: World) -> None:
    await roll_out(world, "1.1.0")
    outcome = await push(world, {"fleet.yaml": fleet("1.1.0", config={"liveScoreEnabled": True})})
    assert outcome.sites == 10
    assert len(await having(world, "1.1.0")) == 1
    async with world.connection() as conn:
        for row in await publications.all_heads(conn):
            body = await publications.manifest_body(conn, row.manifest)
            assert msgspec.json.decode(body or b"", type=SiteManifest).config == {"liveScoreEnabled": True}


@pytest.mark.every_postgres
async def test_figures_and_the_api_tell_how_far_it_has_come(world: World) -> None:
    await roll_out(world, "1.1.0", POLICY | {"success": "50%"})
    await soak(world, "1.1.0")
    one, *others = await having(world, "1.1.0")
    await say(world, others, "1.1.0")
    await say(world, [one], "1.0.0", failed("1.1.0"))
    await world.pipeline.roll()
    async with world.connection() as conn:
        counted = {found.outcome: found.sites for found in await figures.open_rollouts(conn)}
        told = info_of(await opened(world), (await library.policies(conn))["standard"], world.clock())
        (site,) = await rollouts.of_site(conn, one)
    assert counted == {"failed": 1, "waiting": 5, "well": 4}
    assert (told.phase, told.wave, told.shares, told.sites) == ("rolling", 2, ["10%", "50%", "100%"], 10)
    assert (told.waiting, told.pending, told.well, told.failed) == (5, 0, 4, 1)
    assert (site.member.outcome, site.member.why) == ("failed", failed("1.1.0").message)


async def test_failures_halt_it_and_everybody_goes_back(world: World) -> None:
    await roll_out(world, "1.1.0")
    await soak(world, "1.1.0")
    bad = await having(world, "1.1.0")
    await say(world, bad, "1.0.0", failed("1.1.0"))
    assert await world.pipeline.roll() == 5
    assert await having(world, "1.0.0") == set(TEN)
    found = await opened(world)
    assert (found.phase, found.cause) == ("rolled_back", Cause(kind="failures", count=5, sites=5, allowed="3"))
    said = "5 of the 5 sites that have it failed; max_failures allows 3"
    assert await worries(world) == ["Release 1.1.0 (standard) halted in wave 2: " + said]


async def test_failures_under_a_policy_that_holds_leave_those_who_have_it(world: World) -> None:
    await roll_out(world, "1.1.0", POLICY | {"on_failure": "hold"})
    (first,) = await having(world, "1.1.0")
    await say(world, [first], "1.0.0", failed("1.1.0"))
    await world.pipeline.roll()
    assert (await opened(world)).phase == "halted"
    await say(world, [first], "1.1.0")
    world.clock.offset += timedelta(days=3)
    await world.pipeline.roll()
    assert await having(world, "1.1.0") == {first}


async def test_trailer_resumes_what_was_rolled_back(world: World) -> None:
    await roll_out(world, "1.1.0")
    first = await having(world, "1.1.0")
    await say(world, first, "1.0.0", failed("1.1.0"))
    await world.pipeline.roll()
    assert await having(world, "1.1.0") == set()
    await push(world, {}, "Look away\n\nResume-Rollout: release 1.2.0")
    assert await having(world, "1.1.0") == set()
    await push(world, {}, "It was the network\n\nResume-Rollout: release 1.1.0\n")
    assert await having(world, "1.1.0") == first


async def test_wave_that_hears_nothing_is_overdue_and_goes_on_when_it_does(world: World) -> None:
    await roll_out(world, "1.1.0")
    world.clock.offset += timedelta(hours=24, minutes=1)
    await world.pipeline.roll()
    assert len(await having(world, "1.1.0")) == 1
    assert await worries(world) == [
        "Release 1.1.0 (standard) waits in wave 1 for boxes that have not said how it runs."
    ]
    await soak(world, "1.1.0")
    assert len(await having(world, "1.1.0")) == 5
    await worries(world)
    world.clock.offset += timedelta(minutes=6)
    assert await worries(world) == []


async def worries(world: World) -> list[str]:
    """What is told of rollouts."""
    await Watch(world.opened.pool, world.clock).look()
    async with world.connection() as conn:
        firing = [row.alert.firing for row in await alerts.open_alerts(conn)]
    return [sentence(one) for one in firing if one.kind.startswith("rollout_")]


async def test_what_a_box_said_before_its_turn_counts_for_nothing(world: World) -> None:
    await say(world, TEN, "1.0.0", failed("1.1.0"))
    world.clock.offset += timedelta(seconds=1)
    await roll_out(world, "1.1.0")
    await world.pipeline.roll()
    assert (await opened(world)).phase == "rolling"


async def test_next_release_takes_its_own_waves_and_ends_the_first(world: World) -> None:
    await roll_out(world, "1.1.0")
    await soak(world, "1.1.0")
    assert len(await having(world, "1.1.0")) == 5
    await roll_out(world, "1.2.0")
    told = await served(world)
    assert sorted(map(str, told.values())).count("1.2.0") == 1
    assert set(told.values()) == {"1.0.0", "1.1.0", "1.2.0"}
    assert (await opened(world)).version == "1.2.0"


async def test_revert_brings_everybody_home_at_once(world: World) -> None:
    await roll_out(world, "1.1.0")
    await soak(world, "1.1.0")
    outcome = await push(world, {"fleet.yaml": fleet("1.0.0")})
    assert outcome.sites == 5 and await having(world, "1.0.0") == set(TEN)


async def test_taking_the_policy_away_lets_everybody_in(world: World) -> None:
    await roll_out(world, "1.1.0")
    text = as_yaml({"schema": 1, "defaults": {"video_sets": ["national"], "release": "1.1.0"}})
    await push(world, {"fleet.yaml": text})
    assert await having(world, "1.1.0") == set(TEN)


async def test_revoked_release_holds_nobody(world: World) -> None:
    await roll_out(world, "1.1.0")
    del world.keys.allowed["1.0.0"]
    await push(world, {"releases/1.0.0.yaml": None} | world.keys.next_list())
    assert await having(world, "1.1.0") == set(TEN)


async def test_commit_that_takes_away_what_sites_wait_on_is_held_until_it_is_over(world: World) -> None:
    await roll_out(world, "1.1.0")
    world.commit({"releases/1.0.0.yaml": None}, "Tidy up")
    outcome = await world.ingest()
    assert outcome.verdict == "held"
    assert outcome.problems[0].startswith("releases/1.0.0.yaml is gone, and 10 sites have that release")
    for _ in range(3):
        await soak(world, "1.1.0")
    assert (await world.ingest()).verdict == "published"


async def test_planned_retired_and_new_sites_are_held_on_nothing(world: World) -> None:
    planned = {"sites/planned.yaml": world.site_file("planned", identity=False)}
    await push(world, planned | {"sites/site-9.yaml": world.site_file("site-9", state="retired")})
    await roll_out(world, "1.1.0")
    await push(world, {"sites/new.yaml": world.site_file("new")})
    assert {"planned", "site-9", "new"} < await having(world, "1.1.0")
    assert len((await opened(world)).members) == 9


async def test_suspended_site_is_among_the_last_and_does_not_come_back_to_what_was_rolled_back(world: World) -> None:
    await push(world, {f"sites/{site}.yaml": world.site_file(site, state="suspended") for site in TEN[:2]})
    await roll_out(world, "1.1.0")
    members = (await opened(world)).members
    assert {site for site, member in members.items() if member.position >= 8} == set(TEN[:2])
    await say(world, await having(world, "1.1.0"), "1.0.0", failed("1.1.0"))
    await world.pipeline.roll()
    await push(world, {f"sites/{site}.yaml": world.site_file(site) for site in TEN[:2]})
    assert await having(world, "1.0.0") == set(TEN)


async def test_control_plane_that_was_started_anew_goes_on(world: World) -> None:
    await roll_out(world, "1.1.0")
    async with reopened(world) as again:
        await soak(again, "1.1.0")
        assert len(await having(again, "1.1.0")) == 5
        await push(again, {"sites/site-1.yaml": again.site_file("site-1", name="Other")})
        assert len(await having(again, "1.1.0")) == 5
    await soak(world, "1.1.0")
    assert await having(world, "1.1.0") == set(TEN)


async def test_two_control_planes_let_the_next_wave_in_once(world: World) -> None:
    await roll_out(world, "1.1.0")
    first = world.pipeline
    async with reopened(world) as again:
        for reached in (5, 10):
            await say(again, await having(again, "1.1.0"), "1.1.0")
            await asyncio.gather(first.roll(), again.pipeline.roll())
            again.clock.offset += SOAK
            await say(again, await having(again, "1.1.0"), "1.1.0")
            before = await generations(again)
            counts = await asyncio.gather(first.roll(), again.pipeline.roll())
            counts += [await first.roll(), await again.pipeline.roll()]
            after = await generations(again)
            assert len(await having(again, "1.1.0")) == reached
            assert sum(counts) == sum(after[site] != before[site] for site in TEN), "nobody was told twice"


async def test_restarted_control_plane_holds_those_that_wait_when_the_next_commit_comes(world: World) -> None:
    await roll_out(world, "1.1.0")
    async with reopened(world) as again:
        await push(again, {"sites/site-1.yaml": again.site_file("site-1", name="Other")})
        assert len(await having(again, "1.1.0")) == 1


async def test_sites_that_are_held_keep_their_generation_when_heads_are_renewed(world: World) -> None:
    await roll_out(world, "1.1.0")
    before = await generations(world)
    world.clock.offset += timedelta(days=2)
    assert await world.pipeline.renew() == 10
    assert await generations(world) == before and len(await having(world, "1.1.0")) == 1
