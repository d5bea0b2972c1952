"""Every verb answers word for word what its transcript says (tests/support/transcripts.py tells how to write one)."""

import json
import re
from pathlib import Path

import pytest

from cli.catalogue import VERBS
from tests.support import transcripts
from tests.support.transcripts import Transcript, played, played_served

FILES = sorted((Path(__file__).parent / "cli").glob("*.txt"))


SERVED = [file for file in FILES if Transcript.read(file).fixture in transcripts.SERVED]
OFFLINE = [file for file in FILES if file not in SERVED]


def _compare(file: Path, answered: str, update: bool) -> None:
    """After a change that is meant: `pytest tests/golden --update-golden`, and look at the difference."""
    if update:
        file.write_text(answered, "utf-8")
    assert answered == file.read_text("utf-8")


@pytest.mark.parametrize("file", OFFLINE, ids=lambda file: file.stem)
def test_verb_answers_as_its_transcript_says(file: Path, tmp_path: Path, update_golden: bool) -> None:
    _compare(file, played(file, tmp_path / "fleet"), update_golden)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("file", SERVED, ids=lambda file: file.stem)
def test_verb_beside_a_control_plane_answers_as_its_transcript_says(
    file: Path, tmp_path: Path, database: str, update_golden: bool
) -> None:
    _compare(file, played_served(file, tmp_path / "fleet", database), update_golden)


def test_every_verb_stands_in_a_transcript() -> None:
    commands = [command for file in FILES for _, command in Transcript.read(file).commands]
    typed = {words for words in VERBS for command in commands if re.search(rf"\bneopro {words}(?![\w-])", command)}
    assert VERBS.keys() - typed == {"demo", "serve"}, "those two go on until they are told to stop"


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
