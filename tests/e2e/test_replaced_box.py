"""A dead card, whole: the box leaves what the club owns, an operator replaces it, and the next box has it all again."""

import os
import re
import shutil
from datetime import timedelta
from pathlib import Path

import pyrage
import pytest

from control_plane.store import tokens
from tests.support.command_line import environment, git, neopro
from tests.support.live_box import LiveBox
from tests.support.world import ServedWorld, as_yaml, served_world

pytestmark = pytest.mark.timeout(300)
FILMS = {"videos/CLUB/but.mp4": os.urandom(1_500_000), "videos/CLUB/été/match.mp4": os.urandom(40_000)}


async def operator_token(served: ServedWorld) -> str:
    now = served.world.clock()
    async with served.world.connection() as conn:
        return await tokens.add_token(conn, "ada", ["read", "write"], now=now, expires_at=now + timedelta(days=1))


def put(box: LiveBox, films: dict[str, bytes]) -> None:
    for path, data in films.items():
        (box.root / path).parent.mkdir(parents=True, exist_ok=True)
        (box.root / path).write_bytes(data)


def has_what_was_kept(box: LiveBox, old: LiveBox) -> None:
    assert {path: (box.root / path).read_bytes() for path in FILMS} == FILMS
    found = box.configuration()
    assert found["auth"] == old.club["auth"]
    assert {c["id"] for c in old.club["categories"]} <= {c["id"] for c in found["categories"]}


def test_next_box_has_the_clubs_configuration_and_videos_of_the_dead_one(tmp_path: Path, database: str) -> None:
    recovery = pyrage.x25519.Identity.generate()
    key = tmp_path / "recovery.txt"
    key.touch(0o600)
    key.write_text(f"{recovery}\n")
    with served_world(tmp_path / "world", database) as served:
        defaults = {"video_sets": ["national"], "backup": {"configuration": True, "videos": True}}
        fleet = {"schema": 1, "recovery": str(recovery.to_public()), "defaults": defaults}
        served.publish({"fleet.yaml": as_yaml(fleet)}, "Keep what clubs own")
        with LiveBox(tmp_path / "old").switched_on() as old:
            old.provision(served.world, served.url)
            put(old, FILMS)
            old.converge()
        env = environment(tmp_path, NEOPRO_URL=served.url, NEOPRO_TOKEN=served.run(operator_token(served)))
        clone = tmp_path / "clone"
        git(tmp_path, "clone", "-q", str(served.world.remote), str(clone))
        git(clone, "config", "user.name", "Ada")
        git(clone, "config", "user.email", "ada@example.org")
        shown = neopro("diff", "brest", cwd=clone, env=env).stdout
        assert re.search(r"file videos/CLUB/but.mp4 +1.5 MB", shown), shown
        assert old.club["auth"]["password"] not in shown

        with LiveBox(tmp_path / "new").switched_on() as new:
            new.write(url=served.url)
            (new.folder / "root.json").write_text(served.world.file("trust/root-1.json"))
            (new.root / "data/configuration.json").write_text('{"auth": {"password": "template"}}')
            keys = dict(line.split(": ", 1) for line in new.run("identity").stdout.splitlines())
            words = ["--identity", keys["identity"], "--recipient", keys["recipient"], "--recovery-key", str(key)]
            done = neopro("site", "replace", "brest", *words, "--commit", cwd=clone, env=env)
            assert done.returncode == 0, done.stderr
            git(clone, "push", "-q", "origin", "HEAD:main")
            assert served.ingest().verdict == "published"
            new.converge()
            new.converge()
            has_what_was_kept(new, old)

        stick = tmp_path / "stick"
        stick.mkdir()
        written = neopro("usb", str(stick), "brest", cwd=clone, env=env)
        assert "2 videos of the club's to be put back" in written.stdout, written.stderr
        small = tmp_path / "small"
        small.mkdir()
        without = neopro("usb", str(small), "brest", "--without-club-videos", cwd=clone, env=env)
        assert without.returncode == 0 and "videos" not in without.stdout
        missing = {path.name for path in stick.rglob("*")} - {path.name for path in small.rglob("*")}
        assert len([name for name in missing if len(name) == 64]) == 2, "the videos alone"
        assert neopro("usb", str(stick), "--prune", cwd=clone, env=env).returncode == 0
        assert neopro("usb", str(stick), "--check", cwd=clone, env=env).returncode == 0
        lying = b"".join(path.read_bytes() for path in stick.rglob("*") if path.is_file())
        for secret in (old.club["auth"]["password"].encode(), *FILMS.values(), b"but.mp4", b"AGE-SECRET"):
            assert secret not in lying, "whoever finds the stick reads nothing of the club's"

    with LiveBox(tmp_path / "beside").switched_on() as beside:  # the new card, which never met a network
        shutil.copytree(new.folder / "etc", beside.folder / "etc")
        shutil.copy(new.folder / "root.json", beside.folder)
        (beside.root / "data/configuration.json").write_text('{"auth": {"password": "template"}}')
        done = beside.run("once", "--from", str(stick))
        assert (done.returncode, done.stdout) == (0, "Converged: The box is as desired.\n"), done.stderr
        has_what_was_kept(beside, old)
