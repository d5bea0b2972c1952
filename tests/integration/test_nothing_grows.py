"""What `make test-soak` found to grow with every commit, upload, film or operation, and grows no more."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from litestar.exceptions import TooManyRequestsException

from control_plane.api.enrolments import MAX_A_MINUTE, Attempts
from control_plane.api.spool import forgetting
from control_plane.store import generations, publications
from reconciler_agent.analytics import MAX_LEFT
from schemas.manifest import ManifestOperation
from schemas.names import digest_of
from tests.support.agent_world import AgentWorld, application, clip, manifest_of
from tests.support.trust_world import NOW
from tests.support.world import World, as_yaml, open_world

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
KEEP = timedelta(days=30)


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[World]:
    async with open_world(tmp_path, database) as opened:
        await opened.ingest()
        yield opened


async def change(world: World, volume: int, site: str = "brest") -> str:
    """Another manifest for a site; its digest."""
    world.commit({f"sites/{site}.yaml": world.site_file(site, config={"volume": volume})}, f"Volume {volume}")
    assert (await world.ingest()).verdict == "published"
    async with world.connection() as conn:
        return next(row.manifest for row in await publications.all_heads(conn) if row.site == site)


async def counts(world: World) -> tuple[int, int]:
    """Generations, and manifests."""
    async with world.connection() as conn:
        rows = await conn.execute("select (select count(*) from generations), (select count(*) from manifests)")
        found = await rows.fetchone()
    assert found is not None
    return found


async def prune(world: World) -> int:
    async with world.connection() as conn:
        return await generations.prune(conn, world.clock() - KEEP)


async def test_generations_and_manifests_that_were_followed_long_ago_are_forgotten(world: World) -> None:
    old = [await change(world, volume) for volume in (1, 2, 3)]
    assert await counts(world) == (6, 4)
    world.clock.offset = KEEP - timedelta(hours=1)
    assert await prune(world) == 0
    world.clock.offset = KEEP + timedelta(hours=1)
    assert await prune(world) == 5, "three generations of brest, two manifests of them alone"
    assert await counts(world) == (3, 2), "what each site has stays, however old"
    assert await change(world, 1) == old[0], "what was forgotten may come again"
    assert await prune(world) == 0, "what was in force until lately stays"
    async with world.connection() as conn:
        assert [await publications.manifest_body(conn, digest) is not None for digest in old] == [True, False, True]


async def test_what_no_commit_names_any_more_is_not_remembered(world: World) -> None:
    presence = world.pipeline._presence
    for number in range(3):
        film = f"film {number}".encode()
        national = {"name": "National", "category": {"id": "a", "name": "A"}, "videos": [f"film-{number}"]}
        changes = world.add_video(f"film-{number}", film) | {"video-sets/national.yaml": as_yaml(national)}
        gone: dict[str, str | None] = {f"videos/film-{number - 1}.yaml": None} if number else {}
        world.commit(changes | gone, "Another film")
        assert (await world.ingest()).verdict == "published"
    known = [digest_of(f"film {number}".encode()) in presence._present for number in range(3)]
    assert known == [False, False, True]


async def test_a_server_forgets_unfinished_uploads_while_it_runs(world: World) -> None:
    calls: asyncio.Queue[None] = asyncio.Queue()

    def forget() -> None:
        calls.put_nowait(None)
        raise PermissionError("the folder is not ours")

    async with forgetting(forget, every_s=0), asyncio.timeout(30):
        for _ in range(3):
            await calls.get()
    async with world.serve():
        stale = world.folder / "server/uploads" / ("a" * 64)
        stale.parent.mkdir(parents=True, exist_ok=True)
        stale.write_bytes(b"half")
        os.utime(stale, (0, 0))
    async with world.serve(), asyncio.timeout(30):
        while stale.exists():
            await asyncio.sleep(0.01)


def test_addresses_that_tried_to_enrol_are_forgotten_after_their_minute() -> None:
    now = NOW
    attempts = Attempts(lambda: now)
    for number in range(50):
        attempts.count(f"203.0.113.{number}")
    for _ in range(MAX_A_MINUTE - 1):
        attempts.count("203.0.113.49")
    with pytest.raises(TooManyRequestsException):
        attempts.count("203.0.113.49")
    now += timedelta(seconds=61)
    attempts.count("203.0.113.49")
    assert list(attempts._counts) == ["203.0.113.49"]


def test_names_of_films_that_left_are_known_for_a_while(tmp_path: Path) -> None:
    with AgentWorld(tmp_path).agent() as agent:
        analytics = agent.loop._parts.analytics
        for begins in (0, 1000, 2000):
            films = [clip(f"film-{number}", b"x") for number in range(begins, begins + 900)]
            analytics.drain(manifest_of(films), online=False)
        assert len(analytics._ids) == 900 + MAX_LEFT
        left = {name.rpartition("-")[0] for name in analytics._ids}
        assert {"film-2000", "film-1899"} < left and not {"film-0", "film-1000"} & left


def test_operations_that_are_inert_are_forgotten_by_the_process_too(tmp_path: Path) -> None:
    box = AgentWorld(tmp_path)
    release = box.central.add_release("1.0.0", application("1.0.0"))
    restart = ManifestOperation(
        id="restart", action="restart_service", service="neopro-kiosk", not_after=NOW + timedelta(hours=1)
    )
    with box.agent() as agent:
        operations = agent.loop._parts.operations
        box.central.publish(manifest_of([], release, operations=[restart]))
        box.settle(agent)
        assert list(operations._asked_s) == ["restart"]
        box.clock.sleep(7200)
        box.central.publish(manifest_of([], release))
        box.settle(agent)
        box.settle(agent)
        assert operations._asked_s == {}
