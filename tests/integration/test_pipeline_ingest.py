"""From the remote to the database, on real parts: what is published, what is refused, and what stays as it was."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
import zstandard

from control_plane.errors import ClockBehind, KeyUnusable, NotFastForward, ObjectsUnavailable, RemoteUnreachable
from control_plane.signer import write_private_key
from control_plane.store import publications, remotes
from schemas.dsse import public_line
from schemas.manifest import SiteHead, SiteManifest, encode_canonical
from schemas.names import SiteId, digest_of
from schemas.trust import AllowedRelease, read_head, read_release_list, read_root
from tests.support.commits import RECIPIENT
from tests.support.world import SITES, World, as_yaml, file_tree, open_world, reopened

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[World]:
    async with open_world(tmp_path, database) as opened:
        yield opened


async def heads(world: World) -> dict[SiteId, SiteHead]:
    """Every head, verified against the newest root as a box does."""
    async with world.connection() as conn:
        trust = await publications.newest_trust(conn)
        assert trust is not None
        root = read_root(trust[0], None)
        read_release_list(trust[1], root)
        return {row.site: read_head(row.envelope, root) for row in await publications.all_heads(conn)}


async def manifest(world: World, site: SiteId) -> SiteManifest:
    async with world.connection() as conn:
        body = await publications.manifest_body(conn, (await heads(world))[site].manifest)
    assert body is not None
    return msgspec.json.decode(body, type=SiteManifest)


async def commit_row(world: World, revision: str) -> tuple[object, ...] | None:
    async with world.connection() as conn:
        rows = await conn.execute(
            "select verdict, sites, published_at is not null from commits where revision = %s", (revision,)
        )
        return await rows.fetchone()


async def row_version(world: World, revision: str) -> object:
    """PostgreSQL's own version of the commit's row: another one when it was written again."""
    async with world.connection() as conn:
        rows = await conn.execute("select xmin::text from commits where revision = %s", (revision,))
        return await rows.fetchone()


async def remote_error(world: World) -> str:
    async with world.connection() as conn:
        look = await remotes.last_look(conn)
    assert look is not None
    return look.error


async def test_the_first_commit_gives_every_site_a_head_that_a_box_accepts(world: World) -> None:
    before = int(world.clock().timestamp() * 1000)
    outcome = await world.ingest()
    assert (outcome.verdict, outcome.sites) == ("published", 3)
    found = await heads(world)
    assert set(found) == set(SITES)
    for site, head in found.items():
        assert (head.site, head.commit, head.state) == (site, outcome.revision, "active")
        assert before <= head.generation <= int(world.clock().timestamp() * 1000)
        assert head.expires_at - head.issued_at == timedelta(days=7)
    assert (await manifest(world, "brest")).release is not None
    assert await commit_row(world, outcome.revision) == ("published", 3, True)


async def test_the_same_commit_again_changes_nothing(world: World) -> None:
    first = await world.ingest()
    before = await heads(world)
    again = await world.ingest()
    assert (again.verdict, again.revision) == ("unchanged", first.revision)
    assert await heads(world) == before


async def test_a_change_of_one_site_gives_a_generation_to_that_site_alone(world: World) -> None:
    await world.ingest()
    before = await heads(world)
    revision = world.commit({"sites/brest.yaml": world.site_file("brest", poll={"interval": "30s"})})
    assert (await world.ingest()).sites == 1
    after = await heads(world)
    assert after["brest"].generation > before["brest"].generation and after["brest"].commit == revision
    assert {s: after[s] for s in ("nantes", "rennes")} == {s: before[s] for s in ("nantes", "rennes")}


async def test_a_new_name_or_key_changes_the_row_and_no_generation(world: World) -> None:
    await world.ingest()
    before = await heads(world)
    world.commit({"sites/brest.yaml": world.site_file("brest", identity=False, name="Stade brestois")})
    assert (await world.ingest()).sites == 0
    assert await heads(world) == before
    async with world.connection() as conn:
        assert (await publications.marks(conn))["brest"].name == "Stade brestois"
        assert {row.site: row.identity is None for row in await publications.all_heads(conn)}["brest"]


async def test_a_revert_gives_the_old_manifest_a_new_generation(world: World) -> None:
    await world.ingest()
    before = await heads(world)
    old = world.file("fleet.yaml")
    world.commit({"fleet.yaml": as_yaml({"schema": 1, "defaults": {"release": "1.0.0"}})})
    assert (await world.ingest()).sites == 3
    world.commit({"fleet.yaml": old}, 'Revert "Change the fleet"')
    assert (await world.ingest()).sites == 3
    after = await heads(world)
    assert after["brest"].manifest == before["brest"].manifest
    assert after["brest"].generation > before["brest"].generation


async def test_a_site_gone_from_git_is_retired_once_and_comes_back_with_its_file(world: World) -> None:
    await world.ingest()
    before = await heads(world)
    text = world.file("sites/brest.yaml")
    world.commit({"sites/brest.yaml": None})
    assert (await world.ingest()).sites == 1
    gone = (await heads(world))["brest"]
    assert gone.state == "retired" and gone.generation > before["brest"].generation
    world.commit({"sites/nantes.yaml": world.site_file("nantes", name="Other")})
    await world.ingest()
    assert (await heads(world))["brest"] == gone
    world.commit({"sites/brest.yaml": text})
    assert (await world.ingest()).sites == 1
    back = (await heads(world))["brest"]
    assert back.state == "active" and back.generation > gone.generation


async def test_a_commit_with_errors_is_refused_with_every_problem_and_the_last_one_stays(world: World) -> None:
    await world.ingest()
    before = await heads(world)
    revision = world.commit(
        {"sites/brest.yaml": "nmae: Brest\n", "groups/bretagne.yaml": "name: [\n"}, "Break two files"
    )
    outcome = await world.ingest()
    assert outcome.verdict == "refused"
    assert any(p.startswith("sites/brest.yaml:1:") for p in outcome.problems)
    assert any(p.startswith("groups/bretagne.yaml:") for p in outcome.problems)
    assert await heads(world) == before
    assert await commit_row(world, revision) == ("refused", 0, False)


async def test_a_refused_commit_that_is_still_the_tip_is_not_refused_anew(world: World) -> None:
    await world.ingest()
    world.commit({"sites/brest.yaml": "nmae: Brest\n"})
    first = await world.ingest()
    written = await row_version(world, first.revision)
    second = await world.ingest()
    assert (second.verdict, second.problems) == ("refused", first.problems)
    assert await row_version(world, first.revision) == written


async def test_a_good_commit_after_a_refused_one_is_published(world: World) -> None:
    await world.ingest()
    world.commit({"sites/brest.yaml": "nmae: Brest\n"})
    await world.ingest()
    world.commit({"sites/brest.yaml": world.site_file("brest", state="suspended")})
    assert (await world.ingest()).verdict == "published"
    assert (await heads(world))["brest"].state == "suspended"


async def test_what_a_refused_commit_revokes_is_revoked(world: World) -> None:
    await world.ingest()
    line = public_line(world.site_key("brest").public_key())
    world.commit({"revoked.yaml": as_yaml({"identities": [line]}), "sites/nantes.yaml": "nmae: Nantes\n"})
    assert (await world.ingest()).verdict == "refused"
    async with world.connection() as conn:
        identities = {row.site: row.identity for row in await publications.all_heads(conn)}
    assert identities["brest"] is None and identities["nantes"] is not None


async def test_rewritten_history_is_refused_and_told_until_it_is_mended(world: World) -> None:
    first = world.commit({}, "Nothing")
    await world.ingest()
    second = world.commit({"sites/brest.yaml": world.site_file("brest", state="suspended")})
    await world.ingest()
    before = await heads(world)
    world.rewind(first)
    world.commit({"sites/brest.yaml": None}, "Another history")
    with pytest.raises(NotFastForward):
        await world.ingest()
    assert await heads(world) == before
    assert "history was rewritten" in await remote_error(world)
    world.rewind(second)
    assert (await world.ingest()).verdict == "unchanged"
    assert await remote_error(world) == ""


async def test_a_remote_that_is_away_is_told_and_everything_stays(world: World) -> None:
    await world.ingest()
    before = await heads(world)
    away = world.remote.rename(world.remote.with_name("away.git"))
    with pytest.raises(RemoteUnreachable):
        await world.ingest()
    assert "cannot fetch" in await remote_error(world)
    assert await heads(world) == before
    away.rename(world.remote)
    assert (await world.ingest()).verdict == "unchanged"


async def test_a_video_that_was_not_uploaded_refuses_the_commit_until_it_is_there(world: World) -> None:
    await world.ingest()
    change = world.video_files("late", b"late clip") | {
        "video-sets/late.yaml": as_yaml(
            {"name": "Late", "category": {"id": "late", "name": "LATE"}, "videos": ["late"]}
        ),
        "sites/brest.yaml": world.site_file("brest", video_sets=["late"]),
    }
    revision = world.commit(change)
    outcome = await world.ingest()
    assert outcome.verdict == "refused"
    (problem,) = [p for p in outcome.problems if "BlobMissing" in p]
    assert problem.startswith("videos/late.yaml:2:") and "neopro video add" in problem
    world.upload(b"late clip")
    assert (await world.ingest()).sites == 1
    assert await commit_row(world, revision) == ("published", 1, True)


async def test_a_change_behind_a_missing_video_is_published_with_the_commit_that_drops_the_video(world: World) -> None:
    await world.ingest()
    changed = world.site_file("nantes", poll={"interval": "30s"})
    late = {"name": "Late", "category": {"id": "late", "name": "LATE"}, "videos": ["late"]}
    world.commit(
        world.video_files("late", b"late clip")
        | {
            "video-sets/late.yaml": as_yaml(late),
            "sites/brest.yaml": world.site_file("brest", video_sets=["late"]),
            "sites/nantes.yaml": changed,
        }
    )
    assert (await world.ingest()).verdict == "refused"
    world.commit({"sites/brest.yaml": world.site_file("brest")})
    assert (await world.ingest()).sites == 1
    assert (await manifest(world, "nantes")).poll_interval_s == 30


async def test_a_release_whose_tree_is_no_listing_is_refused_at_its_line(world: World) -> None:
    await world.ingest()
    wrong = world.upload(b"not a listing")
    files = world.release_files("2.0.0", {"VERSION": b"2.0.0\n"})
    right = world.keys.allowed["2.0.0"].tree
    world.keys.allowed["2.0.0"] = AllowedRelease(kind="app", version="2.0.0", tree=wrong)
    document = {"releases/2.0.0.yaml": str(files["releases/2.0.0.yaml"]).replace(right, wrong)}
    world.commit(document | world.keys.next_list() | {"sites/brest.yaml": world.site_file("brest", release="2.0.0")})
    outcome = await world.ingest()
    assert outcome.verdict == "refused"
    (problem,) = outcome.problems
    assert problem.startswith("releases/2.0.0.yaml:2:") and "no listing" in problem


@pytest.mark.parametrize("lacking", ["listing", "file"])
async def test_a_release_that_was_not_wholly_uploaded_refuses_the_commit_until_it_is(
    world: World, lacking: str
) -> None:
    await world.ingest()
    files = {"VERSION": b"2.0.0\n", "server/app.py": b"print('two')\n"}
    listing = encode_canonical(file_tree(files))
    blobs = [*files.values(), listing]
    absent = blobs.pop() if lacking == "listing" else blobs.pop(0)
    for blob in blobs:
        world.upload(blob)
    world.commit(world.release_files("2.0.0", files) | {"sites/brest.yaml": world.site_file("brest", release="2.0.0")})
    outcome = await world.ingest()
    assert outcome.verdict == "refused"
    (problem,) = [p for p in outcome.problems if "BlobMissing" in p]
    assert problem.startswith("releases/2.0.0.yaml:2:") and "neopro release add" in problem
    assert ("1 of the 2 files" in problem) == (lacking == "file")
    world.upload(absent)
    assert (await world.ingest()).sites == 1


@pytest.mark.parametrize("lacking", ["index", "pack", "neither: the index is none"])
async def test_a_patch_that_was_not_wholly_uploaded_refuses_the_commit_until_it_is(world: World, lacking: str) -> None:
    await world.ingest()
    pack = b"frames"
    index = zstandard.ZstdCompressor().compress(msgspec.json.encode({"pack": digest_of(pack)}))
    blobs = {"pack": pack, "index": b"no index" if lacking.startswith("neither") else index}
    patch = {"from": "1.0.0", "base": digest_of(b"1"), "index": digest_of(blobs["index"]), "size_bytes": 6}
    files = {"VERSION": b"2.0.0\n"}
    for name in blobs.keys() - {lacking}:
        world.upload(blobs[name])
    change = world.add_release("2.0.0", files, patches=[patch])
    world.commit(change | {"sites/brest.yaml": world.site_file("brest", release="2.0.0")})
    outcome = await world.ingest()
    assert outcome.verdict == "refused"
    (problem,) = [p for p in outcome.problems if "BlobMissing" in p]
    assert problem.startswith("releases/2.0.0.yaml:") and "neopro release add" in problem
    if lacking in blobs:
        world.upload(blobs[lacking])
        assert (await world.ingest()).sites == 1


async def test_a_backup_to_put_back_that_is_not_there_refuses_the_commit_until_it_is(world: World) -> None:
    await world.ingest()
    world.commit({"sites/brest.yaml": world.site_file("brest", restore=digest_of(b"backup"), recipient=RECIPIENT)})
    (problem,) = [p for p in (await world.ingest()).problems if "BlobMissing" in p]
    assert problem.startswith("sites/brest.yaml:") and "neopro site replace" in problem
    world.upload(b"backup")
    assert (await world.ingest()).sites == 1


async def test_a_release_that_no_site_wants_need_not_be_uploaded(world: World) -> None:
    await world.ingest()
    world.commit(world.release_files("3.0.0", {"VERSION": b"3.0.0\n"}))
    assert (await world.ingest()).verdict == "published"


async def test_a_clock_far_behind_the_publication_publishes_nothing(world: World) -> None:
    await world.ingest()
    before = await heads(world)
    world.clock.offset = -timedelta(days=2)
    world.commit({"sites/brest.yaml": world.site_file("brest", state="suspended")})
    with pytest.raises(ClockBehind, match="set the clock"):
        await world.ingest()
    with pytest.raises(ClockBehind):
        await world.pipeline.renew()
    assert await heads(world) == before
    assert "set the clock" in await remote_error(world)


async def test_a_clock_an_hour_behind_still_raises_the_generation(world: World) -> None:
    await world.ingest()
    before = (await heads(world))["brest"].generation
    world.clock.offset = -timedelta(hours=1)
    world.commit({"sites/brest.yaml": world.site_file("brest", state="suspended")})
    await world.ingest()
    assert (await heads(world))["brest"].generation == before + 1


async def test_a_key_that_the_trust_root_does_not_name_signs_nothing(world: World, tmp_path: Path) -> None:
    write_private_key(tmp_path / "other.key")
    async with reopened(world, manifest_key=tmp_path / "other.key"):
        with pytest.raises(KeyUnusable, match="does not list this manifest key"):
            await world.ingest()
        assert "does not list" in await remote_error(world)
    async with world.connection() as conn:
        assert await publications.all_heads(conn) == []


async def test_a_repository_without_trust_is_refused_and_says_how_to_begin(world: World) -> None:
    world.commit({"trust/root-1.json": None, "trust/release-list-1.json": None})
    outcome = await world.ingest()
    assert outcome.verdict == "refused"
    assert any("neopro keys init" in problem for problem in outcome.problems)


async def test_objects_that_cannot_be_reached_publish_nothing(world: World) -> None:
    folder = world.settings.data_dir / "objects"
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("not a folder")
    with pytest.raises(ObjectsUnavailable):
        await world.ingest()
    async with world.connection() as conn:
        assert await publications.current(conn) is None


async def test_another_control_plane_that_published_first_is_followed(world: World) -> None:
    await world.ingest()
    ours = world.pipeline
    async with reopened(world):
        world.commit({"sites/brest.yaml": world.site_file("brest", state="suspended")})
        await world.ingest()
    theirs = await heads(world)
    world.commit({"sites/brest.yaml": world.site_file("brest", state="active")})
    assert (await ours.ingest()).sites == 1
    assert (await heads(world))["brest"].generation > theirs["brest"].generation


async def test_two_control_planes_at_once_publish_a_commit_once(world: World) -> None:
    await world.ingest()
    ours = world.pipeline
    async with reopened(world):
        world.commit({"fleet.yaml": as_yaml({"schema": 1, "defaults": {"release": "1.0.0"}})})
        outcomes = await asyncio.gather(ours.ingest(), world.ingest())
    assert sorted(o.verdict for o in outcomes) == ["published", "unchanged"]
    async with world.connection() as conn:
        rows = await conn.execute("select count(*) from generations")
        assert await rows.fetchone() == (6,)


async def test_after_a_restart_a_commit_changes_only_what_it_changes(world: World) -> None:
    await world.ingest()
    before = await heads(world)
    async with reopened(world):
        assert (await world.ingest()).verdict == "unchanged"
        world.commit({"sites/brest.yaml": world.site_file("brest", state="suspended")})
        assert (await world.ingest()).sites == 1
    after = await heads(world)
    assert {s: after[s] for s in ("nantes", "rennes")} == {s: before[s] for s in ("nantes", "rennes")}
