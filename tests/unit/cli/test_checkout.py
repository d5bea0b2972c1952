"""A checkout is found, and written whole or not at all."""

import subprocess
from pathlib import Path

import pytest

from cli.checkout import Checkout
from cli.errors import CommandFailed


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    (tmp_path / "fleet.yaml").write_text("schema: 1\n")
    return Checkout(tmp_path)


def test_checkout_is_found_from_a_folder_within_it(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sites").mkdir()
    monkeypatch.chdir(tmp_path / "sites")
    assert Checkout.find(None).root == tmp_path


def test_folder_that_is_no_repository_is_refused_when_named(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    with pytest.raises(CommandFailed, match=r"no fleet\.yaml"):
        Checkout.find(tmp_path / "sites")


def test_write_that_fails_leaves_every_file_as_it_was(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.yaml").write_text("before")
    (tmp_path / "in-the-way").write_text("a file where a folder is needed")
    with pytest.raises(CommandFailed, match="cannot write"):
        checkout.write({"videos/a.yaml": "after", "in-the-way/b.yaml": "new"})
    assert (tmp_path / "videos" / "a.yaml").read_text() == "before"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.yaml", "fleet.yaml", "in-the-way", "videos"]


def test_git_settings_are_those_of_this_checkout(checkout: Checkout, tmp_path: Path) -> None:
    assert checkout.git_settings() == {}
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "config", "neopro.url", "https://fleet.example"], check=True)
    subprocess.run(["git", "-C", tmp_path, "config", "neopro.tokenFile", "~/a b"], check=True)
    assert checkout.git_settings() == {"url": "https://fleet.example", "tokenfile": "~/a b"}
