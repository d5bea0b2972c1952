"""A stick as it comes from a shop: FAT32, where names have no case, files no mode, and none is of 4 GiB."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.errors import CommandFailed
from cli.stick import FAT_BYTES, Stick
from tests.e2e.test_enrolled_box import read_write_token
from tests.e2e.test_stick import NOWHERE
from tests.support.command_line import environment, neopro
from tests.support.live_box import LiveBox, application, release_changes
from tests.support.world import served_world

KIND = "vfat"


def what_is_missing() -> str:
    """For a FAT of our own; '' where nothing is."""
    if os.geteuid() != 0:
        return "mounting a stick needs root"
    if f"\t{KIND}\n" not in Path("/proc/filesystems").read_text():
        return f"this kernel has no {KIND} at hand (modprobe {KIND}, where it is a module)"
    return "" if shutil.which(f"mkfs.{KIND}") else f"mkfs.{KIND} is missing (Debian: apt install dosfstools)"


@pytest.fixture
def stick(tmp_path: Path) -> Iterator[Path]:
    if missing := what_is_missing():
        pytest.skip(missing)
    image, top = tmp_path / "image", tmp_path / "STICK"
    top.mkdir()
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run([f"mkfs.{KIND}", str(image)], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(top)], check=True)
    try:
        yield top
    finally:
        subprocess.run(["umount", str(top)], check=True)


def test_box_converges_from_a_fat_stick_that_takes_no_file_of_4_gib(tmp_path: Path, database: str, stick: Path) -> None:
    with served_world(tmp_path / "world", database) as served:
        served.publish(release_changes(served.world, "1.1.0", application("1.1.0")), "Release 1.1.0")
        env = environment(tmp_path, NEOPRO_URL=served.url, NEOPRO_TOKEN=served.run(read_write_token(served)))
        for words in (["brest"], ["--prune"], ["--check"]):
            done = neopro("usb", str(stick), *words, cwd=tmp_path, env=env)
            assert done.returncode == 0, done.stderr
        with LiveBox(tmp_path / "brest").switched_on() as box:
            box.provision(served.world, NOWHERE)
            taken = box.run("once", "--from", str(stick))
            assert (taken.returncode, taken.stdout) == (0, "Converged: The box is as desired.\n"), taken.stderr
            assert box.active() == "1.1.0"
    with pytest.raises(CommandFailed, match=r"takes none that large"):
        Stick(stick).require_takes(FAT_BYTES)
