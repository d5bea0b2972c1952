"""Blobs over HTTP: conditionals and ranges, what a manifest allows, uploads that break off and go on."""

import asyncio
import hashlib
from pathlib import Path

import httpx
import msgspec
import pytest
import zstandard

from control_plane.api.spool import Spool
from control_plane.objects import FolderStore
from schemas.manifest import (
    AgentTarget,
    ContentFile,
    FileTree,
    PatchRef,
    ReleaseHealth,
    ReleaseTarget,
    TreeFile,
    encode_canonical,
)
from schemas.names import Digest, digest_of
from tests.support.api import Api
from tests.support.published import Box, Wanted, manifest, manifest_digest

pytestmark = pytest.mark.anyio

VIDEO = bytes(range(256)) * 5000
SCRIPT = b"print('hello')\n"


@pytest.fixture
async def box(api: Api) -> Box:
    """A box that wants one video and a release of one file."""
    tree = FileTree(
        schema=1, files=[TreeFile(path="app.py", mode="0644", size_bytes=len(SCRIPT), digest=digest_of(SCRIPT))]
    )
    listing = await api.put(encode_canonical(tree))
    await api.put(SCRIPT)
    wanted = manifest(
        content=[ContentFile(path="videos/A/a.mp4", digest=await api.put(VIDEO), size_bytes=len(VIDEO))],
        release=ReleaseTarget(
            version="1.0.0",
            tree=listing,
            size_bytes=len(SCRIPT),
            services=[],
            health=ReleaseHealth(within_s=1, settle_s=1),
        ),
    )
    made = Box("brest")
    await api.publish({"brest": Wanted(made.identity, manifest=wanted)})
    return made


async def get(api: Api, box: Box, digest: Digest, method: str = "GET", **headers: str) -> httpx.Response:
    return await api.http.request(method, f"/v1/blobs/{digest}", headers=box.headers(api.now) | headers)


async def own_manifest(api: Api) -> Digest:
    head = api.heads.get("brest")
    assert head is not None
    return head.manifest


async def test_box_reads_what_its_manifest_names_and_nothing_else(api: Api, box: Box) -> None:
    secret = await api.put(b"another club's video")
    for digest in (await own_manifest(api), digest_of(VIDEO), digest_of(SCRIPT)):
        answer = await get(api, box, digest)
        assert answer.status_code == 200
        assert digest_of(answer.content) == digest
        assert (await get(api, box, digest.removeprefix("sha256:"))).content == answer.content
    refused = await get(api, box, secret)
    unknown = await get(api, box, digest_of(b"not there"))
    assert (refused.status_code, unknown.status_code) == (403, 403), "whether it is there is nobody's business"


async def test_box_reads_what_is_named_by_its_agent_s_listing_its_patches_and_its_restore(api: Api) -> None:
    def listing(data: bytes) -> bytes:
        file = TreeFile(path="app.py", mode="0644", size_bytes=len(data), digest=digest_of(data))
        return encode_canonical(FileTree(schema=1, files=[file]))

    agent, backup, pack, other = b"agent", b"encrypted", b"frames", b"pack of a release that is not this box's"
    named = [listing(SCRIPT), listing(agent), index_of(pack), backup]
    for data in (*named, SCRIPT, agent, pack, other, index_of(other)):
        await api.put(data)
    release = ReleaseTarget(
        version="1.0.0",
        tree=digest_of(named[0]),
        size_bytes=1,
        services=[],
        health=ReleaseHealth(within_s=1, settle_s=1),
        patches=[PatchRef(base=digest_of(b"base"), index=digest_of(named[2]), size_bytes=len(pack))],
    )
    wanted = manifest(
        release=release,
        agent=AgentTarget(version="1.0.0", tree=digest_of(named[1]), size_bytes=1),
        restore=digest_of(backup),
    )
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity, manifest=wanted)})
    for data in (*named, SCRIPT, agent, pack):
        assert (await get(api, box, digest_of(data))).content == data
    for data in (other, index_of(other), b"base"):
        assert (await get(api, box, digest_of(data))).status_code == 403


def index_of(pack: bytes) -> bytes:
    """As much of a patch's index as says what the box may read."""
    return zstandard.ZstdCompressor().compress(msgspec.json.encode({"pack": digest_of(pack)}))


async def test_box_reads_its_listing(api: Api, box: Box) -> None:
    body = (await get(api, box, await own_manifest(api))).json()
    listing = (await get(api, box, body["release"]["tree"])).json()
    assert [file["path"] for file in listing["files"]] == ["app.py"]


async def test_blob_carries_strong_tag_and_lasts_for_ever(api: Api, box: Box) -> None:
    answer = await get(api, box, digest_of(VIDEO))
    assert answer.headers["etag"] == f'"{hashlib.sha256(VIDEO).hexdigest()}"'
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert answer.headers["accept-ranges"] == "bytes"
    again = await get(api, box, digest_of(VIDEO), **{"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


PARTS = [
    ("bytes=0-0", 0, 0),
    ("bytes=1000-1999", 1000, 1999),
    ("bytes=1279990-", 1279990, 1279999),
    ("bytes=-10", 1279990, 1279999),
    ("bytes=1279999-9999999999", 1279999, 1279999),
    ("bytes=-9999999", 0, 1279999),
]


async def test_range_gives_that_part(api: Api, box: Box) -> None:
    for asked, first, last in PARTS:
        answer = await get(api, box, digest_of(VIDEO), Range=asked)
        assert (answer.status_code, answer.headers["content-range"]) == (206, f"bytes {first}-{last}/{len(VIDEO)}")
        assert answer.content == VIDEO[first : last + 1]


NO_RANGES = ["bytes=0-1,5-6", "bytes=5-1", "lines=1-2", "bytes=", "bytes=a-b", "bytes=--1"]


async def test_range_that_is_none_or_several_gives_the_whole(api: Api, box: Box) -> None:
    for asked in NO_RANGES:
        answer = await get(api, box, digest_of(VIDEO), Range=asked)
        assert (answer.status_code, len(answer.content)) == (200, len(VIDEO))


BEHIND = [f"bytes={len(VIDEO)}-", "bytes=-0", "bytes=99999999-999999999"]


async def test_range_behind_the_end_is_not_satisfiable(api: Api, box: Box) -> None:
    for asked in BEHIND:
        answer = await get(api, box, digest_of(VIDEO), Range=asked)
        assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{len(VIDEO)}")
        assert answer.headers["content-type"] == "application/problem+json"


async def test_range_of_a_manifest_is_taken_from_the_database(api: Api, box: Box) -> None:
    digest = await own_manifest(api)
    whole = (await get(api, box, digest)).content
    part = await get(api, box, digest, Range="bytes=5-9")
    assert (part.status_code, part.content) == (206, whole[5:10])


async def test_range_if_another_tag_gives_the_whole(api: Api, box: Box) -> None:
    answer = await get(api, box, digest_of(VIDEO), **{"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (answer.status_code, len(answer.content)) == (200, len(VIDEO))


async def test_real_server_streams_ranges_and_heads_without_a_body(api: Api, box: Box) -> None:
    async with api.serve() as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        path, headers = f"/v1/blobs/{digest_of(VIDEO)}", box.headers(api.now)
        head = await client.head(path, headers=headers)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(len(VIDEO)), b"")
        assert (await client.get(path, headers=headers)).content == VIDEO
        part = await client.get(path, headers=headers | {"Range": "bytes=7-"})
        assert (part.status_code, part.content) == (206, VIDEO[7:])
        assert "date" in part.headers, "a box learns the time from it"


async def test_operator_reads_any_blob_and_any_manifest(api: Api, box: Box) -> None:
    secret = await api.put(b"another club's video")
    reader = await api.operator("read")
    assert (await api.http.get(f"/v1/blobs/{secret}", headers=reader)).content == b"another club's video"
    body = (await api.http.get(f"/v1/blobs/{await own_manifest(api)}", headers=reader)).content
    assert digest_of(body) == manifest_digest(Wanted(None)) or b'"schema":1' in body
    missing = await api.http.get(f"/v1/blobs/{digest_of(b'none')}", headers=reader)
    assert (missing.status_code, missing.json()["reason"]) == (404, "BlobMissing")


async def test_upload_in_one_piece_is_kept(api: Api) -> None:
    writer, digest = await api.operator("write"), digest_of(VIDEO)
    answer = await api.http.put(f"/v1/blobs/{digest}", headers=writer, content=VIDEO)
    assert answer.status_code == 201
    assert answer.json() == {"digest": digest, "offset_bytes": len(VIDEO), "complete": True}
    assert await api.objects.missing([digest]) == set()
    again = await api.http.put(f"/v1/blobs/{digest}", headers=writer, content=VIDEO)
    assert (again.status_code, again.json()["complete"]) == (200, True)
    assert list((api.settings.data_dir / "uploads").iterdir()) == []


async def test_upload_goes_on_where_it_broke_off(api: Api) -> None:
    writer, digest = await api.operator("write"), digest_of(VIDEO)
    total = len(VIDEO)

    async def put(first: int, end: int) -> httpx.Response:
        piece = {"Content-Range": f"bytes {first}-{end - 1}/{total}"}
        return await api.http.put(f"/v1/blobs/{digest}", headers=writer | piece, content=VIDEO[first:end])

    assert (await api.http.get(f"/v1/uploads/{digest}", headers=writer)).json()["offset_bytes"] == 0
    assert (await put(0, 400_000)).status_code == 202
    state = (await api.http.get(f"/v1/uploads/{digest}", headers=writer)).json()
    assert state == {"digest": digest, "offset_bytes": 400_000, "complete": False}
    gap = await put(500_000, total)
    assert (gap.status_code, gap.headers["content-type"]) == (409, "application/problem+json")
    assert (await put(300_000, total)).status_code == 201, "what is sent twice is written once"
    assert (await api.http.get(f"/v1/uploads/{digest}", headers=writer)).json()["complete"]


async def test_upload_whose_sender_goes_away_keeps_what_came(api: Api) -> None:
    writer, digest = await api.operator("write"), digest_of(VIDEO)
    async with api.serve() as url, httpx.AsyncClient(base_url=url, trust_env=False) as client:
        host, port = url.removeprefix("http://").split(":")
        _, sender = await asyncio.open_connection(host, int(port))
        request = f"PUT /v1/blobs/{digest} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(VIDEO)}\r\n"
        sender.write(f"{request}Authorization: {writer['Authorization']}\r\n\r\n".encode() + VIDEO[:700_000])
        await sender.drain()
        sender.close()
        offset = 0
        async with asyncio.timeout(20):
            while offset == 0:
                offset = (await client.get(f"/v1/uploads/{digest}", headers=writer)).json()["offset_bytes"]
        piece = {"Content-Range": f"bytes {offset}-{len(VIDEO) - 1}/{len(VIDEO)}"}
        rest = await client.put(f"/v1/blobs/{digest}", headers=writer | piece, content=VIDEO[offset:])
        assert (rest.status_code, rest.json()["complete"]) == (201, True)


async def test_upload_with_other_bytes_is_refused_and_leaves_nothing(api: Api) -> None:
    writer, digest = await api.operator("write"), digest_of(VIDEO)
    answer = await api.http.put(f"/v1/blobs/{digest}", headers=writer, content=VIDEO[:-1] + b"x")
    assert (answer.status_code, answer.json()["reason"]) == (422, "BlobRejected")
    assert await api.objects.missing([digest]) == {digest}
    assert (await api.http.get(f"/v1/uploads/{digest}", headers=writer)).json()["offset_bytes"] == 0


async def test_upload_of_a_body_longer_than_announced_is_refused(api: Api) -> None:
    writer, digest = await api.operator("write"), digest_of(VIDEO)
    headers = writer | {"Content-Range": f"bytes 0-9/{len(VIDEO)}"}
    assert (await api.http.put(f"/v1/blobs/{digest}", headers=headers, content=VIDEO)).status_code == 400


SENSELESS = ["bytes 5-1/10", "bytes 0-10/10", "bytes */10", "bytes 0-1/*", "nonsense"]


async def test_upload_with_a_senseless_piece_is_refused(api: Api) -> None:
    writer = await api.operator("write")
    for piece in SENSELESS:
        answer = await api.http.put(
            f"/v1/blobs/{digest_of(VIDEO)}", headers=writer | {"Content-Range": piece}, content=b"x"
        )
        assert answer.status_code == 400


async def test_upload_beyond_the_limit_is_refused_before_it_is_read(api: Api) -> None:
    writer = await api.operator("write")
    headers = writer | {"Content-Range": f"bytes 0-0/{2**40}"}
    answer = await api.http.put(f"/v1/blobs/{digest_of(VIDEO)}", headers=headers, content=b"x")
    assert (answer.status_code, answer.json()["reason"]) == (413, "ContentTooLarge")


async def test_upload_for_which_the_disk_has_no_room_is_refused_and_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("control_plane.api.spool.RESERVE_BYTES", 1 << 60)
    writer = await api.operator("write")
    answer = await api.http.put(f"/v1/blobs/{digest_of(VIDEO)}", headers=writer, content=VIDEO)
    assert (answer.status_code, answer.json()["reason"]) == (507, "InsufficientStorage")
    assert "the server's disk is too full" in answer.json()["detail"]


async def test_two_uploads_of_one_blob_at_once_end_with_one_whole_blob(api: Api) -> None:
    writer, digest = await api.operator("write"), digest_of(VIDEO)
    answers = await asyncio.gather(
        *(api.http.put(f"/v1/blobs/{digest}", headers=writer, content=VIDEO) for _ in range(4))
    )
    assert {a.status_code for a in answers} <= {200, 201}
    assert b"".join([chunk async for chunk in api.objects.read(digest)]) == VIDEO


async def test_upload_that_nobody_goes_on_with_is_forgotten(tmp_path: Path) -> None:
    import os

    old, fresh = tmp_path / ("a" * 64), tmp_path / ("b" * 64)
    for file in (old, fresh):
        file.write_bytes(b"x")
    os.utime(old, (0, 0))
    Spool(tmp_path, FolderStore(tmp_path / "objects")).forget_old()
    assert (old.exists(), fresh.exists()) == (False, True)
