"""A change of a checkout is left as the options say: written, committed, on a branch, or only shown."""

import json
from pathlib import Path

import pytest

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.landing import Landing, land, land_message
from tests.support.command_line import environment, git

NEW = {"sites/b.yaml": "name: B\n", "sites/a.yaml": "name: A2\n", "sites/c.yaml": None}


@pytest.fixture(params=["", "state/"])
def checkout(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A committed fleet, at the top of its repository or in a folder of it."""
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "Ada Operator")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "ada@example.org")
    root = tmp_path / "repository" / request.param
    (root / "sites").mkdir(parents=True)
    (root / "fleet.yaml").write_text("schema: 1\n")
    (root / "sites" / "a.yaml").write_text("name: A\n")
    (root / "sites" / "c.yaml").write_text("name: C\n")
    git(tmp_path / "repository", "init", "-q", "-b", "main")
    git(tmp_path / "repository", "add", "-A")
    git(tmp_path / "repository", "commit", "-qm", "First")
    return Checkout(root)


def contents(checkout: Checkout) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted((checkout.root / "sites").iterdir())}


def show(checkout: Checkout, revision: str, path: str) -> str:
    return git(checkout.root, "show", f"{revision}:./{path}")


OLD_FILES = {"a.yaml": "name: A\n", "c.yaml": "name: C\n"}
NEW_FILES = {"a.yaml": "name: A2\n", "b.yaml": "name: B\n"}


def test_without_options_files_are_written_and_nothing_is_committed(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    land(Landing(), checkout, NEW, "Change")
    assert contents(checkout) == NEW_FILES
    assert git(checkout.root, "rev-list", "--count", "HEAD") == "1"
    assert capsys.readouterr().out.endswith("deleted sites/c.yaml; commit and push to publish\n")


def test_dry_run_shows_a_diff_and_changes_nothing(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    land(Landing(dry_run=True), checkout, NEW, "Change")
    assert contents(checkout) == OLD_FILES
    said = capsys.readouterr().out
    assert "-name: A\n+name: A2\n" in said and said.endswith("nothing was changed (--dry-run)\n")


def test_commit_holds_the_change_and_leaves_a_clean_checkout(checkout: Checkout) -> None:
    (checkout.root / "notes.txt").write_text("mine, not committed")
    land(Landing(commit=True), checkout, NEW, "Change a site")
    assert contents(checkout) == NEW_FILES
    assert (
        git(checkout.root, "log", "-1", "--format=%s by %an on %D") == "Change a site by Ada Operator on HEAD -> main"
    )
    assert git(checkout.root, "status", "--porcelain").split() == [
        "??",
        git(checkout.root, "rev-parse", "--show-prefix") + "notes.txt",
    ]
    assert git(checkout.root, "show", "--name-status", "--format=", "--relative").split() == [
        *("M", "sites/a.yaml", "A", "sites/b.yaml", "D", "sites/c.yaml")
    ]


def test_branch_holds_the_change_and_the_checkout_stays_as_it_is(
    checkout: Checkout, capsys: pytest.CaptureFixture[str]
) -> None:
    land(Landing(branch="topic", message="Because", json=True), checkout, NEW, "Change", {"site": "a"})
    assert contents(checkout) == OLD_FILES
    assert git(checkout.root, "status", "--porcelain") == ""
    assert show(checkout, "topic", "sites/a.yaml") == "name: A2"
    said = json.loads(capsys.readouterr().out)
    assert said == {
        "site": "a",
        "files": ["sites/a.yaml", "sites/b.yaml", "sites/c.yaml"],
        "commit": git(checkout.root, "rev-parse", "topic"),
        "branch": "topic",
    }
    assert git(checkout.root, "log", "-1", "--format=%s", "topic") == "Because"


def test_same_content_is_no_change(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    land(Landing(commit=True), checkout, {"sites/a.yaml": "name: A\n"}, "Change")
    assert git(checkout.root, "rev-list", "--count", "HEAD") == "1"
    assert capsys.readouterr().out.startswith("nothing to change")


@pytest.mark.parametrize("landing", [Landing(commit=True), Landing(branch="topic")])
def test_file_with_changes_of_the_operators_own_is_not_committed(checkout: Checkout, landing: Landing) -> None:
    (checkout.root / "sites" / "a.yaml").write_text("name: mine\n")
    with pytest.raises(CommandFailed, match=r"sites/a\.yaml has changes that are not committed"):
        land(landing, checkout, NEW, "Change")
    assert contents(checkout) == OLD_FILES | {"a.yaml": "name: mine\n"}


def test_branch_that_is_there_is_not_touched(checkout: Checkout) -> None:
    git(checkout.root, "branch", "topic")
    with pytest.raises(CommandFailed, match="cannot make the branch topic: there is one"):
        land(Landing(branch="topic"), checkout, NEW, "Change")
    assert git(checkout.root, "rev-parse", "topic") == git(checkout.root, "rev-parse", "main")


def test_who_has_no_name_for_git_is_told_and_nothing_changes(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "")
    with pytest.raises(CommandFailed, match=r"cannot commit in .*ident"):
        land(Landing(commit=True), checkout, NEW, "Change")
    assert contents(checkout) == OLD_FILES


def test_options_that_contradict_each_other_are_refused(checkout: Checkout) -> None:
    with pytest.raises(CommandFailed, match="leave --commit out"):
        Landing(repository=checkout.root, commit=True, branch="topic").checkout()
    with pytest.raises(CommandFailed, match="say --commit or --branch"):
        Landing(repository=checkout.root, message="x").checkout()


LINE = "Resume-Rollout: release 2.2.0"


@pytest.mark.parametrize("branch", [None, "go-on"])
def test_commit_that_only_says_something_changes_no_file_and_takes_nothing_along(
    checkout: Checkout, branch: str | None
) -> None:
    (checkout.root / "sites" / "a.yaml").write_text("name: mine\n")
    land_message(Landing(commit=branch is None, branch=branch), checkout, "Go on", LINE)
    tip = branch or "main"
    assert git(checkout.root, "log", "-1", "--format=%B", tip).strip() == f"Go on\n\n{LINE}"
    assert git(checkout.root, "diff", "--stat", f"{tip}~1", tip) == ""
    assert contents(checkout) == OLD_FILES | {"a.yaml": "name: mine\n"}
    assert git(checkout.root, "rev-list", "--count", "main") == ("1" if branch else "2")


def test_commit_that_only_says_something_says_it_behind_the_operators_own_message(checkout: Checkout) -> None:
    land_message(Landing(commit=True, message="The disks were full"), checkout, "Go on", LINE)
    assert git(checkout.root, "log", "-1", "--format=%B").strip() == f"The disks were full\n\n{LINE}"


def test_without_a_commit_there_is_nowhere_to_say_it(checkout: Checkout, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(CommandFailed, match="no file changes; add --commit or --branch NAME"):
        land_message(Landing(), checkout, "Go on", LINE)
    land_message(Landing(commit=True, dry_run=True), checkout, "Go on", LINE)
    assert capsys.readouterr().out == f"Go on\n\n{LINE}\n\nnothing was committed (--dry-run)\n"
    assert git(checkout.root, "rev-list", "--count", "HEAD") == "1"
