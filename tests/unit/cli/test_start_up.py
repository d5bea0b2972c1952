"""What a run of `neopro` imports: a verb that is there at once imports what it uses and nothing heavy besides.

Modules are counted, not seconds; `make bench` measures those (cli-help, cli-validate-small).
"""

import subprocess
import sys
from pathlib import Path

import pytest

from cli.catalogue import VERBS
from tests.support.command_line import environment
from tests.support.transcripts import ROOT, SMALL

NETWORK = {"httpx", "httpcore", "ssl", "socket", "asyncio", "http"}
SERVER = {"litestar", "granian", "psycopg", "psycopg_pool", "minio", "pygit2", "apscheduler", "jinja2", "sqlite3"}
DRAWING = {"rich", "markdown_it", "pygments", "docutils"}
MEDIA = {"av", "socketio", "PIL", "numpy"}
RARE = {"pyrage", "icalendar", "recurring_ical_events", "zstandard", "dateutil"}
YAML = {"yaml", "ruamel"}
"""Only where a document is edited, or something in it is wrong."""
HEAVY = NETWORK | SERVER | DRAWING | MEDIA | RARE
BY_THEMSELVES = {
    *("token add", "token list", "token revoke", "release add"),
    *("user add", "user list", "user disable", "user link", "user reset"),
}
"""Verbs that bring the server's modules, or those that upload."""
MOST = 520
"""Modules, those of Python's own start included; a bound on what creeps in."""


def imported(tmp_path: Path, *words: str) -> set[str]:
    """Every module that a run of the command has imported when it ends, by its whole name."""
    program = (
        "import sys, cli.__main__ as main\n"
        "status = main.run(sys.argv[1:])\n"
        "sys.stderr.write('\\n'.join(['', *sys.modules]))\n"
        "sys.exit(status)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        env=environment(tmp_path, PYTHONPATH=str(ROOT)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [["--help"], [], ["help"], ["site"]])
def test_overview_imports_no_package_but_the_command_line(words: list[str], tmp_path: Path) -> None:
    modules = imported(tmp_path, *words)
    assert "cli.__main__" in modules
    assert not [name for name in modules if name.partition(".")[0] in {"cyclopts", "msgspec", "schemas", *HEAVY}]
    assert not [name for name in modules if name.startswith(("cli.verb", "control_plane"))]


@pytest.mark.parametrize(
    "words",
    [
        ("validate", str(SMALL)),
        ("validate", str(SMALL), "--json"),
        ("site", "add", "x", "--name", "X", "--city", "X", "--region", "Y", "--repository", str(SMALL), "--dry-run"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_offline_verb_imports_nothing_heavy(words: tuple[str, ...], tmp_path: Path) -> None:
    modules = imported(tmp_path, *words)
    assert "cyclopts" in modules
    assert sorted((HEAVY | (YAML if words[0] == "validate" else set())) & modules) == []
    assert len(modules) < MOST


@pytest.mark.parametrize("verb", sorted({*VERBS} - BY_THEMSELVES))
def test_help_of_a_verb_needs_no_library_that_draws_and_nothing_of_the_server(verb: str, tmp_path: Path) -> None:
    modules = imported(tmp_path, *verb.split(), "--help")
    assert sorted((SERVER | DRAWING | MEDIA) & modules) == []
