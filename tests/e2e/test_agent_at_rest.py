"""An agent with nothing to do changes nothing: every system call of its process that could, as the kernel sees it."""

import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.live_box import LiveBox, application, live_boxes, release_changes
from tests.support.patience import PATIENCE_S, wait_for
from tests.support.world import served_world

ALWAYS = (
    *("creat", "truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync", "syncfs", "sync_file_range"),
    *(
        "chmod",
        "fchmod",
        "fchmodat",
        "chown",
        "fchown",
        "fchownat",
        "lchown",
        "utime",
        "utimes",
        "utimensat",
        "futimesat",
    ),
    *("mkdir", "mkdirat", "rmdir", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"),
    *("unlink", "unlinkat", "mknod", "mknodat", "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr"),
    *("fremovexattr", "mount", "umount2", "copy_file_range", "splice", "swapon", "reboot"),
)
"""These change something whatever they are given; `sync_file_range` and the like make the disk work."""
OPENING = ("open", "openat", "openat2")
WRITING = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile")
NOT_A_FILE = re.compile(r"\d+<(socket|pipe|anon_inode|TCP|TCPv6|UDP|UNIX|UNIX-STREAM|UNIX-DGRAM|/dev/null)[:\[>]")
ROUNDS = 25


@contextmanager
def traced(pid: int, trace: Path) -> Iterator[None]:
    """The calls of all threads of a process that may change files, in `trace`."""
    calls = ",".join("?" + name for name in (*ALWAYS, *OPENING, *WRITING))
    command = ["strace", "-f", "-y", "-s", "16", "-o", str(trace), "-e", f"trace={calls}", "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as strace:
        assert strace.stderr is not None
        said = strace.stderr.readline()
        if "attached" not in said:
            pytest.skip(f"strace may not look at a process here: {said.strip()}")
        drain = threading.Thread(target=strace.stderr.read)
        drain.start()
        yield
        strace.send_signal(signal.SIGINT)
        strace.wait(PATIENCE_S)
        drain.join(PATIENCE_S)


def changes(trace: Path, log: Path) -> list[str]:
    """The calls in a trace that change a file; what the process says on its standard error is none."""
    found = []
    for line in trace.read_text().splitlines():
        call = re.match(r"\d+ +(\w+)\((.*)", line)
        if call is None:
            continue
        name, rest = call[1], call[2]
        opened = name in OPENING and not re.search(r"O_CREAT|O_WRONLY|O_RDWR|O_TRUNC|O_APPEND", rest)
        if opened or (name in WRITING and (NOT_A_FILE.match(rest) or f"<{log}>" in rest)):
            continue
        found.append(line)
    return found


def reads(trace: Path) -> int:
    return sum(" openat(" in line for line in trace.read_text().splitlines())


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_rounds_with_nothing_to_do_change_nothing_on_any_disk(tmp_path: Path, database: str) -> None:
    with served_world(tmp_path / "world", database) as served, live_boxes(served, tmp_path, "brest") as [box]:
        served.publish(release_changes(served.world, "2.0.0", application("2.0.0")), "A release")
        box.write(report_s="0.3")
        log = box.folder / "agent.log"
        with box.agent() as agent:
            wait_for(lambda: converged(box), "the box to be as desired")
            box.pass_rounds(3)

            with traced(agent.pid, tmp_path / "idle"):
                box.pass_rounds(ROUNDS)
            [video] = list((box.root / "videos").rglob("clip-a*.mp4"))
            video.unlink()
            with traced(agent.pid, tmp_path / "healing"):
                wait_for(video.exists, "the video to be there again")
                box.pass_rounds(1)

    assert reads(tmp_path / "idle") > ROUNDS
    assert changes(tmp_path / "idle", log) == []
    healing = "\n".join(changes(tmp_path / "healing", log))
    assert {"renameat", "fsync", "fallocate", "write"} <= set(re.findall(r"^\d+ +(\w+)\(", healing, re.MULTILINE))


def converged(box: LiveBox) -> bool:
    """By what a technician at the box would read."""
    return box.run("status").returncode == 0
