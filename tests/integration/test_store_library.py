"""The documents of the published commit, as pages read them: with every publication, and only what changed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from control_plane.store import library
from schemas.desired import Group, Release, Video
from tests.support.world import World, as_yaml, open_world

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
GROUP = {"name": "Finistère", "select": {"city": "Brest"}, "priority": 10}


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[World]:
    async with open_world(tmp_path, database) as opened:
        await opened.ingest()
        yield opened


async def versions(world: World) -> dict[tuple[str, str], str]:
    """PostgreSQL's own version of each row: another one when it was written again."""
    async with world.connection() as conn:
        rows = await conn.execute("select folder, id, xmin::text from library")
        return {(folder, name): version for folder, name, version in await rows.fetchall()}


async def test_publication_keeps_its_documents_but_the_sites(world: World) -> None:
    async with world.connection() as conn:
        fleet = await library.fleet_document(conn)
        releases = await library.documents_of(conn, "releases", Release)
    assert fleet is not None
    assert set(releases) == {"1.0.0"}
    assert not any(folder == "sites" for folder, _ in await versions(world))


async def test_change_writes_the_changed_document_alone(world: World) -> None:
    before = await versions(world)
    world.commit({"groups/finistere.yaml": as_yaml(GROUP)})
    await world.ingest()
    after = await versions(world)
    assert after.keys() - before.keys() == {("groups", "finistere")}
    assert {name: after[name] for name in before} == before
    async with world.connection() as conn:
        found = await library.document_of(conn, "groups", "finistere", Group)
    assert found is not None
    assert found.select == {"city": "Brest"}


async def test_document_that_left_git_leaves(world: World) -> None:
    world.commit({"groups/finistere.yaml": as_yaml(GROUP)})
    await world.ingest()
    world.commit({"groups/finistere.yaml": None})
    await world.ingest()
    async with world.connection() as conn:
        assert (await library.documents_of(conn, "groups", Group)).keys() == {"bretagne"}


async def test_refused_commit_leaves_the_library_as_it_was(world: World) -> None:
    before = await versions(world)
    world.commit({"groups/finistere.yaml": "nonsense: true\n"})
    assert (await world.ingest()).verdict == "refused"
    assert await versions(world) == before


async def test_document_that_is_not_there_is_none(world: World) -> None:
    async with world.connection() as conn:
        assert await library.document_of(conn, "videos", "unheard-of", Video) is None
