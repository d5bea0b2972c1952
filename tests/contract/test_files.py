"""Every file of the repository, whatever it is for."""

import re
import subprocess
from pathlib import Path

from tests.support.transcripts import ROOT

CONFLICT = re.compile(rb"^(<{7}|>{7}) |^={7}$", re.MULTILINE)


def test_no_file_holds_a_conflict_that_nobody_resolved() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    files = [ROOT / name for name in listed.split("\0") if name]
    assert [file for file in files if CONFLICT.search(_content(file))] == []


def _content(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""
