"""Sweeps delete what nothing alive names, and nothing else, whatever runs beside them; on a folder and on S3."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.deltas import Tree, encode_delta, make_delta
from control_plane.errors import Superseded
from control_plane.objects import FolderStore, ObjectStore
from control_plane.pipeline import Pipeline
from control_plane.store import sweeps
from control_plane.store.backups import StoredBackup, keep_backup
from control_plane.store.pool import connection
from control_plane.store.tokens import add_token
from control_plane.sweep import Sweeper
from schemas.api import SweepReport
from schemas.manifest import encode_canonical
from schemas.names import Digest, digest_of
from tests.support.s3_server import ACCESS_KEY, SECRET_KEY, S3Server
from tests.support.world import World, as_yaml, file_tree, open_world

pytestmark = pytest.mark.anyio
GRACE = timedelta(days=30)


@pytest.fixture(params=["folder", "s3"])
async def world(request: pytest.FixtureRequest, tmp_path: Path, database: str) -> AsyncIterator[World]:
    """A published fleet, 31 days after it was; its objects in a folder or on a real S3 server."""
    settings = {} if request.param == "folder" else _s3(request.getfixturevalue("s3_server"), tmp_path)
    async with open_world(tmp_path, database, first=False, **settings) as opened:
        opened.commit(opened.first_files(), "Start the fleet")
        assert (await opened.ingest()).verdict == "published"
        later(opened)
        yield opened


def _s3(server: S3Server, folder: Path) -> dict[str, Any]:
    keys = {"s3_access_key_file": ACCESS_KEY, "s3_secret_key_file": SECRET_KEY}
    for name, text in keys.items():
        (folder / name).write_text(text)
    where = {"objects": f"s3://{server.make_bucket()}", "s3_endpoint": server.endpoint, "s3_secure": False}
    return {**where, **{name: folder / name for name in keys}}


def later(world: World, days: int = 31) -> None:
    world.clock.offset += timedelta(days=days)


def sweeper(world: World) -> Sweeper:
    opened = world.opened
    return Sweeper(opened.pool, opened.git, opened.objects, world.clock)


async def sweep(world: World, *, dry_run: bool = False) -> SweepReport:
    return await sweeper(world).sweep(GRACE, dry_run=dry_run)


async def there(objects: ObjectStore, *digests: Digest) -> set[Digest]:
    return set(digests) - await objects.missing(digests)


def national(*videos: str) -> dict[str, str | None]:
    keys = {"name": "National", "category": {"id": "annonces", "name": "ANNONCES"}, "loop": "sponsors"}
    return {"video-sets/national.yaml": as_yaml({**keys, "videos": list(videos)})}


async def test_dry_run_names_what_would_go_and_deletes_nothing(world: World) -> None:
    orphan = world.upload(b"orphan")
    later(world)
    report = await sweep(world, dry_run=True)
    assert (report.dry_run, report.swept, report.swept_bytes, report.more) == (True, 1, 6, False)
    assert [blob.digest for blob in report.examples] == [orphan]
    assert await there(world.objects, orphan) == {orphan}


async def test_orphan_goes_and_all_that_is_named_stays(world: World) -> None:
    orphan = world.upload(b"orphan")
    later(world)
    report = await sweep(world)
    assert (report.swept, report.blobs) == (1, 6)  # two videos, two files and a listing of a release, the orphan
    assert report.alive == 5
    assert await there(world.objects, orphan) == set()
    again = await sweep(world)
    assert (again.swept, again.blobs, again.alive) == (0, 5, 5)
    world.commit({"sites/ajaccio.yaml": world.site_file("ajaccio")}, "Add a site")
    assert (await world.ingest()).verdict == "published"


async def test_fresh_orphan_stays_until_the_grace_has_passed(world: World) -> None:
    orphan = world.upload(b"orphan")
    world.clock.offset = GRACE - timedelta(minutes=1)
    assert ((report := await sweep(world)).swept, report.fresh) == (0, 1)
    world.clock.offset = GRACE + timedelta(minutes=1)
    assert (await sweep(world)).swept == 1
    assert await there(world.objects, orphan) == set()


async def test_what_documents_backups_and_lists_name_stays_though_no_site_uses_it(world: World, tmp_path: Path) -> None:
    old = {"server/app.js": b"old " * 500, "VERSION": b"2.0.0"}
    new = {"server/app.js": b"old " * 500 + b"new", "VERSION": b"2.1.0"}
    trees = [Tree(file_tree(files), lambda file, files=files: files[file.path]) for files in (old, new)]  # type: ignore[misc]
    delta = make_delta(*trees, tmp_path / "pack", lambda _: None)
    index, pack = encode_delta(delta), (tmp_path / "pack").read_bytes()
    patch = {"from": "2.0.0", "base": delta.base, "index": digest_of(index), "size_bytes": len(index) + len(pack)}
    changes = {
        **world.add_video("unused", b"unused", thumbnail=world.upload(b"thumbnail")),
        **world.add_release("2.0.0", old),
        **world.add_release("2.1.0", new, patches=[patch]),
    }
    only_listed = {"only.js": b"a release without a document"}
    world.add_release("2.2.0", only_listed)
    named = [
        world.upload(data) for data in (index, pack, b"unused", b"thumbnail", *new.values(), *only_listed.values())
    ]
    named += [digest_of(encode_canonical(file_tree(files))) for files in (old, new, only_listed)]
    backup = world.upload(b"backup")
    world.commit({**changes, **world.keys.next_list()}, "Add what no site uses")
    assert (await world.ingest()).verdict == "published"
    async with world.connection() as conn:
        await keep_backup(conn, "brest", StoredBackup(backup, 6, world.clock()))
    later(world)
    assert (await sweep(world)).swept == 0
    assert await there(world.objects, backup, *named) == {backup, *named}
    world.keys.allowed.pop("2.2.0")
    world.commit({"releases/2.1.0.yaml": None, "videos/unused.yaml": None, **world.keys.next_list()}, "Take away")
    assert (await world.ingest()).verdict == "published"
    await sweep(world)
    gone = [digest_of(data) for data in (index, pack, b"unused", b"thumbnail", *only_listed.values())]
    assert await there(world.objects, *gone) == set()


async def test_revert_within_the_grace_finds_its_blobs_and_after_it_does_not(world: World) -> None:
    world.commit({**national("clip-a"), "videos/clip-b.yaml": None}, "Drop clip-b")
    assert (await world.ingest()).verdict == "published"
    clip_b = digest_of(b"second clip" * 100)
    later(world, 29)  # clip-b is two months old, and was in force 29 days ago
    assert (await sweep(world)).swept == 0
    assert await there(world.objects, clip_b) == {clip_b}
    later(world, 2)
    assert (await sweep(world)).swept == 1
    world.commit({**national("clip-a", "clip-b"), **world.video_files("clip-b", b"second clip" * 100)}, "Revert")
    outcome = await world.ingest()
    assert outcome.verdict == "refused", "though this very process had seen the blob in the store"
    assert any("BlobMissing" in problem for problem in outcome.problems)
    world.upload(b"second clip" * 100)
    assert (await world.ingest()).verdict == "published"


async def test_upload_that_asks_for_a_blob_keeps_it(world: World) -> None:
    orphan = world.upload(b"orphan")
    later(world)
    async with world.serve() as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        headers = await operator(world)
        state = (await client.get(f"/v1/uploads/{orphan}", headers=headers)).json()
        assert state["complete"]
        assert ((report := await sweep(world)).swept, report.fresh) == (0, 1)
        later(world)
        assert (await sweep(world)).swept == 1
        assert not (await client.get(f"/v1/uploads/{orphan}", headers=headers)).json()["complete"]
        put = await client.put(f"/v1/blobs/{orphan}", content=b"orphan", headers=headers)
        assert put.status_code == 201
    assert await there(world.objects, orphan) == {orphan}


async def operator(world: World, scope: Any = "write") -> dict[str, str]:
    async with world.connection() as conn:
        now = world.clock()
        token = await add_token(conn, "ada", [scope], now=now, expires_at=now + timedelta(days=365))
    return {"Authorization": f"Bearer {token}"}


async def test_route_asks_for_the_scope_write_and_answers_with_the_report(world: World) -> None:
    orphan = world.upload(b"orphan")
    later(world)
    async with world.serve() as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        reading = await operator(world, "read")
        assert (await client.post("/v1/gc", headers=reading)).status_code == 403
        assert (await client.post("/v1/gc")).status_code == 401
        writing = await operator(world)
        assert (await client.post("/v1/gc", params={"grace_days": 0}, headers=writing)).status_code == 400
        shown = await client.post("/v1/gc", headers=writing)
        assert (shown.status_code, shown.json()["dry_run"], shown.json()["swept"]) == (200, True, 1)
        done = await client.post("/v1/gc", params={"dry_run": "false", "grace_days": 30}, headers=writing)
        assert (done.json()["dry_run"], done.json()["swept"]) == (False, 1)
    assert await there(world.objects, orphan) == set()


async def test_second_sweep_beside_the_first_is_refused(world: World) -> None:
    async with world.connection() as conn, sweeps.only_sweep(conn) as alone:
        assert alone
        with pytest.raises(Superseded, match="another sweep is under way"):
            await sweep(world)
    assert (await sweep(world)).swept == 0


class Intruder:
    """An object store that does something at one point of a sweep."""

    def __init__(self, inner: ObjectStore, *, at: str, act: Any) -> None:
        self._inner, self._at, self._act = inner, at, act

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def stored(self, shard: int) -> Any:
        found = await self._inner.stored(shard)
        if self._at == "listed" and shard == 255:
            await self._act()
        return found

    async def delete(self, digests: Any) -> None:
        if self._at == "deleting":
            await self._act()
        await self._inner.delete(digests)


def intruded(world: World, at: str, act: Any) -> Sweeper:
    opened = world.opened
    return Sweeper(opened.pool, opened.git, Intruder(opened.objects, at=at, act=act), world.clock)


async def test_commit_published_between_the_look_and_the_condemnation_keeps_its_blobs(world: World) -> None:
    late = world.upload(b"late")
    later(world)
    published = []

    async def publish() -> None:
        if not published:
            world.commit({**national("clip-a", "late"), **world.video_files("late", b"late")}, "Use an old blob")
            published.append(await world.ingest())

    report = await intruded(world, "listed", publish).sweep(GRACE, dry_run=False)
    assert published[0].verdict == "published"
    assert report.swept == 0
    assert await there(world.objects, late) == {late}


async def test_commit_that_looks_while_its_blobs_are_deleted_is_refused_not_published(world: World) -> None:
    late = world.upload(b"late")
    later(world)
    outcomes = []

    async def look() -> None:
        # Its own process would look at the store at this very moment, in which the blob is there.
        assert await there(world.objects, late) == {late}
        world.commit({**national("clip-a", "late"), **world.video_files("late", b"late")}, "Use a doomed blob")
        outcomes.append(await world.ingest())

    assert (await intruded(world, "deleting", look).sweep(GRACE, dry_run=False)).swept == 1
    assert [outcome.verdict for outcome in outcomes] == ["refused"]
    assert any("BlobMissing" in problem for problem in outcomes[0].problems)
    assert (await world.ingest()).verdict == "refused"
    world.upload(b"late")
    assert (await world.ingest()).verdict == "published"


async def test_commit_whose_blobs_are_condemned_after_it_looked_looks_again(world: World) -> None:
    """A publication that had seen everything present is superseded by the condemnation, and refused then."""
    late = world.upload(b"late")
    later(world)
    world.commit({**national("clip-a", "late"), **world.video_files("late", b"late")}, "Use an old blob")
    swept: list[SweepReport] = []
    opened = world.opened

    class Between(Intruder):
        async def missing(self, digests: Any) -> Any:
            found = await self._inner.missing(digests)
            if late in set(digests) and not swept:
                assert late not in found
                swept.append(await sweep(world))
            return found

    store = Between(opened.objects, at="", act=None)
    outcome = await Pipeline(opened.pool, opened.git, store, opened.signer, world.clock).ingest()
    assert swept[0].swept == 1
    assert outcome.verdict == "refused"
    assert any("BlobMissing" in problem for problem in outcome.problems)


async def test_upload_that_asks_while_a_blob_is_deleted_is_told_the_truth(world: World) -> None:
    orphan = world.upload(b"orphan")
    later(world)
    async with world.serve() as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        headers = await operator(world)
        asking: list[asyncio.Task[httpx.Response]] = []

        async def ask() -> None:
            asking.append(asyncio.create_task(client.get(f"/v1/uploads/{orphan}", headers=headers)))
            await waits_for_a_lock(world)

        assert (await intruded(world, "deleting", ask).sweep(GRACE, dry_run=False)).swept == 1
        assert not (await asking[0]).json()["complete"]


async def waits_for_a_lock(world: World) -> None:
    """Return once somebody waits for a row that the sweep has locked."""
    async with asyncio.timeout(20), world.connection() as conn:
        while True:
            row = await (
                await conn.execute("select count(*) from pg_stat_activity where wait_event_type = 'Lock'")
            ).fetchone()
            if row and row[0]:
                return
            await asyncio.sleep(0.01)


async def test_sweep_that_died_after_condemning_is_taken_back_by_an_upload_and_judged_anew(world: World) -> None:
    orphan, other = world.upload(b"orphan"), world.upload(b"other")
    later(world)

    class Killed(BaseException):
        pass

    async def die() -> None:
        raise Killed

    with pytest.raises(Killed):
        await intruded(world, "deleting", die).sweep(GRACE, dry_run=False)
    async with connection(world.opened.pool) as conn:
        assert (await sweeps.verdicts(conn))[1] == {orphan, other}
    world.commit({**national("clip-a", "late"), **world.video_files("late", b"orphan")}, "Use a condemned blob")
    assert (await world.ingest()).verdict == "refused"
    async with world.serve() as url, httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
        state = await client.get(f"/v1/uploads/{orphan}", headers=await operator(world))
        assert state.json()["complete"]
    assert (await world.ingest()).verdict == "published"
    assert (await sweep(world)).swept == 1
    assert await there(world.objects, orphan, other) == {orphan}
    async with connection(world.opened.pool) as conn:
        assert (await sweeps.verdicts(conn))[1] == set()


async def test_foreign_files_in_the_folder_are_let_be(world: World) -> None:
    if not isinstance(world.objects, FolderStore):
        return
    folder = world.folder / "server" / "objects"
    for name in ("ab/notes.txt", "staging/leftover", "README"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
        os.utime(folder / name, (0, 0))
    later(world)
    assert (await sweep(world)).swept == 0
    assert (folder / "ab/notes.txt").exists()
