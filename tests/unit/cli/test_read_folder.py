"""A checkout on disk, read as a commit of it would be."""

import os
import subprocess
from pathlib import Path

import pytest

from cli.verbs.validate import read_folder

LINK, SUBMODULE, FILE = 0o120000, 0o160000, 0o100644


@pytest.fixture(params=["with Git", "without Git"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    (tmp_path / "fleet.yaml").write_text("schema: 1\n")
    if request.param == "with Git":
        subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def modes(folder: Path) -> dict[str, int]:
    return {entry.path: entry.mode for entry in read_folder(folder)[0]}


def test_link_to_a_folder_is_a_link_and_not_followed(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "a.yaml").write_text("name: A\n")
    (folder / "groups").symlink_to("elsewhere")

    assert modes(folder) == {"fleet.yaml": FILE, "elsewhere/a.yaml": FILE, "groups": LINK}


def test_pipe_is_left_out_and_not_waited_for(folder: Path) -> None:
    (folder / "sites").mkdir()
    os.mkfifo(folder / "sites" / "x.yaml")

    assert modes(folder) == {"fleet.yaml": FILE}


def test_repository_within_the_checkout_is_a_submodule(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "within"):
        subprocess.run(["git", "init", "-q", place], check=True)
    (tmp_path / "fleet.yaml").write_text("schema: 1\n")
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    commit = ["git", *identity, "commit", "-q", "--allow-empty", "-m", "x"]
    subprocess.run(commit, cwd=tmp_path / "within", check=True)

    assert modes(tmp_path) == {"fleet.yaml": FILE, "within": SUBMODULE}
    subprocess.run(["git", "add", "-A"], cwd=tmp_path, check=True, capture_output=True)
    assert modes(tmp_path) == {"fleet.yaml": FILE, "within": SUBMODULE}
