"""Completion: what can stand under the cursor, as neopro says it and as real shells offer it."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from cli.catalogue import SUBJECTS, VERBS
from cli.completion import complete
from tests.support.command_line import environment, neopro
from tests.support.transcripts import ROOT, command_folder, small

SITES = ["brest-handball", "lyon-handball", "rennes-fc"]


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small fleet, and the current folder in it."""
    folder = tmp_path / "fleet"
    folder.mkdir()
    small(folder)
    monkeypatch.chdir(folder / "sites")
    return folder


def offered(line: str) -> list[str]:
    """The candidates for the last word of a line, which may be empty."""
    return [candidate.word for candidate in complete(line.split(" ")).candidates]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("vali", ["validate"]),
        ("set ", ["list", "add", "remove"]),
        ("help vali", ["validate"]),
        ("help validate ", []),
        ("site show ", SITES),
        ("site show ren", ["rennes-fc"]),
        ("site add ren", []),
        ("site show rennes-fc --js", ["--json"]),
        ("video add x.mp4 --set ", ["annonces-nationales", "partenaires-bretagne"]),
        ("set add partenaires-bretagne eau-vive en", ["energie-verte"]),
        ("set add --from 2026-01-01 part", ["partenaires-bretagne"]),
        ("op reboot --group ", ["bretagne"]),
        ("rollout resume ", ["2.1.3", "2.2.0"]),
        ("release show 2.2", ["2.2.0"]),
        ("release add x --version ", []),
        ("op reboot --site rennes-fc --si", []),
        ("group add x --site rennes-fc --si", ["--site"]),
        ("validate --format git", ["github", "gitlab"]),
        ("validate --format = git", ["github", "gitlab"]),
        ("validate --format=git", ["github", "gitlab"]),
        ("site add x --na", ["--name"]),
        ("validate --no", []),
        ("nonsense ", []),
        ("site nonsense ", []),
        ("video add --from ", []),
    ],
)
def test_word_under_the_cursor_is_completed_with_what_can_stand_there(fleet: Path, line: str, words: list[str]) -> None:
    assert offered(line) == words


def test_first_word_can_be_any_verb_or_subject(fleet: Path) -> None:
    assert {*offered("")} == {words for words in VERBS if " " not in words} | {*SUBJECTS, "help"}
    assert offered("--") == ["--help", "--version"]


def test_path_is_left_to_the_shell_which_knows_files(fleet: Path) -> None:
    assert complete(["video", "add", "cl"]).files
    assert complete(["validate", ""]).files
    assert complete(["site", "list", "--repository", ""]).files
    assert not complete(["site", "show", ""]).files


def test_ids_come_from_the_repository_that_the_line_names(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert offered("site show ") == []
    assert offered(f"site show --repository {fleet} ") == SITES
    assert offered(f"site show --repository={fleet} br") == ["brest-handball"]


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_offers_its_options(verb: str) -> None:
    assert "--help" in offered(f"{verb} --")


BASH = """
source <(neopro completion bash)
COMP_WORDS=({words}) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_neopro neopro
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
FISH = "neopro completion fish | source; complete -C {line}"


@pytest.fixture
def shell_env(tmp_path: Path) -> Mapping[str, str]:
    env = environment(tmp_path, PYTHONPATH=str(ROOT), TERM="dumb")
    return {**env, "PATH": f"{command_folder(tmp_path)}{os.pathsep}{env['PATH']}"}


def run_shell(shell: str, program: str, env: Mapping[str, str], folder: Path) -> str:
    done = subprocess.run(
        [shell, "-c", program], cwd=folder, env=dict(env), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == "", done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        (["site", "show", "ren"], ["rennes-fc"]),
        (["video", "add", "x", "--set", ""], ["annonces-nationales", "partenaires-bretagne"]),
        (["validate", "--format", "=", "gitl"], ["gitlab"]),
        (["validate", "sit"], ["sites"]),
        (["op", "re"], ["reboot", "restart", "retry"]),
        (["nonsense", ""], [""]),
    ],
)
def test_bash_offers_what_neopro_says(
    fleet: Path, shell_env: Mapping[str, str], words: list[str], offers: list[str]
) -> None:
    quoted = " ".join(f"'{word}'" for word in ["neopro", *words])
    assert run_shell("bash", BASH.format(words=quoted), shell_env, fleet).splitlines() == offers


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish on this machine")
def test_fish_offers_what_neopro_says(fleet: Path, shell_env: Mapping[str, str]) -> None:
    said = run_shell("fish", FISH.format(line="'neopro site show b'"), shell_env, fleet)
    assert said.split() == ["brest-handball"]
    options = run_shell("fish", FISH.format(line="'neopro validate --for'"), shell_env, fleet)
    assert options.startswith("--format\tFor people")


@pytest.mark.parametrize("shell", ["zsh", "fish", "bash"])
def test_script_is_sound_and_is_written_to_where_the_shell_looks(shell: str, tmp_path: Path) -> None:
    done = neopro("completion", shell, "--install", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    file = Path(done.stdout.splitlines()[0].removeprefix("wrote "))
    assert file.is_relative_to(tmp_path)
    assert file.read_text() == neopro("completion", shell, cwd=tmp_path).stdout
    if shutil.which(shell):
        assert subprocess.run([shell, "-n", file], capture_output=True, check=False).stderr == b""


def test_nothing_but_candidates_is_printed_where_there_is_no_repository(tmp_path: Path) -> None:
    done = neopro("__complete", "site", "show", "", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "words\n", "")
