"""Every verb answers word for word what its transcript says (tests/support/transcripts.py tells how to write one)."""

import json
import re
from pathlib import Path

import pytest

from tests.support.transcripts import played

FILES = sorted((Path(__file__).parent / "cli").glob("*.txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_verb_answers_as_its_transcript_says(file: Path, tmp_path: Path, update_golden: bool) -> None:
    """After a change that is meant: `pytest tests/golden --update-golden`, and look at the difference."""
    answered = played(file, tmp_path / "fleet")
    if update_golden:
        file.write_text(answered, "utf-8")
    assert answered == file.read_text("utf-8")


def _runs_for_programs(file: Path) -> list[str]:
    """What a plain command with --json wrote to standard output, wherever its transcript has one."""
    found = []
    for block in re.split(r"^\$ ", file.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        command, _, answer = block.partition("\n")
        if "--json" in command and not any(mark in command for mark in "|;&>"):
            found.append("\n".join(line[2:] for line in answer.splitlines() if line.startswith("  ")))
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_command_for_programs_writes_json_alone(file: Path) -> None:
    for written in _runs_for_programs(file):
        if written:
            json.loads(written)
