"""The kernel's view: nothing changes the box's files but the calls that the crash matrix counts."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.crash.one_update import BEGIN, END

CALLS = {
    "openat": "create",
    "open": "create",
    "creat": "create",
    "write": "write",
    "pwrite64": "write",
    "writev": "write",
    "sendfile": "write",
    "copy_file_range": "write",
    "ftruncate": "truncate",
    "truncate": "truncate",
    "fallocate": "allocate",
    "fchmod": "chmod",
    "chmod": "chmod",
    "fchmodat": "chmod",
    "fchown": "chown",
    "chown": "chown",
    "fchownat": "chown",
    "lchown": "chown",
    "fsync": "fsync",
    "fdatasync": "fsync",
    "syncfs": "sync_all",
    "mkdir": "mkdir",
    "mkdirat": "mkdir",
    "rename": "rename",
    "renameat": "rename",
    "renameat2": "rename",
    "symlink": "symlink",
    "symlinkat": "symlink",
    "link": "link",
    "linkat": "link",
    "unlink": "unlink",
    "unlinkat": "unlink",
    "rmdir": "rmdir",
    "utimensat": "utime",
    "setxattr": "xattr",
    "mknodat": "mknod",
}


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_system_calls_seen_by_the_kernel_are_those_counted(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    box = tmp_path / "box"
    box.mkdir()
    command = ["strace", "-f", "-y", "-qq", "-s", "64", "-o", str(trace), "-e", f"trace={','.join(traced())}"]
    done = subprocess.run(
        [*command, sys.executable, "-m", "tests.crash.one_update", str(box)], stdout=subprocess.PIPE, check=True
    )
    counted = Counter(json.loads(done.stdout))
    seen = seen_between_marks(trace.read_text(), str(box))
    assert sum(counted.values()) > 200
    assert seen == counted


def traced() -> list[str]:
    """The calls to trace: those that change files, and the one that a mark is made by."""
    return ["?" + name for name in CALLS] + ["?stat", "?newfstatat"]


def seen_between_marks(trace: str, box: str) -> Counter[str]:
    """How often each kind of call was made in the folder of the box."""
    _, _, rest = trace.partition(f'"{BEGIN}"')
    middle, mark, _ = rest.partition(f'"{END}"')
    assert mark, "the update did not come to its end"
    seen: Counter[str] = Counter()
    for line in middle.splitlines():
        found = re.match(r"\d+ +(\w+)\((.*)", line)
        kind = CALLS.get(found[1]) if found else None
        if found is None or kind is None or box not in found[2]:
            continue
        if kind == "create" and "O_CREAT" not in found[2] and not re.search(r"O_WRONLY|O_RDWR|O_TRUNC", found[2]):
            continue
        kind = "exchange" if "RENAME_EXCHANGE" in found[2] else kind
        kind = "rmdir" if kind == "unlink" and "AT_REMOVEDIR" in found[2] else kind
        seen[kind] += 1
    return seen
