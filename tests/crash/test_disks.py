"""The disks themselves: what they say is there after a cut is what a real one could hold."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard

from reconciler_agent.durable import Disk
from reconciler_agent.system_calls import SYSTEM
from tests.crash.disks import Ext4, Strict, why_no_ext4
from tests.crash.trial import workshop

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
JOURNAL_END_BYTES = 20 << 10
"""The head of the journal lies before it, the folders and inodes behind it, on a disk of ours."""


class Torn(Ext4):
    """A real disk whose file is read, the first time, half before and half after the kernel empties its journal."""

    def __init__(self, folder: Path) -> None:
        self.reads = 1
        super().__init__(folder)

    def read_torn(self) -> bytes:
        places = self.read_whole()[JOURNAL_END_BYTES:]
        self.empty_journal()
        return self.read_whole()[:JOURNAL_END_BYTES] + places

    def read_whole(self) -> bytes:
        return super().read()

    def read(self) -> bytes:
        self.reads += 1
        return self.read_torn() if self.reads == 1 else self.read_whole()

    def empty_journal(self) -> None:
        """A file system that is frozen has nothing left in its journal."""
        handle = os.open(self.root, os.O_RDONLY)
        fcntl.ioctl(handle, FIFREEZE, 0)
        fcntl.ioctl(handle, FITHAW, 0)
        os.close(handle)


@pytest.fixture
def folder() -> Iterator[Path]:
    with workshop() as made:
        yield made


@pytest.fixture
def torn(folder: Path) -> Torn:
    """A disk on which the second generation is synced, and still in the journal."""
    if reason := why_no_ext4():
        pytest.skip(reason)
    return Torn(folder)


def generation_after(disk: Ext4, copy: bytes) -> bytes:
    """What such a disk has; nothing where the kernel finds it damaged."""
    with disk.running(copy), suppress(OSError):
        return (disk.root / "state").read_bytes()
    return b""


def write_two(disk: Torn) -> None:
    files = Disk(disk.root, "own", "run")
    files.write_file("state", b"generation 1")
    disk.empty_journal()
    files.write_file("state", b"generation 2")
    files.close()
    disk.reads = 0


def test_copy_that_the_kernel_emptied_its_journal_in_forgets_what_was_synced(torn: Torn) -> None:
    """Why a copy is believed only when it is twice the same."""
    with torn.running(torn.empty):
        write_two(torn)
        copy = zstandard.compress(torn.read())

    assert generation_after(torn, copy) != b"generation 2"


def test_copy_is_not_taken_from_a_file_that_the_kernel_moved_something_in(torn: Torn) -> None:
    with torn.running(torn.empty):
        write_two(torn)
        copy = torn.copy()

    assert torn.reads > 2
    assert generation_after(torn, copy) == b"generation 2"


def test_disk_is_read_anew_though_something_holds_the_device_of_the_one_before(folder: Path) -> None:
    if reason := why_no_ext4():
        pytest.skip(reason)
    disk = Ext4(folder)
    with disk.running(disk.empty):
        files = Disk(disk.root, "own", "run")
        files.write_file("state", b"generation 1")
        before = disk.copy()
        files.write_file("state", b"generation 2")
        after = disk.copy()
        files.close()
    with disk.running(before):
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
        held = os.open(next(mount[0] for mount in mounts if mount[1] == str(disk.root)), os.O_RDONLY)

    found = generation_after(disk, after)
    os.close(held)

    assert found == b"generation 2"


def test_strict_disk_keeps_bytes_and_names_only_when_each_was_synced(folder: Path) -> None:
    disk = Strict(folder)
    calls = disk.watched(SYSTEM)
    with disk.running(disk.empty):
        top = os.open(disk.root, os.O_RDONLY)
        for name in ("named", "whole"):
            handle = calls.create(name, os.O_WRONLY | os.O_CREAT, 0o644, dir_fd=top)
            calls.write(handle, b"bytes")
            if name == "whole":
                calls.fsync(handle)
            os.close(handle)
        before = disk.copy()
        calls.fsync(top)
        calls.rename("whole", "renamed", src_dir_fd=top, dst_dir_fd=top)
        after = disk.copy()
        os.close(top)

    with disk.running(before):
        assert list(disk.root.iterdir()) == []
    with disk.running(after):
        assert {path.name: path.read_bytes() for path in disk.root.iterdir()} == {"named": b"", "whole": b"bytes"}
