"""Files on a real file system: the order of the calls, what a failure leaves behind, and what links cannot do."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler_agent.durable import Disk
from reconciler_agent.errors import AlreadyRunning, DigestMismatch, DiskFault, DiskFull
from reconciler_agent.roots import make_root, take_lock
from reconciler_agent.system_calls import SYSTEM, Calls, Owner
from schemas.names import digest_of

pytestmark = pytest.mark.usefixtures("process_life")


def recorded(log: list[str], **replaced: Callable[..., Any]) -> Calls:
    """The system's calls, their names written to `log`."""

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            log.append(name)
            return real(*arguments, **options)

        return call

    return Calls(*(wrap(name, replaced.get(name, real)) for name, real in SYSTEM._asdict().items()))


def failing(code: int) -> Callable[..., Any]:
    def call(*_arguments: Any, **_options: Any) -> Any:
        raise OSError(code, os.strerror(code))

    return call


def path_of(handle: int) -> Path:
    return Path(f"/proc/self/fd/{handle}").readlink()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path


def opened(root: Path, calls: Calls = SYSTEM, run: str = "this", owner: Owner | None = None) -> Disk:
    return Disk(root, "data/agent", run, owner=owner, calls=calls)


def test_file_is_synced_before_it_gets_its_name_and_the_folder_after(root: Path) -> None:
    (root / "videos").mkdir()
    log: list[str] = []
    disk = opened(root, recorded(log))
    disk.stage(b"")  # makes the staging folders
    log.clear()

    disk.write_file("videos/x.mp4", b"data", 0o644)

    assert log == ["create", "write", "chmod", "fsync", "rename", "fsync"]
    assert (root / "videos/x.mp4").read_bytes() == b"data"
    assert (root / "videos/x.mp4").stat().st_mode & 0o777 == 0o644


def test_new_folders_are_synced_with_their_parents_and_get_their_mode_under_any_umask(root: Path) -> None:
    log: list[str] = []
    disk = opened(root, recorded(log))
    disk.stage(b"")
    log.clear()
    before = os.umask(0o077)
    try:
        disk.make_folder("videos/A")
    finally:
        os.umask(before)

    assert log == ["mkdir", "chmod", "fsync", "rename", "fsync"] * 2
    assert (root / "videos/A").stat().st_mode & 0o777 == 0o755


def test_folder_that_is_there_costs_no_call(root: Path) -> None:
    log: list[str] = []
    disk = opened(root, recorded(log))
    disk.make_folder("data")

    assert log == []


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, DiskFault)]
)
@pytest.mark.parametrize("call", ["create", "write", "chmod", "fsync", "rename"])
def test_failing_call_leaves_the_old_file_and_no_half_one(
    root: Path, call: str, code: int, error: type[Exception]
) -> None:
    (root / "videos").mkdir()
    (root / "videos/x.mp4").write_bytes(b"old")
    disk = opened(root)
    disk.stage(b"")  # makes the staging folders
    disk.calls = SYSTEM._replace(**{call: failing(code)})

    with pytest.raises(error, match=r"^cannot "):
        disk.write_file("videos/x.mp4", b"new")

    assert (root / "videos/x.mp4").read_bytes() == b"old"
    assert [path.name for path in (root / "videos").iterdir()] == ["x.mp4"]


def test_file_whose_fsync_failed_is_never_synced_again(root: Path) -> None:
    handles: list[int] = []

    def fail_once(handle: int) -> None:
        if path_of(handle).is_file():
            handles.append(os.fstat(handle).st_ino)
            if len(handles) == 1:
                raise OSError(errno.EIO, "it is lost")
        os.fsync(handle)

    disk = opened(root, SYSTEM._replace(fsync=fail_once))
    with pytest.raises(DiskFault):
        disk.write_file("data/x", b"1")
    keep_inode_busy = opened(root).stage(b"other")
    disk.write_file("data/x", b"2")

    assert keep_inode_busy
    assert (root / "data/x").read_bytes() == b"2"
    assert len(handles) == 2


def test_draft_takes_up_what_an_earlier_run_wrote(root: Path) -> None:
    first = opened(root, run="first")
    first.make_folder(first.partial)
    draft = first.draft(f"{first.partial}/x", resume=True)
    draft.write(b"hello ")
    draft.close()

    second = opened(root, run="second")
    second.recover()
    draft = second.draft(f"{second.partial}/x", resume=True)
    assert draft.size_bytes == 6
    draft.write(b"world")
    draft.require(digest_of(b"hello world"))
    draft.seal(0o644)
    second.install(f"{second.partial}/x", "videos/A/x.mp4")

    assert (root / "videos/A/x.mp4").read_bytes() == b"hello world"


def test_draft_that_restarts_forgets_what_it_had(root: Path) -> None:
    disk = opened(root)
    draft = disk.draft(disk.staged_name())
    draft.write(b"wrong")
    draft.restart()
    draft.write(b"right")

    draft.require(digest_of(b"right"))
    with pytest.raises(DigestMismatch):
        draft.require(digest_of(b"wrong"))
    draft.close()


def test_recovery_deletes_the_staging_of_other_runs_alone(root: Path) -> None:
    before, now = opened(root, run="before"), opened(root, run="now")
    left, kept = before.stage(b"left"), now.stage(b"kept")

    now.recover()

    assert not (root / left).exists()
    assert (root / kept).read_bytes() == b"kept"


def test_exchange_swaps_two_files_in_one_step(root: Path) -> None:
    disk = opened(root)
    (root / "data/configuration.json").write_bytes(b"old")
    staged = disk.stage(b"new")

    disk.exchange(staged, "data/configuration.json")

    assert (root / "data/configuration.json").read_bytes() == b"new"
    assert disk.read(staged, 10) == b"old"


def test_link_is_replaced_in_one_step(root: Path) -> None:
    log: list[str] = []
    disk = opened(root, recorded(log))
    disk.symlink("releases/one", "current")
    log.clear()
    disk.symlink("releases/two", "current")

    assert log == ["symlink", "rename", "fsync"]
    assert disk.link_target("current") == "releases/two"


def test_removed_tree_is_renamed_away_first(root: Path) -> None:
    (root / "releases/one/sub").mkdir(parents=True)
    (root / "releases/one/sub/file").write_bytes(b"")
    log: list[str] = []
    disk = opened(root, recorded(log))
    disk.stage(b"")
    log.clear()

    disk.remove("releases/one")

    assert log == ["rename", "fsync", "unlink", "rmdir", "rmdir"]
    assert not (root / "releases/one").exists()


def test_removing_what_is_not_there_does_nothing(root: Path) -> None:
    log: list[str] = []
    opened(root, recorded(log)).remove("videos/A/none.mp4")

    assert log == []


def test_tree_is_synced_bottom_up(root: Path) -> None:
    (root / "tree/sub").mkdir(parents=True)
    (root / "tree/sub/file").write_bytes(b"")
    synced: list[str] = []
    calls = SYSTEM._replace(fsync=lambda handle: synced.append(str(path_of(handle))))

    opened(root, calls).sync_tree("tree")

    assert [path.removeprefix(str(root)) for path in synced] == ["/tree/sub/file", "/tree/sub", "/tree"]


@pytest.mark.parametrize("verb", ["read", "digest", "write"])
def test_link_in_the_way_is_never_followed(root: Path, tmp_path_factory: pytest.TempPathFactory, verb: str) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret").write_bytes(b"secret")
    (root / "videos").symlink_to(outside)
    disk = opened(root)

    with pytest.raises(DiskFault, match="a link or a file stands where a folder belongs"):
        {
            "read": lambda: disk.read("videos/secret", 100),
            "digest": lambda: disk.digest("videos/secret"),
            "write": lambda: disk.write_file("videos/new", b"x"),
        }[verb]()

    assert [path.name for path in outside.iterdir()] == ["secret"]


def test_link_in_the_place_of_a_file_is_replaced_and_not_written_through(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"untouched")
    (root / "data/x").symlink_to(victim)

    opened(root).write_file("data/x", b"new")

    assert victim.read_bytes() == b"untouched"
    assert not (root / "data/x").is_symlink()


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//b", "./x"])
def test_path_that_could_leave_the_root_is_refused(root: Path, path: str) -> None:
    with pytest.raises(ValueError, match="not a plain relative path"):
        opened(root).write_file(path, b"")


def test_pipe_in_the_place_of_a_file_does_not_block_a_reader(root: Path) -> None:
    os.mkfifo(root / "data/pipe")

    with pytest.raises(DiskFault, match="not a regular file"):
        opened(root).read("data/pipe", 10)


def test_file_longer_than_asked_for_is_refused(root: Path) -> None:
    (root / "data/long").write_bytes(b"x" * 11)

    with pytest.raises(DiskFault, match="more than 10 bytes"):
        opened(root).read("data/long", 10)


def test_what_would_leave_less_than_a_tenth_free_is_refused(root: Path) -> None:
    found = os.statvfs(root)
    free_bytes, total_bytes = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

    with pytest.raises(DiskFull, match="a tenth of the disk must stay free"):
        opened(root).require_room(int(free_bytes - total_bytes * 0.09))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_and_folders_of_the_box_get_its_owner(root: Path) -> None:
    disk = opened(root, owner=Owner(1234, 1234))
    disk.write_file("videos/A/x.mp4", b"")

    assert {(root / path).stat().st_uid for path in ("videos", "videos/A", "videos/A/x.mp4")} == {1234}
    assert (root / "data/agent").stat().st_uid == 0


def test_second_agent_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from reconciler_agent.roots import take_lock;"
        "take_lock(Path(sys.argv[1])); print('has it', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"has it\n"
        with pytest.raises(AlreadyRunning):
            take_lock(tmp_path)
        first.kill()
    os.close(take_lock(tmp_path))


class FailingFolders:
    """Syncing a folder fails once; whether the whole disk was synced since."""

    def __init__(self) -> None:
        self.failing = False
        self.synced = 0
        self.calls = SYSTEM._replace(fsync=self._fsync, sync_all=self._sync_all)

    def _fsync(self, handle: int) -> None:
        if self.failing and stat.S_ISDIR(os.fstat(handle).st_mode):
            self.failing = False
            raise OSError(errno.EIO, "as the test has it")
        SYSTEM.fsync(handle)

    def _sync_all(self, handle: int) -> None:
        self.synced += 1
        SYSTEM.sync_all(handle)


def test_nothing_is_changed_after_a_name_that_was_not_synced_before_all_is(root: Path) -> None:
    folders = FailingFolders()
    disk = opened(root, folders.calls)
    staged = disk.stage(b"1")
    folders.failing = True

    with pytest.raises(DiskFault):
        disk.install(staged, "data/x")
    assert (root / "data/x").read_bytes() == b"1"
    assert not disk.settled

    disk.write_file("data/y", b"2")

    assert folders.synced == 1
    assert disk.settled


def test_tree_of_which_a_sync_failed_is_taken_away(root: Path) -> None:
    handles = []

    def fail_once(handle: int) -> None:
        if not handles:
            handles.append(handle)
            raise OSError(errno.EIO, "as the test has it")
        SYSTEM.fsync(handle)

    disk = opened(root, SYSTEM._replace(fsync=fail_once))
    (root / "data/agent/partial/tree").mkdir(parents=True)
    (root / "data/agent/partial/tree/file").write_bytes(b"which the disk may never get")

    with pytest.raises(DiskFault):
        disk.sync_tree("data/agent/partial/tree")

    assert not (root / "data/agent/partial/tree").exists()


@pytest.mark.parametrize(("inside", "synced"), [((), 1), (("state-a",), 0)])
def test_folder_that_was_made_and_perhaps_not_synced_is_synced(
    tmp_path: Path, inside: tuple[str, ...], synced: int
) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    for name in inside:
        (folder / name).touch()
    log: list[str] = []

    make_root(folder, 0o700, recorded(log))

    assert log == ["fsync"] * synced


def test_run_that_was_cut_off_is_told_by_what_it_left(root: Path) -> None:
    cut, whole = opened(root, run="cut"), opened(root, run="whole")
    cut.stage(b"left")

    assert whole.recover()
    assert not whole.recover()
