"""Commits of the repository that a checkout belongs to, read through its objects, as the server reads them."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import pygit2

from cli.checkout import MARKER, Checkout
from cli.errors import CommandFailed
from control_plane.core.trees import Folder
from control_plane.git_objects import Tree, local_tree, messages_between
from schemas.names import Revision

_SHOWN: Final = 8
_FAULTS: Final = (pygit2.GitError, KeyError, ValueError, OSError)


class Commit(NamedTuple):
    """A commit and what the operator calls it."""

    name: str
    revision: Revision

    def __str__(self) -> str:
        short = self.revision[:_SHOWN]
        return short if self.revision.startswith(self.name) else f"{self.name} ({short})"


class Commits:
    """The repository around a checkout; `under` is the checkout's folder in it, empty for the whole."""

    def __init__(self, checkout: Checkout) -> None:
        """CommandFailed where the checkout is in no repository."""
        found = pygit2.discover_repository(str(checkout.root))
        if found is None:
            raise CommandFailed(f"cannot compare commits: {checkout.root} is in no Git repository; run git init")
        with _told("open the repository"):
            self._repository = pygit2.Repository(found)
        top = Path(self._repository.workdir or checkout.root).resolve()
        under = checkout.root.resolve().relative_to(top).as_posix()
        self._root, self._under = checkout.root, "" if under == "." else under

    def named(self, name: str) -> Commit:
        """A commit by any name that Git knows; CommandFailed where there is none."""
        with _told(f"find the commit {name}"):
            try:
                return Commit(name, str(self._repository.revparse_single(name).peel(pygit2.Commit).id))
            except (KeyError, ValueError, pygit2.InvalidSpecError):
                raise CommandFailed(
                    f"cannot find the commit {name}: this repository has none of that name; "
                    "git branch -a lists branches, git fetch brings new ones"
                ) from None

    def has(self, revision: Revision) -> bool:
        """Whether the commit is here."""
        return revision in self._repository

    def fork(self, one: Commit, other: Commit) -> Commit:
        """The newest commit that both have."""
        with _told(f"compare {one} and {other}"):
            base = self._repository.merge_base(pygit2.Oid(hex=one.revision), pygit2.Oid(hex=other.revision))
        if base is None:
            raise CommandFailed(f"cannot compare {one} and {other}: they have no commit in common")
        return Commit(f"{one.name}...{other.name}", str(base))

    def usual_base(self) -> Commit | None:
        """What is there already: the branch's upstream, the remote's main branch, or HEAD; None before any commit."""
        if self._repository.head_is_unborn:
            return None
        for name in (self._upstream(), "refs/remotes/origin/HEAD"):
            if name and name in self._repository.references:
                target = self._repository.references[name].resolve()
                return Commit(target.shorthand, str(target.peel(pygit2.Commit).id))
        return self.named("HEAD")

    def tree(self, commit: Commit, known: Folder | None = None) -> Tree | None:
        """The fleet's files in a commit; None where it has no fleet. Folders as in `known` are the same object."""
        with _told(f"read {commit}"):
            top = self._repository[commit.revision].peel(pygit2.Commit).tree
            path = f"{self._under}/{MARKER}".lstrip("/")
            return local_tree(self._repository, commit.revision, self._under, known) if path in top else None

    def messages(self, head: Commit, base: Commit) -> list[str]:
        """The messages of the commits that `head` has and `base` has not."""
        with _told(f"read the commits from {base} to {head}"):
            return messages_between(self._repository, head.revision, base.revision)

    def _upstream(self) -> str | None:
        # Git itself knows how a branch finds its upstream.
        command = ["git", "-C", str(self._root), "rev-parse", "--symbolic-full-name", "@{upstream}"]
        try:
            done = subprocess.run(command, capture_output=True, check=False, text=True)
        except FileNotFoundError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None


@contextmanager
def _told(doing: str) -> Iterator[None]:
    try:
        yield
    except _FAULTS as problem:
        raise CommandFailed(f"cannot {doing}: {' '.join(str(problem).split())}") from None
