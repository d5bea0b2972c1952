"""A dead card: the new box's keys, the old one's end, and the club's configuration back, through a running server."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cli.__main__ import run
from control_plane.core.yaml_strict import load_plain
from schemas.backup import KeptVideo, KeptVideos, Restore, VideoIndex
from schemas.desired import Revoked, Site
from schemas.dsse import public_line
from schemas.names import digest_of
from tests.support.api import Api, open_api
from tests.support.command_line import environment
from tests.support.published import Box, Wanted
from tests.support.transcripts import SMALL

pytestmark = pytest.mark.anyio
CLUB = b'{"auth": {"password": "allez rennes"}}'
OLD = "ed25519:PaoemJ+IOwOl8zvMMAlYwW1Hf7D9Q31fAN7AdHbO8f0="


@dataclass
class Desk:
    """An operator's checkout, the team's recovery key, and a new box, beside a server."""

    api: Api
    fleet: Path
    recovery: Any
    box: Any
    identity: str

    @property
    def key_file(self) -> Path:
        return self.fleet.parent / "recovery.txt"

    @property
    def site(self) -> Site:
        return msgspec.convert(load_plain((self.fleet / "sites/rennes-fc.yaml").read_bytes()), Site)

    @property
    def revoked(self) -> Revoked:
        return msgspec.convert(load_plain((self.fleet / "revoked.yaml").read_bytes()), Revoked)

    async def backup(self, body: bytes) -> None:
        """What the old box left."""
        old = Box("rennes-fc")
        await self.api.publish({"rennes-fc": Wanted(old.identity)})
        url = "/v1/sites/rennes-fc/backup"
        assert (await self.api.http.put(url, headers=old.headers(self.api.now), content=body)).status_code == 204

    async def replace(self, *words: str) -> int:
        """Run the verb with the new box's keys."""
        keys = ["--identity", self.identity, "--recipient", str(self.box.to_public())]
        command = ["site", "replace", "rennes-fc", *keys, "--repository", str(self.fleet), *words]
        return await asyncio.to_thread(run, command)


@pytest.fixture
async def desk(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    fleet = Path(shutil.copytree(SMALL, tmp_path / "fleet"))
    recovery, box = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    identity = public_line(Ed25519PrivateKey.generate().public_key())
    (fleet / "fleet.yaml").open("a").write(f"recovery: {recovery.to_public()}\n")
    async with open_api(tmp_path, database) as api, api.serve() as url:
        token = (await api.operator("read", "write"))["Authorization"].removeprefix("Bearer ")
        for name, value in environment(tmp_path, NEOPRO_URL=url, NEOPRO_TOKEN=token).items():
            monkeypatch.setenv(name, value)
        made = Desk(api, fleet, recovery, box, identity)
        made.key_file.write_text(f"# created: today\n# public key: {recovery.to_public()}\n{recovery}\n")
        made.key_file.chmod(0o600)
        yield made


async def test_new_box_gets_the_keys_and_the_clubs_configuration_and_the_old_one_is_revoked(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    await desk.backup(pyrage.encrypt(CLUB, [desk.recovery.to_public()]))
    before = (desk.fleet / "sites/rennes-fc.yaml").read_text()

    assert await desk.replace("--recovery-key", str(desk.key_file)) == 0

    assert (desk.site.identity, desk.site.recipient) == (desk.identity, str(desk.box.to_public()))
    assert desk.revoked.identities == [OLD]
    assert desk.site.restore is not None
    blob = b"".join([chunk async for chunk in desk.api.objects.read(desk.site.restore)])
    assert json.loads(pyrage.decrypt(blob, [desk.box])) == {"configuration": json.loads(CLUB), "videos": None}
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(blob, [desk.recovery])
    after = (desk.fleet / "sites/rennes-fc.yaml").read_text()
    assert after.replace(desk.identity, OLD).startswith(before)
    said = capsys.readouterr()
    assert "allez" not in said.out + said.err and "SECRET" not in said.out + said.err
    assert [path for path in desk.fleet.parent.rglob("*") if path.is_file() and b"allez" in path.read_bytes()] == []


async def test_second_replacement_adds_to_what_is_revoked(desk: Desk) -> None:
    await desk.replace("--without-backup")
    first, desk.identity = desk.identity, public_line(Ed25519PrivateKey.generate().public_key())
    assert await desk.replace("--without-backup") == 0
    assert desk.revoked.identities == [OLD, first]


async def test_dry_run_shows_the_change_and_uploads_nothing(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    await desk.backup(pyrage.encrypt(CLUB, [desk.recovery.to_public()]))
    blobs = sorted((desk.api.settings.data_dir / "objects").rglob("*"))
    assert await desk.replace("--recovery-key", str(desk.key_file), "--dry-run") == 0
    assert f"+identity: {desk.identity}" in capsys.readouterr().out
    assert sorted((desk.api.settings.data_dir / "objects").rglob("*")) == blobs
    assert desk.site.identity == OLD and not (desk.fleet / "revoked.yaml").exists()


async def refused(desk: Desk, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """A run that must change nothing; its status and what it says."""
    status = await desk.replace(*words)
    assert desk.site.identity == OLD and not (desk.fleet / "revoked.yaml").exists()
    said = capsys.readouterr()
    assert said.err.startswith("neopro: cannot ") and said.err.count("\n") == 1 and "SECRET-KEY-1Q" not in said.err
    return status, said.err


async def test_club_without_a_backup_is_told_how_to_go_on(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = await refused(desk, capsys, "--recovery-key", str(desk.key_file))
    assert (status, "--without-backup goes on with the keys alone" in said) == (1, True)
    assert await desk.replace("--without-backup") == 0
    assert (desk.site.identity, desk.site.restore) == (desk.identity, None)


async def test_recovery_key_that_does_not_fit_is_refused(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    stranger = pyrage.x25519.Identity.generate()
    await desk.backup(pyrage.encrypt(CLUB, [stranger.to_public()]))
    _, said = await refused(desk, capsys, "--recovery-key", str(desk.key_file))
    assert "it is not encrypted to this recovery key" in said
    desk.key_file.write_text(str(stranger))
    _, said = await refused(desk, capsys, "--recovery-key", str(desk.key_file))
    assert "fleet.yaml names another recovery key" in said
    desk.key_file.chmod(0o644)
    _, said = await refused(desk, capsys, "--recovery-key", str(desk.key_file))
    assert "run: chmod 600" in said
    desk.key_file.chmod(0o600)
    desk.key_file.write_text("not a key")
    _, said = await refused(desk, capsys, "--recovery-key", str(desk.key_file))
    assert "it must hold one line AGE-SECRET-KEY-1…" in said
    _, said = await refused(desk, capsys, "--recovery-key", "nowhere.txt")
    assert "No such file" in said
    _, said = await refused(desk, capsys)
    assert "without --recovery-key FILE; or say --without-backup" in said


@pytest.mark.parametrize(
    ("identity", "says"),
    [
        (OLD, "it has this identity already"),
        ("ed25519:" + "A" * 43 + "=", "small order"),
        ("rsa:x", "--identity"),
        ("ed25519:6MAQUdxQd3BD4YWwWHjDmIcC8sUOJ8xuHuts9rsXJWI=", "sites/brest-handball.yaml has this identity too"),
    ],
)
async def test_identity_that_no_new_box_has_is_refused(
    desk: Desk, capsys: pytest.CaptureFixture[str], identity: str, says: str
) -> None:
    desk.identity = identity
    status, said = await refused(desk, capsys, "--without-backup")
    assert (status, says in said) == (2, True), said


@pytest.mark.parametrize("configuration", [True, False])
async def test_new_box_gets_the_index_of_the_clubs_videos_with_the_key_that_reads_them(
    desk: Desk, capsys: pytest.CaptureFixture[str], configuration: bool
) -> None:
    if configuration:
        await desk.backup(pyrage.encrypt(CLUB, [desk.recovery.to_public()]))
        desk.api.now += timedelta(minutes=1)
    old = Box("rennes-fc")
    await desk.api.publish({"rennes-fc": Wanted(old.identity)})
    video = bytes(pyrage.encrypt(b"film", [desk.recovery.to_public()]))
    kept = KeptVideo(
        path="videos/a.mp4", size_bytes=4, digest=digest_of(b"film"), blob=digest_of(video), blob_bytes=len(video)
    )
    index = VideoIndex(identity=str(pyrage.x25519.Identity.generate()), videos=[kept])
    sealed = bytes(pyrage.encrypt(msgspec.json.encode(index), [desk.recovery.to_public()]))
    url, headers = "/v1/sites/rennes-fc/backup/videos", old.headers(desk.api.now)
    assert (await desk.api.http.put(f"{url}/{digest_of(video)}", headers=headers, content=video)).status_code == 201
    told = msgspec.json.encode(KeptVideos(index=sealed, blobs=[digest_of(video)]))
    assert (await desk.api.http.put(url, headers=headers, content=told)).status_code == 204

    assert await desk.replace("--recovery-key", str(desk.key_file)) == 0

    assert desk.site.restore is not None
    blob = b"".join([chunk async for chunk in desk.api.objects.read(desk.site.restore)])
    restore = msgspec.json.decode(pyrage.decrypt(blob, [desk.box]), type=Restore)
    assert restore == Restore(configuration=json.loads(CLUB) if configuration else {}, videos=index)
    said = capsys.readouterr()
    assert "SECRET" not in said.out + said.err


async def test_backup_that_is_none_is_refused_without_a_word_of_it(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    await desk.backup(pyrage.encrypt(b"allez, no configuration", [desk.recovery.to_public()]))
    assert await desk.replace("--recovery-key", str(desk.key_file)) == 2
    said = capsys.readouterr()
    assert "is no backup" in said.err and "allez" not in said.out + said.err
