"""Fetching the fleet from real remotes: by path, over HTTPS with a private CA, over SSH with known hosts."""

import asyncio
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pygit2.enums import ObjectType

from control_plane.core.trees import folder_of
from control_plane.errors import CommitRefused, NotFastForward, RemoteUnreachable
from control_plane.git_objects import Tree
from control_plane.git_source import CommitInfo, GitSource
from tests.support.authority import Authority
from tests.support.git_servers import PASSWORD, USERNAME, BareRemote, HttpsGit, SshGit
from tests.support.patience import promised

FILES = {"fleet.yaml": "schema: 1\n", "sites/rennes.yaml": "name: Rennes\n", "sites/brest.yaml": "name: Brest\n"}


@pytest.fixture
def by_path(remote: BareRemote, tmp_path: Path) -> GitSource:
    return GitSource(str(remote.path), "main", tmp_path / "clone")


@pytest.fixture
def by_https(https_git: tuple[HttpsGit, Authority], remote: BareRemote, tmp_path: Path) -> Callable[..., GitSource]:
    server, authority = https_git
    (tmp_path / "password").write_text(PASSWORD + "\n")
    defaults = {"ca_file": authority.ca_file, "username": USERNAME, "password_file": tmp_path / "password"}
    return lambda **other: GitSource(server.url("fleet.git"), "main", tmp_path / "clone", **{**defaults, **other})


@pytest.fixture
def by_ssh(ssh_git: SshGit, tmp_path: Path) -> Callable[..., GitSource]:
    defaults = {"ssh_key": ssh_git.user_key, "known_hosts": ssh_git.known_hosts}
    return lambda **other: GitSource(ssh_git.url("fleet.git"), "main", tmp_path / "clone", **{**defaults, **other})


def fetch(source: GitSource) -> str:
    return asyncio.run(source.fetch())


def tree(source: GitSource, revision: str) -> Tree:
    return asyncio.run(source.tree(revision))


def refusal(source: GitSource) -> str:
    with pytest.raises(RemoteUnreachable) as refused:
        fetch(source)
    said = str(refused.value)
    assert said.startswith(("cannot fetch ", "cannot read "))
    assert "\n" not in said
    return said


def test_commit_on_a_path_is_read_whole(remote: BareRemote, by_path: GitSource) -> None:
    revision = remote.commit(FILES, "Add two clubs\n\nThey asked for it.")
    assert fetch(by_path) == revision
    read = tree(by_path, revision)
    assert {e.path: read.blobs[e.blob].decode() for e in read.entries} == FILES
    assert {e.mode for e in read.entries} == {0o100644}
    assert len(read.blobs) == len(set(read.blobs)) == 3
    assert folder_of(read.entries).id == read.entries.id


def test_commit_tells_author_subject_and_instant(remote: BareRemote, by_path: GitSource) -> None:
    revision = remote.commit_tree(remote.tree(FILES), "Ajoute deux clubs à l'Ouest\n\nEt voilà.")
    fetch(by_path)
    assert asyncio.run(by_path.commit(revision)) == CommitInfo(
        revision=revision,
        author="Ann Öst <ann@example.org>",
        subject="Ajoute deux clubs à l'Ouest",
        committed_at=datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC),
    )


def test_new_commits_are_fetched_and_descend(remote: BareRemote, by_path: GitSource) -> None:
    first = remote.commit(FILES)
    assert fetch(by_path) == first
    second = remote.commit({**FILES, "sites/vannes.yaml": "name: Vannes\n"})
    assert fetch(by_path) == second
    asyncio.run(by_path.require_descendant(second, first))
    asyncio.run(by_path.require_descendant(second, second))
    assert "sites/vannes.yaml" in {e.path for e in tree(by_path, second).entries}
    assert "sites/vannes.yaml" not in {e.path for e in tree(by_path, first).entries}


def test_unchanged_folders_of_the_next_commit_are_listed_the_same(remote: BareRemote, by_path: GitSource) -> None:
    deep = {"a/b/c/one.yaml": "1", "a/b/two.yaml": "2", "z/three.yaml": "3"}
    revisions = [remote.commit({**deep, **change}) for change in ({}, {"z/four.yaml": "4"}, {"a/b/two.yaml": "5"})]
    fetch(by_path)
    for revision in revisions:
        fresh = GitSource(by_path._remote, "main", by_path._clone)
        assert list(tree(by_path, revision).entries) == list(tree(fresh, revision).entries)


def test_rewritten_history_is_refused(remote: BareRemote, by_path: GitSource) -> None:
    first = remote.commit(FILES)
    published = remote.commit({**FILES, "x.yaml": "x"})
    fetch(by_path)
    sideways = remote.commit({**FILES, "y.yaml": "y"}, parents=[first])
    assert fetch(by_path) == sideways
    with pytest.raises(NotFastForward, match=r"history was rewritten.*git revert"):
        asyncio.run(by_path.require_descendant(sideways, published))
    with pytest.raises(NotFastForward):
        asyncio.run(by_path.require_descendant(first, published))


def test_published_commit_that_the_remote_forgot_is_not_followed(remote: BareRemote, by_path: GitSource) -> None:
    revision = remote.commit(FILES)
    fetch(by_path)
    with pytest.raises(NotFastForward):
        asyncio.run(by_path.require_descendant(revision, "f" * 40))


def test_branch_that_is_gone_is_said_and_found_again(remote: BareRemote, by_path: GitSource) -> None:
    revision = remote.commit(FILES)
    fetch(by_path)
    remote.repository.references.delete("refs/heads/main")
    assert "no refs/heads/main" in refusal(by_path)
    remote.repository.references.create("refs/heads/main", revision)
    assert fetch(by_path) == revision


def test_tag_is_followed_to_its_commit(remote: BareRemote, tmp_path: Path) -> None:
    revision = remote.commit(FILES)
    signature = remote.repository[revision].author
    remote.repository.create_tag("v1", revision, ObjectType.COMMIT, signature, "a tag")
    assert fetch(GitSource(str(remote.path), "refs/tags/v1", tmp_path / "clone")) == revision


def test_empty_remote_is_said(by_path: GitSource) -> None:
    assert "no refs/heads/main" in refusal(by_path)


def test_remote_that_is_away_is_said_and_the_clone_stays(remote: BareRemote, by_path: GitSource) -> None:
    revision = remote.commit(FILES)
    fetch(by_path)
    away = remote.path.rename(remote.path.with_name("moved.git"))
    assert "fleet.git: there is no Git repository in this folder" in refusal(by_path)
    assert len(list(tree(by_path, revision).entries)) == 3
    away.rename(remote.path)
    assert fetch(by_path) == revision


def test_https_remote_that_does_not_listen_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"https://localhost:{taken.getsockname()[1]}/fleet.git"
        assert url in refusal(GitSource(url, "main", tmp_path / "clone"))


@pytest.mark.parametrize("damage", ["HEAD", "objects", "refs"])
def test_broken_clone_is_made_anew(remote: BareRemote, by_path: GitSource, tmp_path: Path, damage: str) -> None:
    revision = remote.commit(FILES)
    fetch(by_path)
    target = tmp_path / "clone" / damage
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.write_bytes(b"\0")
    assert fetch(by_path) == revision
    assert len(list(tree(by_path, revision).entries)) == 3


def test_https_with_private_authority_is_fetched(remote: BareRemote, by_https: Callable[..., GitSource]) -> None:
    first = remote.commit(FILES)
    source = by_https()
    assert fetch(source) == first
    second = remote.commit({**FILES, "x.yaml": "x"})
    assert fetch(source) == second
    assert len(list(tree(source, second).entries)) == 4


def test_https_with_wrong_password_is_refused_in_a_sentence(
    remote: BareRemote, by_https: Callable[..., GitSource], tmp_path: Path
) -> None:
    remote.commit(FILES)
    (tmp_path / "wrong").write_text("guess")
    said = refusal(by_https(password_file=tmp_path / "wrong"))
    assert "it refused the credentials of 'fleet'" in said
    assert "guess" not in said


def test_https_without_password_says_which_setting(remote: BareRemote, by_https: Callable[..., GitSource]) -> None:
    remote.commit(FILES)
    assert "git_password_file" in refusal(by_https(password_file=None))


def test_https_with_unreadable_password_says_which_file(
    remote: BareRemote, by_https: Callable[..., GitSource], tmp_path: Path
) -> None:
    remote.commit(FILES)
    assert str(tmp_path / "nowhere") in refusal(by_https(password_file=tmp_path / "nowhere"))


@pytest.mark.parametrize("trusts", ["another authority", "none of ours"])
def test_https_with_unknown_authority_is_refused(
    remote: BareRemote, by_https: Callable[..., GitSource], tmp_path: Path, trusts: str
) -> None:
    remote.commit(FILES)
    other = Authority(tmp_path, "other").ca_file if trusts == "another authority" else None
    said = refusal(by_https(ca_file=other))
    assert "localhost" in said
    assert "git_ca_file" in said
    assert not (tmp_path / "clone" / "refs" / "neopro").exists()


def test_authority_that_is_no_certificate_is_said(by_https: Callable[..., GitSource], tmp_path: Path) -> None:
    (tmp_path / "broken.pem").write_text("no certificate")
    with pytest.raises(RemoteUnreachable, match=r"cannot use the certificate authority .*broken\.pem"):
        fetch(by_https(ca_file=tmp_path / "broken.pem"))


@pytest.mark.parametrize("password", ["secret-word", "p@secret-word"])
def test_password_in_the_address_is_not_repeated(
    remote: BareRemote, https_git: Any, tmp_path: Path, password: str
) -> None:
    server, authority = https_git
    url = server.url("fleet.git").replace("https://", f"https://fleet:{password}@")
    said = refusal(GitSource(url, "main", tmp_path / "clone", ca_file=authority.ca_file))
    assert "secret-word" not in said


def test_ssh_with_known_host_is_fetched(remote: BareRemote, by_ssh: Callable[..., GitSource]) -> None:
    first = remote.commit(FILES)
    source = by_ssh()
    assert fetch(source) == first
    second = remote.commit({**FILES, "x.yaml": "x"})
    assert fetch(source) == second


def test_ssh_with_unknown_host_is_refused(remote: BareRemote, by_ssh: Callable[..., GitSource]) -> None:
    remote.commit(FILES)
    assert "git_known_hosts" in refusal(by_ssh(known_hosts=None))


def test_ssh_with_another_host_key_is_refused(
    remote: BareRemote, ssh_git: SshGit, by_ssh: Callable[..., GitSource], tmp_path: Path
) -> None:
    remote.commit(FILES)
    kind, key = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().split()[:2]
    (tmp_path / "other_hosts").write_text(f"[localhost]:{ssh_git.port} {kind} {key}\n")
    assert "git_known_hosts" in refusal(by_ssh(known_hosts=tmp_path / "other_hosts"))


def test_ssh_with_wrong_key_is_refused(remote: BareRemote, by_ssh: Callable[..., GitSource], tmp_path: Path) -> None:
    remote.commit(FILES)
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(str(tmp_path / "stranger"))
    assert "it refused the credentials of 'git'" in refusal(by_ssh(ssh_key=tmp_path / "stranger"))


@pytest.mark.parametrize("key", ["absent", "broken"])
def test_ssh_with_unusable_key_says_which(
    remote: BareRemote, by_ssh: Callable[..., GitSource], tmp_path: Path, key: str
) -> None:
    remote.commit(FILES)
    (tmp_path / "broken").write_text("no key")
    assert key in refusal(by_ssh(ssh_key=tmp_path / key))


def test_settings_of_the_user_do_not_redirect_the_fetch(
    remote: BareRemote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revision = remote.commit(FILES)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[url "/nowhere"]\n\tinsteadOf = {remote.path}\n')
    code = (
        "import asyncio, pathlib, sys; from control_plane.git_source import GitSource;"
        "print(asyncio.run(GitSource(sys.argv[1], 'main', pathlib.Path(sys.argv[2])).fetch()))"
    )
    monkeypatch.setenv("HOME", str(home))
    said = subprocess.check_output([sys.executable, "-c", code, str(remote.path), str(tmp_path / "clone")], text=True)
    assert said.strip() == revision


def test_hostile_tree_is_shown_to_the_compiler_and_never_written(
    remote: BareRemote, by_path: GitSource, tmp_path: Path
) -> None:
    blob, deep = remote.blob(b"x"), remote.tree({"passwd": "x"})
    root = remote.raw_tree(
        (0o40000, b"..", deep),
        (0o40000, b".git", deep),
        (0o100644, b"a\\b", blob),
        (0o120000, b"link", remote.blob(b"/etc/passwd")),
        (0o160000, b"module", bytes(20)),
        (0o100755, b"run", blob),
        (0o100644, b"\xff", blob),
    )
    revision = remote.commit_tree(root)
    assert fetch(by_path) == revision
    found = [(e.path, e.mode) for e in tree(by_path, revision).entries]
    assert found == [
        ("../passwd", 0o100644),
        (".git/passwd", 0o100644),
        ("a\\b", 0o100644),
        ("link", 0o120000),
        ("module", 0o160000),
        ("run", 0o100755),
        ("\\xff", 0o100644),
    ]
    assert not list(tmp_path.rglob("*passwd*"))


@pytest.mark.parametrize(
    ("names", "why"),
    [
        ((b"run", b"run"), "names something twice"),
        ((b"\\xff", b"\xff"), "names something twice"),
        ((b"sites/vannes.yaml",), "is malformed"),
    ],
)
def test_tree_with_two_files_on_one_path_is_refused(
    remote: BareRemote, by_path: GitSource, names: Sequence[bytes], why: str
) -> None:
    blob = remote.blob(b"x")
    revision = remote.commit_tree(remote.raw_tree(*((0o100644, name, blob) for name in names)))
    fetch(by_path)
    with pytest.raises(CommitRefused, match=f"the commit: its tree object {why}"):
        tree(by_path, revision)


def test_clone_that_lost_its_objects_is_said_and_made_anew(
    remote: BareRemote, by_path: GitSource, tmp_path: Path
) -> None:
    revision = remote.commit(FILES)
    fetch(by_path)
    for pack in (tmp_path / "clone" / "objects" / "pack").iterdir():
        pack.unlink()
    with pytest.raises(RemoteUnreachable, match="will be made anew"):
        tree(by_path, revision)
    fetch(by_path)
    again = tree(by_path, revision)
    assert {e.path: again.blobs[e.blob].decode() for e in again.entries} == FILES


def test_blob_that_the_clone_lost_is_said_and_fetched_again(remote: BareRemote, by_path: GitSource) -> None:
    revision = remote.commit(FILES)
    fetch(by_path)
    before = by_path._clone.stat().st_ino
    with pytest.raises(RemoteUnreachable, match="will be made anew"):
        tree(by_path, revision).blobs["ab" * 20]
    fetch(by_path)
    assert by_path._clone.stat().st_ino != before


def test_date_that_no_calendar_has_becomes_the_nearest(remote: BareRemote, by_path: GitSource) -> None:
    revision = remote.commit_tree(remote.tree(FILES), at=10**17)
    fetch(by_path)
    assert asyncio.run(by_path.commit(revision)).committed_at.year == 9999


@pytest.mark.parametrize("scheme", ["https", "ssh"])
def test_remote_that_falls_silent_is_given_up(scheme: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://git@localhost:{silent.getsockname()[1]}/fleet.git"
        started = time.monotonic()
        refusal(GitSource(url, "main", tmp_path / "clone", timeout_s=0.3))
        assert time.monotonic() - started < promised(10)


def test_tree_of_trees_without_end_is_refused(remote: BareRemote, by_path: GitSource) -> None:
    level = remote.blob(b"x")
    for mode in (0o100644, *[0o40000] * 6):  # 10 ** 7 files in seven objects
        level = remote.raw_tree(*((mode, b"%d" % n, level) for n in range(10)))
    revision = remote.commit_tree(level)
    fetch(by_path)
    with pytest.raises(CommitRefused, match="more than 200000 files"):
        tree(by_path, revision)


def test_folders_without_files_are_bounded_too(remote: BareRemote, by_path: GitSource) -> None:
    level = remote.raw_tree()
    for _ in range(7):
        level = remote.raw_tree(*((0o40000, b"%d" % n, level) for n in range(10)))
    revision = remote.commit_tree(level)
    fetch(by_path)
    with pytest.raises(CommitRefused, match="more than 200000 files and folders"):
        tree(by_path, revision)


def test_folders_nested_too_deep_are_refused(remote: BareRemote, by_path: GitSource) -> None:
    level = remote.tree({"x": "x"})
    for _ in range(40):
        level = remote.raw_tree((0o40000, b"d", level))
    revision = remote.commit_tree(level)
    fetch(by_path)
    with pytest.raises(CommitRefused, match="nest deeper than 32"):
        tree(by_path, revision)


def test_malformed_tree_is_refused_by_the_fetch(remote: BareRemote, by_path: GitSource) -> None:
    whole = b"100644 a\0" + remote.blob(b"x")
    remote.commit_tree(remote.raw_object(ObjectType.TREE, whole + b"100644 b\0short"))
    assert "failed to parse tree" in refusal(by_path)


def test_blob_over_the_limit_is_refused_by_its_path(remote: BareRemote, by_path: GitSource) -> None:
    revision = remote.commit({"videos/derby.mp4": bytes(9 << 20)})
    fetch(by_path)
    read = tree(by_path, revision)
    with pytest.raises(CommitRefused, match=r"videos/derby\.mp4: 9437184 bytes"):
        read.blobs[next(iter(read.entries)).blob]


def test_commit_that_is_not_there_is_said(remote: BareRemote, by_path: GitSource) -> None:
    remote.commit(FILES)
    fetch(by_path)
    with pytest.raises(RemoteUnreachable, match="cannot read the clone"):
        tree(by_path, "0" * 39 + "1")
