"""Every command of the pages on campaigns and releases runs, against a real control plane."""

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.demo.clips import Clip, make_clip
from cli.demo.places import SAMPLE_APP
from tests.e2e.test_cli_online import Desk
from tests.support.command_line import ROOT, git, neopro
from tests.support.transcripts import PERSON, SMALL, command_folder
from tests.support.world import ServedWorld, served_world

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedWorld]:
    with served_world(tmp_path_factory.mktemp("world"), "") as world:
        yield world


def a_fleet(desk: Desk) -> Path:
    """The small fleet with keys of its own, its releases uploaded and signed, and a place to push to."""
    fleet = Path(shutil.copytree(SMALL, desk.folder / "fleet"))
    shutil.rmtree(fleet / "trust")
    git(fleet, "init", "-q", "-b", "main")
    made = neopro("keys", "init", fleet, "--keys", desk.folder / "keys", cwd=desk.folder, env=desk.env())
    assert made.returncode == 0, made.stderr
    git(fleet, "config", "neopro.releasekey", str(desk.folder / "keys" / "release.key"))
    for version in ("2.1.3", "2.2.0"):
        source = SAMPLE_APP / version
        done = neopro("release", "add", source, "--version", version, "--no-patches", cwd=fleet, env=desk.env())
        assert done.returncode == 0, done.stderr
    assert neopro("validate", cwd=fleet, env=desk.env()).returncode == 0
    git(desk.folder, "init", "-q", "--bare", "-b", "main", "origin.git")
    git(fleet, "add", "-A")
    git(fleet, "commit", "-qm", "Begin")
    git(fleet, "remote", "add", "origin", str(desk.folder / "origin.git"))
    git(fleet, "push", "-qu", "origin", "main")
    return fleet


def a_new_release(folder: Path) -> None:
    """`neopro-2.3.0.tar.gz`: what is released now, with another version."""
    source = Path(shutil.copytree(SAMPLE_APP / "2.2.0", folder / "build", ignore=shutil.ignore_patterns("__pycache__")))
    for name in ("release.json", "VERSION"):
        file = source / name
        if file.exists():
            file.write_text(file.read_text().replace("2.2.0", "2.3.0"))
    with tarfile.open(folder / "neopro-2.3.0.tar.gz", "w:gz") as archive:
        archive.add(source, "deploy")


def commands_of(page: str) -> list[str]:
    text = (ROOT / "docs" / "jobs" / f"{page}.md").read_text("utf-8")
    return [line for block in _BLOCK.findall(text) for line in block.replace("\\\n", " ").splitlines()]


@pytest.mark.parametrize("page", ["campaign", "release"])
def test_commands_of_a_page_run_one_after_the_other(served: ServedWorld, tmp_path: Path, page: str) -> None:
    desk = Desk(served, tmp_path)
    fleet = a_fleet(desk)
    make_clip(Clip("noel-2026.mp4", "noel", (200, 40, 90), 1.0), fleet)
    make_clip(Clip("noel-2026.mp4", "corrected", (20, 140, 90), 1.0), fleet / "corrected")
    (fleet / ".gitignore").write_text("*.mp4\n")
    a_new_release(tmp_path)
    env = desk.env(PYTHONPATH=str(ROOT), **PERSON)
    env["PATH"] = f"{command_folder(tmp_path)}{os.pathsep}{env['PATH']}"
    for command in commands_of(page):
        done = subprocess.run(
            ["bash", "-c", command], cwd=fleet, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        # 1 is an answer: there are changes, nothing is unused.
        assert done.returncode in ((0, 1) if command.startswith("neopro ") else (0,)), (
            command + done.stdout + done.stderr
        )
        assert "cannot" not in done.stderr, command + done.stderr
        assert neopro("validate", cwd=fleet, env=env).returncode == 0, command
    assert git(fleet, "status", "--porcelain", "--untracked-files=no") == ""
    assert int(git(fleet, "rev-list", "--count", "origin/main")) > 3
