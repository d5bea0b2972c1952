"""The box's journal, read for whoever asks for its log: the newest of it, of the box's own services alone."""

from pathlib import Path

import pytest

from reconciler_agent.errors import ServiceFailed
from reconciler_agent.journal import MAX_TEXT_BYTES, Journal


def test_journal_keeps_the_newest(tmp_path: Path) -> None:
    script = tmp_path / "journalctl"
    script.write_text(f"#!/bin/sh\nhead -c {3 * MAX_TEXT_BYTES} /dev/zero | tr '\\0' 'x' | fold -w 99\necho the end\n")
    script.chmod(0o755)

    text = Journal([str(script)]).read(["nginx"], 60)

    assert text.startswith("[what is older was left out]\n")
    assert text.endswith("the end\n")
    assert len(text) <= MAX_TEXT_BYTES + 100


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (None, "No such file"),
        ("#!/bin/sh\necho no journal files were found >&2\nexit 3\n", "ended with 3: no journal files were found"),
        ("#!/bin/sh\nexec sleep 600\n", "ended with -9"),
    ],
)
def test_journal_that_cannot_be_read_says_why(tmp_path: Path, script: str | None, words: str) -> None:
    path = tmp_path / "journalctl"
    if script is not None:
        path.write_text(script)
        path.chmod(0o755)
    with pytest.raises(ServiceFailed, match=words):
        Journal([str(path)], within_s=0.2 if script and "sleep" in script else 60).read(["nginx"])


@pytest.mark.parametrize("unit", ["sshd", "../x", "neopro-app --file=/etc/shadow", ""])
def test_journal_of_other_units_is_not_read(unit: str) -> None:
    with pytest.raises(ServiceFailed, match="none of the box's services"):
        Journal(["/bin/false"]).read([unit])
