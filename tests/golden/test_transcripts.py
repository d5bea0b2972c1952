"""Every verb answers word for word what its transcript says (tests/support/transcripts.py tells how to write one)."""

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
