"""Videos' backups over HTTP: in pieces, encrypted, of the box's own site alone; kept while the index names them."""

import asyncio
import os
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pyrage
import pytest

from control_plane.api import video_backups
from control_plane.api.video_backups import MAX_PIECE_BYTES
from control_plane.store.sweeps import backup_digests
from reconciler_agent.client import Client
from reconciler_agent.errors import UploadRefused
from schemas.backup import KeptVideos
from schemas.names import Digest, digest_of
from tests.support.agent_world import FastClock
from tests.support.api import Api
from tests.support.published import Box, Wanted, manifest

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
RECOVERY = pyrage.x25519.Identity.generate()


@pytest.fixture
async def box(api: Api) -> Box:
    made = Box("brest")
    await api.publish({"brest": Wanted(made.identity), "nantes": Wanted(NANTES.identity)})
    return made


NANTES = Box("nantes")


def encrypted(data: bytes) -> bytes:
    return bytes(pyrage.encrypt(data, [RECOVERY.to_public()]))


async def send(
    api: Api, box: Box, body: bytes, first: int = 0, last: int | None = None, *, digest: Digest = "", site: str = ""
) -> httpx.Response:
    piece = body[first : None if last is None else last + 1]
    part = f"bytes {first}-{first + len(piece) - 1}/{len(body)}"
    path = f"/v1/sites/{site or box.site}/backup/videos/{digest or digest_of(body)}"
    return await api.http.put(path, headers=box.headers(api.now) | {"Content-Range": part}, content=piece)


async def tell(api: Api, box: Box, *blobs: bytes, index: bytes = b"") -> httpx.Response:
    kept = KeptVideos(index=index or encrypted(b"index"), blobs=[digest_of(blob) for blob in blobs])
    path = f"/v1/sites/{box.site}/backup/videos"
    return await api.http.put(path, headers=box.headers(api.now), content=msgspec.json.encode(kept))


async def alive(api: Api) -> set[Digest]:
    async with api.connection() as conn:
        return await backup_digests(conn)


async def read(api: Api, box: Box, body: bytes) -> int:
    answer = await api.http.get(f"/v1/blobs/{digest_of(body)}", headers=box.headers(api.now))
    assert answer.status_code != 200 or answer.content == body
    return answer.status_code


async def test_video_goes_up_in_pieces_and_on_from_where_it_broke_off(api: Api, box: Box) -> None:
    body = encrypted(os.urandom(10_000))
    path = f"/v1/sites/brest/backup/videos/{digest_of(body)}"
    assert (await send(api, box, body, 0, 3999)).json() == {
        "digest": digest_of(body),
        "offset_bytes": 4000,
        "complete": False,
    }
    assert (await api.http.get(path, headers=box.headers(api.now))).json()["offset_bytes"] == 4000
    assert (await send(api, box, body, 6000)).status_code == 409, "nothing may be left out"
    assert (await send(api, box, body, 4000)).status_code == 201
    assert (await api.http.get(path, headers=box.headers(api.now))).json()["complete"]
    assert not await api.objects.missing([digest_of(body)])


async def test_agents_calls_meet_the_servers(api: Api, box: Box) -> None:
    body, index = encrypted(os.urandom(5000)), encrypted(b"index")
    digest = digest_of(body)

    def leave(url: str) -> list[Any]:
        client = Client(url=url, site=box.site, key=box.key, clock=FastClock(api.now))
        states = [
            client.video_state(digest),
            client.send_video(digest, 0, len(body), body[:2000]),
            client.send_video(digest, 2000, len(body), body[2000:]),
            client.video_state(digest),
        ]
        client.tell_videos(KeptVideos(index=index, blobs=[digest]))
        with pytest.raises(UploadRefused, match="never left"):
            client.tell_videos(KeptVideos(index=index, blobs=[digest_of(b"another")]))
        with pytest.raises(UploadRefused, match="not encrypted"):
            client.send_video(digest_of(b"plain"), 0, 5, b"plain")
        client.close()
        return [(state.offset_bytes, state.complete) for state in states]

    async with api.serve() as url:
        assert await asyncio.to_thread(leave, url) == [(0, False), (2000, False), (len(body), True), (len(body), True)]
    answer = await api.http.get("/v1/sites/brest/backup/videos", headers=await api.operator("read"))
    assert (answer.content, answer.headers["cache-control"]) == (index, "no-store")


async def test_what_the_newest_index_names_is_alive_and_the_rest_is_let_go(api: Api, box: Box) -> None:
    one, two, other = (encrypted(os.urandom(100)) for _ in range(3))
    for body in (one, two):
        await send(api, box, body)
    await send(api, NANTES, other)
    assert await alive(api) == {digest_of(body) for body in (one, two, other)}
    path, reader = "/v1/sites/{}/backup/blobs", await api.operator("read")
    listed = {
        site: (await api.http.get(path.format(site), headers=reader)).json() for site in ("brest", "nantes", "%00")
    }
    assert listed["brest"] == [
        {"digest": digest_of(body), "size_bytes": len(body)} for body in sorted((one, two), key=digest_of)
    ], "what a stick for a replaced box takes along"
    assert [one["digest"] for one in listed["nantes"]] == [digest_of(other)] and listed["%00"] == []
    assert (await api.http.get(path.format("brest"), headers=box.headers(api.now))).status_code == 401
    assert (await tell(api, box, two)).status_code == 204
    assert await alive(api) == {digest_of(two), digest_of(other)}, "and what others left stays"


async def test_index_that_names_what_was_never_left_is_refused_whole(api: Api, box: Box) -> None:
    mine, others = encrypted(b"mine"), encrypted(b"theirs")
    await send(api, box, mine)
    await send(api, NANTES, others)
    assert (await tell(api, box, others)).status_code == 400
    assert (await api.http.get("/v1/sites/brest/backup/videos", headers=await api.operator("read"))).status_code == 404
    assert digest_of(mine) in await alive(api)


async def test_box_that_names_anothers_video_must_send_every_byte_before_it_is_given_it(api: Api, box: Box) -> None:
    body = encrypted(os.urandom(5000))
    await send(api, NANTES, body, 0, 3999)
    path = f"/v1/sites/brest/backup/videos/{digest_of(body)}"
    assert (await api.http.get(path, headers=box.headers(api.now))).json()["offset_bytes"] == 0
    await send(api, NANTES, body, 4000)
    state = (await api.http.get(path, headers=box.headers(api.now))).json()
    assert (state["offset_bytes"], state["complete"]) == (0, False)
    assert (await send(api, box, body, 4000)).status_code == 409
    restore = await api.put(encrypted(b"restore"))
    api.now += timedelta(minutes=1)
    await api.publish({"brest": Wanted(box.identity, manifest=manifest(restore=restore))})
    assert await read(api, box, body) == 403


async def test_box_reads_its_videos_only_while_it_has_a_backup_to_put_back(api: Api, box: Box) -> None:
    mine, theirs = encrypted(b"mine"), encrypted(b"theirs")
    await send(api, box, mine)
    await send(api, NANTES, theirs)
    assert [await read(api, box, body) for body in (mine, theirs)] == [403, 403]
    restore = await api.put(encrypted(b"restore"))
    api.now += timedelta(minutes=1)
    await api.publish({"brest": Wanted(box.identity, manifest=manifest(restore=restore))})
    assert [await read(api, box, body) for body in (mine, theirs)] == [200, 403]


async def test_what_is_not_encrypted_wrong_or_too_large_is_refused(
    api: Api, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = encrypted(b"x" * 500)
    assert (await send(api, box, b"plain text of a club")).status_code == 400
    assert (await send(api, box, body, digest=digest_of(b"another"))).status_code == 422
    assert (await tell(api, box, index=b"plain")).status_code == 400
    huge = {"Content-Range": f"bytes 0-{MAX_PIECE_BYTES}/{MAX_PIECE_BYTES + 1}"}
    path = f"/v1/sites/brest/backup/videos/{digest_of(body)}"
    large = b"age-encryption.org/v1\n".ljust(MAX_PIECE_BYTES + 1)
    assert (await api.http.put(path, headers=box.headers(api.now) | huge, content=large)).status_code == 413
    monkeypatch.setattr(video_backups, "MAX_SITE_BYTES", 900)
    assert (await send(api, box, body)).status_code == 201
    assert (await send(api, box, encrypted(b"y" * 500))).status_code == 413
    assert (await tell(api, box)).status_code == 204
    assert (await send(api, box, encrypted(b"y" * 500))).status_code == 201, "there is room again"


async def test_box_speaks_for_its_own_site_and_operators_alone_read_the_index(api: Api, box: Box) -> None:
    body = encrypted(b"x")
    assert (await send(api, box, body, site="nantes")).status_code == 403
    await send(api, box, body)
    await tell(api, box, body)
    path = "/v1/sites/brest/backup/videos"
    own = await api.http.get(path, headers=box.headers(api.now))
    writer = await api.http.get(path, headers=await api.operator("write"))
    assert [own.status_code, (await api.http.get(path)).status_code, writer.status_code] == [401, 401, 403]
    for bad in ("x", "../../etc", "0" * 63):
        answer = await api.http.put(f"{path}/{bad}", headers=box.headers(api.now), content=body)
        assert answer.status_code in (404, 405), bad
    assert (await api.http.get("/v1/sites/%00/backup/videos", headers=await api.operator("read"))).status_code == 404
