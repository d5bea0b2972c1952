"""Heads stay fresh, follow the trust documents, and still rise after everything but Git, objects and keys is lost."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from control_plane.errors import KeyUnusable
from control_plane.pipeline import Pipeline
from control_plane.signer import Signer, write_private_key
from control_plane.store import publications
from schemas.dsse import Refused
from schemas.manifest import SiteHead
from schemas.names import SiteId, digest_of
from schemas.trust import TrustRoot, read_head, read_release_list, read_root
from tests.support.postgres import PostgresServer
from tests.support.world import World, open_world, reopened

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]


@pytest.fixture
async def world(tmp_path: Path, database: str) -> AsyncIterator[World]:
    async with open_world(tmp_path, database) as opened:
        await opened.ingest()
        yield opened


async def trust(world: World) -> tuple[TrustRoot, bytes]:
    async with world.connection() as conn:
        envelopes = await publications.newest_trust(conn)
    assert envelopes is not None
    return read_root(envelopes[0], None), envelopes[1]


async def heads(world: World) -> dict[SiteId, SiteHead]:
    root, _ = await trust(world)
    async with world.connection() as conn:
        return {row.site: read_head(row.envelope, root) for row in await publications.all_heads(conn)}


async def test_heads_of_a_day_are_signed_anew_and_say_the_same(world: World) -> None:
    before = await heads(world)
    assert await world.pipeline.renew() == 0
    world.clock.offset = timedelta(days=1, minutes=1)
    assert await world.pipeline.renew() == 3
    after = await heads(world)
    for site, head in after.items():
        old = before[site]
        assert (head.generation, head.manifest, head.commit) == (old.generation, old.manifest, old.commit)
        assert head.issued_at - old.issued_at > timedelta(days=1)
        assert head.expires_at - head.issued_at == timedelta(days=7)
    assert await world.pipeline.renew() == 0


async def test_renewal_goes_on_in_batches_until_none_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("control_plane.pipeline.RENEW_BATCH", 2)
    world.clock.offset = timedelta(days=2)
    async with world.connection() as conn:
        base = await publications.current(conn)
    assert await world.pipeline.renew() == 3
    async with world.connection() as conn:
        now = await publications.current(conn)
    assert base is not None and now is not None and now.serial == base.serial + 2


async def test_a_new_release_list_reaches_every_head_without_a_new_generation(world: World) -> None:
    before = await heads(world)
    world.commit(world.add_release("2.0.0", {"VERSION": b"2.0.0\n"}), "Allow 2.0.0")
    outcome = await world.ingest()
    assert (outcome.verdict, outcome.sites) == ("published", 0)
    _, envelope = await trust(world)
    for site, head in (await heads(world)).items():
        assert head.release_list.version == 2 and head.release_list.sha256 == digest_of(envelope)
        assert head.generation == before[site].generation


async def test_a_rotated_manifest_key_signs_every_head_anew(world: World, tmp_path: Path) -> None:
    old_root, _ = await trust(world)
    before = await heads(world)
    world.keys.manifest = write_private_key(tmp_path / "new.key")
    world.commit(world.keys.next_root(), "Rotate the manifest key")
    with pytest.raises(KeyUnusable):
        await world.ingest()
    async with reopened(world, manifest_key=tmp_path / "new.key"):
        assert (await world.ingest()).verdict == "published"
    after = await heads(world)
    assert {(h.root_version, h.generation) for h in after.values()} == {(2, before[site].generation) for site in after}
    async with world.connection() as conn:
        rows = await publications.all_heads(conn)
    with pytest.raises(Refused):
        read_head(rows[0].envelope, old_root)


async def test_renewal_after_a_restart_needs_no_compilation(world: World) -> None:
    world.clock.offset = timedelta(days=2)
    async with reopened(world):
        away = world.remote.rename(world.remote.with_name("away.git"))
        assert await world.pipeline.renew() == 3
        away.rename(world.remote)


async def test_renewal_before_the_first_publication_does_nothing(tmp_path: Path, database: str) -> None:
    async with open_world(tmp_path, database, first=False) as empty:
        assert await empty.pipeline.renew() == 0


async def test_a_key_that_the_root_no_longer_names_renews_nothing(world: World) -> None:
    before = await heads(world)
    world.clock.offset = timedelta(days=2)
    services = world.opened
    stranger = Pipeline(
        services.pool, services.git, services.objects, Signer(Ed25519PrivateKey.generate()), world.clock
    )
    with pytest.raises(KeyUnusable):
        await stranger.renew()
    assert await heads(world) == before


async def test_rebuilt_from_git_objects_and_keys_a_box_accepts_what_it_serves(
    world: World, tmp_path: Path, postgres: PostgresServer, request: pytest.FixtureRequest
) -> None:
    world.commit({"sites/brest.yaml": world.site_file("brest", poll={"interval": "30s"})})
    await world.ingest()
    before = await heads(world)
    box_root, _ = await trust(world)
    async with world.connection() as conn:
        bodies = {site: await publications.manifest_body(conn, head.manifest) for site, head in before.items()}

    anew = postgres.create_database()
    request.addfinalizer(lambda: postgres.drop_database(anew))
    (world.settings.data_dir / "clone.git").rename(tmp_path / "lost")
    async with reopened(world, database_url=anew):
        assert (await world.ingest()).sites == 3
        async with world.connection() as conn:
            served = await publications.all_heads(conn)
            after = {row.site: read_head(row.envelope, box_root) for row in served}
            for site, head in after.items():
                assert head.generation > before[site].generation
                assert head.manifest == before[site].manifest
                assert await publications.manifest_body(conn, head.manifest) == bodies[site]
                assert head.root_version >= before[site].root_version
                assert head.release_list.version >= before[site].release_list.version
            newest = await publications.newest_trust(conn)
        assert newest is not None
        read_release_list(newest[1], box_root)
