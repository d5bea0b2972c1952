"""From a commit on a real remote to what a box downloads, over a real server."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest

from control_plane.store import tokens
from schemas.api import FleetStatus
from schemas.manifest import FileTree, SiteManifest
from schemas.names import digest_of
from schemas.trust import read_head, read_release_list, read_root
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[World]:
    async with open_world(tmp_path, database) as opened:
        await opened.ingest()
        yield opened


async def fetch(client: httpx.AsyncClient, world: World, digest: str) -> bytes:
    answer = await client.get(f"/v1/blobs/{digest}", headers=world.headers("brest"))
    assert answer.status_code == 200, answer.text
    assert digest_of(answer.content) == digest
    return answer.content


async def test_box_walks_from_trust_to_every_file_that_it_needs(world: World) -> None:
    async with world.serve() as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        root = read_root((await client.get("/v1/trust/1")).content, None)
        polled = await client.get("/v1/sites/brest/head", headers=world.headers("brest"))
        head = read_head(polled.content, root)
        allowed = await client.get(f"/v1/release-list/{head.release_list.version}")
        assert digest_of(allowed.content) == head.release_list.sha256
        assert [r.version for r in read_release_list(allowed.content, root).releases] == ["1.0.0"]
        manifest = msgspec.json.decode(await fetch(client, world, head.manifest), type=SiteManifest)
        assert manifest.release is not None
        tree = msgspec.json.decode(await fetch(client, world, manifest.release.tree), type=FileTree)
        for digest in [*(f.digest for f in manifest.content), *(f.digest for f in tree.files)]:
            await fetch(client, world, digest)
        assert len(manifest.content) == len(tree.files) == 2


async def test_commit_reaches_waiting_box_and_the_operator_sees_it_move(world: World) -> None:
    async with world.serve() as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=30) as client:
        headers = world.headers("brest")
        known = (await client.get("/v1/sites/brest/head", headers=headers)).headers["etag"]
        waiting = headers | {"If-None-Match": known, "Prefer": "wait=25"}
        poll = asyncio.create_task(client.get("/v1/sites/brest/head", headers=waiting))
        revision = world.commit({"sites/brest.yaml": world.site_file("brest", config={"volume": 3})}, "Louder")
        await world.ingest()
        news = await asyncio.wait_for(poll, 10)
        assert (news.status_code, news.headers["etag"] == known) == (200, False)
        async with world.connection() as conn:
            now = world.clock()
            token = await tokens.add_token(conn, "ada", ["read"], now=now, expires_at=now.replace(year=now.year + 1))
        answer = await client.get("/v1/fleet", headers={"Authorization": f"Bearer {token}"})
        fleet = msgspec.json.decode(answer.content, type=FleetStatus)
        newest = fleet.changes[0]
        assert (newest.commit, newest.subject, newest.sites, newest.missing) == (revision, "Louder", 1, ["brest"])
        assert "Louder" in (await client.get("/")).text
