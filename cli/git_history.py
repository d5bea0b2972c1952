"""What Git remembers of one file of the checkout."""

import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from cli.checkout import Checkout
from cli.errors import CommandFailed

_REVISION: Final = 40


class Past(NamedTuple):
    """A commit that changed the file; `date` as YYYY-MM-DD."""

    commit: str
    author: str
    date: str
    subject: str

    def __str__(self) -> str:
        return f"{self.commit[:12]} ({self.date}, {self.author}: {self.subject})"


def changes_of(checkout: Checkout, *paths: str) -> Iterator[Past]:
    """The commits that changed one of the files, newest first; CommandFailed outside of Git."""
    form = "--format=%H%x00%an%x00%as%x00%s"
    for line in _git(checkout, "log", form, "--no-merges", "--", *paths).splitlines():
        yield Past(*line.split("\0", 3))


def blame_of(checkout: Checkout, path: str) -> dict[int, Past | None]:
    """Line (from 1) of the file as it lies on disk -> the commit that it comes from, None for one not committed yet.

    Empty where Git cannot tell: outside of a repository, or for a file that it does not know.
    """
    command = ["git", "-C", str(checkout.root), "blame", "--line-porcelain", "--", path]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        return {}
    found: dict[int, Past | None] = {}
    facts: dict[str, str] = {}
    for line in done.stdout.decode("utf-8", "replace").split("\n"):
        word, _, rest = line.partition(" ")
        if line.startswith("\t"):
            found[int(facts["line"])] = _blamed(facts)
        elif len(word) == _REVISION and rest[:1].isdigit():
            facts = {"commit": word, "line": rest.split(" ")[1]}
        else:
            facts[word] = rest
    return found


def _blamed(facts: Mapping[str, str]) -> Past | None:
    if not facts["commit"].strip("0"):
        return None
    day = datetime.fromtimestamp(int(facts["author-time"]), UTC).strftime("%Y-%m-%d")
    return Past(facts["commit"], facts.get("author", ""), day, facts.get("summary", ""))


def content_at(checkout: Checkout, commit: str, path: str) -> str | None:
    """The file's text in a commit; None where it was not there. CommandFailed where there is no such commit."""
    named = _git(checkout, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{commit}^{{commit}}").strip()
    if not _git(checkout, "ls-tree", "--name-only", named, "--", path):
        return None
    return _git(checkout, "show", f"{named}:./{path}")


def content_before(checkout: Checkout, past: Past, path: str) -> str | None:
    """The file's text before that commit; None where the commit made it."""
    parents = _git(checkout, "rev-parse", f"{past.commit}^@").split()
    return content_at(checkout, parents[0], path) if parents else None


def require_committed(checkout: Checkout, path: str) -> None:
    """CommandFailed where the file has changes that Git does not have."""
    if _git(checkout, "status", "--porcelain", "--", path):
        raise CommandFailed(f"cannot go back: {path} has changes that are not committed; commit or undo them first")


def _git(checkout: Checkout, *words: str) -> str:
    command = ["git", "-C", str(checkout.root), "-c", "core.quotePath=false", *words]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        raise CommandFailed("cannot read the history: git is not installed") from None
    if done.returncode:
        why = " ".join(done.stderr.decode("utf-8", "replace").split())[:300]
        named = words[-1].removesuffix("^{commit}")
        raise CommandFailed(f"cannot read the history: {why or f'there is no commit {named}'}")
    return done.stdout.decode("utf-8", "replace")
