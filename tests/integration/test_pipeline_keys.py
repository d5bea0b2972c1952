"""What `neopro keys` makes in a clone is published by the control plane, and followed by boxes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cli.__main__ import run
from control_plane.errors import KeyUnusable
from schemas.trust import TrustRoot, read_root
from tests.support.command_line import git
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio


class Desk:
    """An operator's clone of a published fleet, and its private keys in files."""

    def __init__(self, world: World) -> None:
        self.world, self.clone = world, world.folder / "clone"
        git(world.folder, "clone", "-q", "-b", "main", str(world.remote), str(self.clone))
        for role in ("root", "release"):
            key = getattr(world.keys, role)
            text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            self.key(role).write_bytes(text)
            self.key(role).chmod(0o600)

    def key(self, name: str) -> Path:
        return self.world.folder / f"{name}.pem"

    async def does(self, *words: str | Path) -> None:
        """Run a verb of `neopro keys`, and push what it wrote."""
        command = ["keys", *map(str, words), "--repository", str(self.clone)]
        assert await asyncio.to_thread(run, command) == 0
        git(self.clone, "add", "-A")
        git(self.clone, "commit", "-qm", " ".join(map(str, words[:2])))
        self.world.adopt(self.clone)

    def walked(self) -> TrustRoot:
        """What a box comes to that walks from the first root to the last."""
        trusted = None
        for number in range(1, len(list((self.clone / "trust").glob("root-*.json"))) + 1):
            trusted = read_root((self.clone / "trust" / f"root-{number}.json").read_bytes(), trusted)
        assert trusted is not None
        return trusted


@pytest.fixture
async def desk(tmp_path: Path, database: str) -> AsyncIterator[Desk]:
    async with open_world(tmp_path, database) as world:
        assert (await world.ingest()).verdict == "published"
        yield Desk(world)


async def test_rotated_and_renewed_keys_are_published_one_after_the_other(desk: Desk) -> None:
    await desk.does("rotate", "release", "--new", desk.key("r2"), "--sign", desk.key("root"))
    assert (await desk.world.ingest()).verdict == "published"
    await desk.does("rotate", "root", "--new", desk.key("root2"), "--sign", desk.key("root"))
    assert (await desk.world.ingest()).verdict == "published"
    await desk.does("renew", "--sign", desk.key("root2"), "--sign", desk.key("r2"))
    assert (await desk.world.ingest()).verdict == "published"
    assert desk.walked().version == 4


async def test_new_manifest_key_stops_publishing_until_the_server_has_it(desk: Desk) -> None:
    await desk.does("rotate", "manifest", "--new", desk.key("m2"), "--sign", desk.key("root"))
    with pytest.raises(KeyUnusable, match="does not list this manifest key"):
        await desk.world.ingest()
