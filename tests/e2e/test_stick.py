"""A box without any network, served by a USB stick: real server, real command lines, hostile sticks."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas.names import digest_of
from schemas.stick import FOLDER, blob_path
from tests.e2e.test_enrolled_box import read_write_token
from tests.support.command_line import environment, neopro
from tests.support.live_box import LiveBox, application, release_changes
from tests.support.patience import wait_for
from tests.support.world import ServedWorld, served_world

NOWHERE = "http://127.0.0.1:9"


@dataclass
class Desk:
    """An operator beside a control plane, and a stick."""

    served: ServedWorld
    stick: Path
    env: dict[str, str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return neopro("usb", str(self.stick), *words, cwd=self.stick.parent, env=self.env)

    def write(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def folder(self) -> Path:
        return self.stick / FOLDER


@pytest.fixture
def desk(tmp_path: Path, database: str) -> Iterator[Desk]:
    stick = tmp_path / "media" / "STICK"
    stick.mkdir(parents=True)
    with served_world(tmp_path / "world", database) as served:
        served.publish(release_changes(served.world, "1.1.0", application("1.1.0")), "Release 1.1.0")
        token = served.run(read_write_token(served))
        yield Desk(served, stick, environment(tmp_path, NEOPRO_URL=served.url, NEOPRO_TOKEN=token))


@pytest.fixture
def box(desk: Desk, tmp_path: Path) -> Iterator[LiveBox]:
    """Known to the fleet, and without a network."""
    with LiveBox(tmp_path / "brest").switched_on() as live:
        live.provision(desk.served.world, desk.served.url)
        live.write(url=NOWHERE)
        yield live


def take(box: LiveBox, desk: Desk) -> subprocess.CompletedProcess[str]:
    return box.run("once", "--from", str(desk.stick))


def test_box_without_a_network_converges_from_a_stick_and_again_from_a_newer_one(desk: Desk, box: LiveBox) -> None:
    first = desk.write("brest")
    done = take(box, desk)
    assert (done.returncode, done.stdout) == (0, "Converged: The box is as desired.\n"), done.stderr
    assert (box.active(), box.shown()) == ("1.1.0", {"clip-a", "clip-b"})
    assert box.run("verify").returncode == 0
    status = json.loads(box.run("status", "--json").stdout)
    connected = next(c for c in status["conditions"] if c["type"] == "Connected")
    assert (connected["status"], connected["reason"]) == ("False", "NetworkTrouble"), "a stick is no network"

    traces = box.traces()
    assert "brest: 0 files" not in first and "brest: 0 files" in desk.write(), "nothing is fetched twice"
    desk.served.publish(release_changes(desk.served.world, "1.2.0", application("1.2.0")), "Release 1.2.0")
    assert desk.run("--check").returncode == 0
    newer = desk.write()
    assert newer.startswith("brest: ") and "brest: 0 files" not in newer
    assert box.traces() == traces
    assert take(box, desk).returncode == 0
    assert box.active() == "1.2.0"


def test_running_agent_takes_a_stick_that_is_mounted_while_there_is_no_network(desk: Desk, box: LiveBox) -> None:
    desk.write("brest")
    away = desk.stick.parent.parent / "away"
    desk.stick.rename(away)
    box.write(sticks=str(desk.stick.parent))
    with box.agent():
        wait_for(lambda: "NetworkTrouble" in box.run("status", "--json").stdout, "the box has no network")
        assert json.loads(box.run("status", "--json").stdout).get("accepted_generation") is None
        away.rename(desk.stick)  # as a mount makes it appear, whole
        wait_for(lambda: box.run("status").returncode == 0, "the box took the stick")
    assert box.active() == "1.1.0"


def test_stick_spares_the_network_what_is_on_it(desk: Desk, box: LiveBox) -> None:
    desk.write("brest")
    box.write(url=desk.served.url)
    for path in (desk.served.world.settings.data_dir / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    assert take(box, desk).returncode == 0, "news over the network, files from the stick"
    assert box.active() == "1.1.0"


def test_old_stick_is_refused_when_it_is_named_and_passed_over_when_it_is_mounted(desk: Desk, box: LiveBox) -> None:
    desk.write("brest")
    old = desk.stick.with_name("OLD")
    shutil.copytree(desk.stick, old)
    desk.served.publish(release_changes(desk.served.world, "1.2.0", application("1.2.0")), "Release 1.2.0")
    desk.write()
    assert take(box, desk).returncode == 0

    refused = box.run("once", "--from", str(old))
    assert refused.returncode == 1
    assert refused.stdout.startswith("TrustRefused: cannot accept the head: it goes back from generation ")
    assert box.active() == "1.2.0"

    shutil.rmtree(desk.stick)
    box.write(sticks=str(desk.stick.parent))
    passed_over = box.run("once")
    assert passed_over.stdout.startswith("Converged: "), passed_over.stdout


def test_stick_of_another_site_is_told_and_changes_nothing(desk: Desk, box: LiveBox) -> None:
    desk.write("nantes")
    told = take(box, desk)
    assert (told.returncode, "it has no news for brest" in told.stderr) == (2, True)
    (desk.folder / "heads/nantes.json").rename(desk.folder / "heads/brest.json")
    refused = take(box, desk)
    assert refused.returncode == 1
    assert "Degraded is True" in box.run("status").stdout and "it is for site 'nantes'" in box.run("status").stdout
    assert not (box.root / "VERSION").exists()


def blobs(desk: Desk) -> list[Path]:
    return sorted(path for path in (desk.folder / "blobs").rglob("*") if path.is_file())


def clip(desk: Desk) -> Path:
    return desk.folder / blob_path(digest_of(b"first clip" * 100))


def other_bytes(desk: Desk) -> None:
    clip(desk).write_bytes(b"x" * clip(desk).stat().st_size)


def shorter(desk: Desk) -> None:
    clip(desk).write_bytes(b"first clip")


def longer(desk: Desk) -> None:
    with clip(desk).open("ab") as file:
        file.truncate(1 << 32)


def missing(desk: Desk) -> None:
    clip(desk).unlink()


def link_out(desk: Desk) -> None:
    secret = desk.stick.with_name("secret")
    secret.write_bytes(clip(desk).read_bytes())
    clip(desk).unlink()
    clip(desk).symlink_to(secret)


def linked_folder(desk: Desk) -> None:
    elsewhere = desk.stick.with_name("elsewhere")
    shutil.move(clip(desk).parent, elsewhere)
    clip(desk).parent.symlink_to(elsewhere)


def pipe(desk: Desk) -> None:
    clip(desk).unlink()
    os.mkfifo(clip(desk))


def folder_in_place(desk: Desk) -> None:
    clip(desk).unlink()
    clip(desk).mkdir()


DAMAGES: list[Callable[[Desk], None]] = [
    other_bytes, shorter, longer, missing, link_out, linked_folder, pipe, folder_in_place,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_file_that_is_not_what_its_digest_says_never_reaches_the_box(
    desk: Desk, box: LiveBox, damage: Callable[[Desk], None]
) -> None:
    desk.write("brest")
    damage(desk)
    done = take(box, desk)
    assert done.returncode == 1
    assert box.active() == "1.1.0", "all else is there"
    assert len(list((box.root / "videos").rglob("*.mp4"))) == 1

    if damage in (other_bytes, shorter, missing):
        assert desk.run("--check").returncode == 1
        desk.write()
        assert desk.run("--check").returncode == 0
        assert take(box, desk).returncode == 0


def test_head_root_or_list_that_somebody_made_is_refused(desk: Desk, box: LiveBox) -> None:
    desk.write("brest")
    head = desk.folder / "heads/brest.json"
    [listed] = (desk.folder / "trust").glob("release-list-*.json")
    for path in (listed, head):
        good = path.read_bytes()
        for bad in (good.replace(b'"sig":"', b'"sig":"AA', 1), b"{}", b"", b"x" * (2 << 20), b"[" * 5000):
            path.write_bytes(bad)
            assert take(box, desk).returncode == 1, (path, bad[:40])
            assert not (box.root / "VERSION").exists()
        path.write_bytes(good)
    assert take(box, desk).returncode == 0


def test_sites_share_a_stick_and_what_none_needs_is_pruned(desk: Desk) -> None:
    desk.write("brest", "nantes")
    count = len(blobs(desk))
    desk.served.publish(release_changes(desk.served.world, "1.2.0", application("1.2.0")), "Release 1.2.0")
    desk.write("brest")
    grown = len(blobs(desk))
    assert grown > count
    desk.write("--prune")
    assert count <= len(blobs(desk)) < grown
    assert desk.run("--check").returncode == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("atlantis",), "cannot read the head of atlantis"),
        ((), "cannot tell which sites"),
    ],
)
def test_stick_that_cannot_be_written_is_told_in_one_sentence(desk: Desk, words: tuple[str, ...], says: str) -> None:
    done = desk.run(*words)
    assert done.returncode == 2
    assert says in done.stderr and done.stderr.count("\n") == 1
    assert blobs(desk) == []
