"""Mirrors over HTTP: a box tells what its club owns, operators read it, nobody else anything, and nothing is obeyed."""

import asyncio
import json
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
import zstandard

from control_plane.api.clubs import MAX_A_DAY
from reconciler_agent.client import Client
from reconciler_agent.errors import UploadRefused
from schemas.club import MAX_MIRROR_BYTES, ClubCategory, ClubFile, ClubMirror
from tests.support.agent_world import FastClock
from tests.support.api import Api
from tests.support.published import Box, Wanted

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
CLUB = ClubMirror(
    title="Salle <b>A</b>",
    categories=[ClubCategory(id="match", name="Match")],
    files=[ClubFile(path="videos/CLUB/a.mp4", size_bytes=7)],
    file_count=1,
    file_bytes=7,
)


@pytest.fixture
async def box(api: Api) -> Box:
    made = Box("brest")
    await api.publish({"brest": Wanted(made.identity), "nantes": Wanted(Box("nantes").identity)})
    return made


async def tell(api: Api, box: Box, club: object, site: str = "brest", **headers: str) -> httpx.Response:
    body = club if isinstance(club, bytes) else msgspec.json.encode(club)
    return await api.http.put(f"/v1/sites/{site}/club", headers=box.headers(api.now) | headers, content=body)


async def read(api: Api, path: str = "/v1/sites/brest/club") -> httpx.Response:
    return await api.http.get(path, headers=await api.operator("read"))


async def test_operator_reads_what_the_agent_last_told(api: Api, box: Box) -> None:
    assert (await read(api)).status_code == 404
    await tell(api, box, ClubMirror(title="old"))
    api.now += timedelta(minutes=5)
    async with api.serve() as url:
        client = Client(url=url, site=box.site, key=box.key, clock=FastClock(api.now))
        await asyncio.to_thread(client.mirror, zstandard.compress(msgspec.json.encode(CLUB)))
        client.close()
    found = (await read(api)).json()
    assert found == {"site": "brest", "received_at": "2026-03-01T12:05:00Z", "club": msgspec.to_builtins(CLUB)}
    (listed,) = (await read(api, "/v1/clubs?site=brest&site=nantes")).json()
    assert (listed["categories"], listed["paths"], listed["file_bytes"]) == (["match"], ["videos/CLUB/a.mp4"], 7)
    assert (await read(api, "/v1/clubs?site=nantes&site=%00")).json() == []
    assert (await read(api, "/v1/clubs")).status_code == 400
    assert (await read(api, "/v1/clubs?" + "site=brest&" * 101)).status_code == 400
    assert (await read(api, "/v1/sites/%00/club")).status_code == 404


async def test_box_speaks_for_its_own_club_alone_and_reads_none(api: Api, box: Box) -> None:
    assert (await tell(api, box, CLUB, site="nantes")).status_code == 403
    await tell(api, box, CLUB)
    for path in ("/v1/sites/brest/club", "/v1/clubs?site=brest"):
        own = await api.http.get(path, headers=box.headers(api.now))
        writer = await api.http.get(path, headers=await api.operator("write"))
        assert [own.status_code, (await api.http.get(path)).status_code, writer.status_code] == [401, 401, 403]
    operator = await api.http.put("/v1/sites/brest/club", headers=await api.operator("write"), content=b"{}")
    assert operator.status_code == 401


async def test_key_that_is_none_of_a_mirrors_is_not_kept(api: Api, box: Box) -> None:
    told: dict[str, Any] = msgspec.to_builtins(CLUB) | {"auth": {"password": "s3cret"}}
    told["categories"][0]["apiKey"] = "s3cret"
    assert (await tell(api, box, told)).status_code == 204
    assert "s3cret" not in (await read(api)).text


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b'{"title":1}', b'{"title":"\\u0000"}', b'{"title":"' + b"x" * 121 + b'"}', b"[" * 10_000],
    ids=["empty", "list", "cut", "number", "nul", "long", "deep"],
)
async def test_what_is_no_mirror_is_refused_and_the_last_stays(api: Api, box: Box, body: bytes) -> None:
    await tell(api, box, CLUB)
    assert (await tell(api, box, body)).status_code == 400
    assert (await read(api)).json()["club"]["title"] == CLUB.title


async def test_bodies_beyond_the_limit_are_refused_also_when_they_are_packed(api: Api, box: Box) -> None:
    large = b" " * (MAX_MIRROR_BYTES + 1)
    assert (await tell(api, box, large)).status_code == 413
    assert (await tell(api, box, zstandard.compress(large), **{"Content-Encoding": "zstd"})).status_code == 413


async def test_box_gone_wild_is_told_to_come_again(api: Api, box: Box) -> None:
    for _ in range(MAX_A_DAY):
        assert (await tell(api, box, b"{}")).status_code == 204
    assert (await tell(api, box, b"{}")).status_code == 429


async def test_control_plane_that_knows_no_mirrors_says_so_to_the_agent(api: Api, box: Box) -> None:
    """An older one answers 404 to a call that it does not have, as here to one that none has."""

    class Later(Client):
        def _call(self, method: str, path: str, *rest: Any, **named: Any) -> Any:
            return super()._call(method, path.replace("/club", "/nobody-knows"), *rest, **named)

    async with api.serve() as url:
        client = Later(url=url, site=box.site, key=box.key, clock=FastClock(api.now))
        with pytest.raises(UploadRefused):
            await asyncio.to_thread(client.mirror, zstandard.compress(b"{}"))
        client.close()


async def test_description_tells_what_a_mirror_is(api: Api) -> None:
    described = json.loads((await api.http.get("/v1/openapi.json")).content)
    assert described["paths"]["/v1/sites/{site}/club"].keys() == {"get", "put"}
    assert "title" in described["components"]["schemas"]["ClubMirror"]["properties"]
