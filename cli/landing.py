"""How a change of the checkout is left: written, committed, on a branch of its own, or only shown.

Every verb that edits documents takes these options and ends in `land`; one that only has a line to say in a commit's
message, in `land_message`. A commit is made from Git's own plumbing beside the index (git-read-tree, git-commit-tree):
nothing is to be seen before it is whole, so an interrupted verb leaves the repository as it was or with a complete
commit. Hooks of the checkout are not run; the checks of the forge are.
"""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Annotated, Any, Final

from cyclopts import Parameter

from cli.checkout import Checkout, signals_wait
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output

Files = Mapping[str, str | bytes | None]
"""Path in the checkout -> its new content; None deletes it."""
NO_OBJECT: Final = "0" * 40


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Landing:
    """The options of a verb that edits documents."""

    repository: Annotated[
        Path | None, Parameter(help="The checkout; without it, the one around the current folder.")
    ] = None
    commit: Annotated[Flag, Parameter(help="Commit the change on the current branch.")] = False
    branch: Annotated[
        str | None,
        Parameter(help="Commit the change on a new branch of this name; the checkout stays as it is."),
    ] = None
    message: Annotated[str | None, Parameter(help="The commit's message; without it, one that says what was done.")] = (
        None
    )
    dry_run: Annotated[Flag, Parameter(help="Show what would change, as a diff; change nothing.")] = False
    json: Annotated[Flag, Parameter(help="Print what was done as JSON.")] = False

    def checkout(self) -> Checkout:
        """The checkout that is meant; CommandFailed where there is none, or where options contradict each other."""
        if self.commit and self.branch:
            raise CommandFailed("cannot do both: --branch makes a commit of its own; leave --commit out")
        if self.message and not (self.commit or self.branch):
            raise CommandFailed("cannot use --message without a commit: say --commit or --branch NAME, too")
        return Checkout.find(self.repository)


WRITTEN: Final = Landing()
"""The default of a verb: files are written, nothing is committed."""


def land(
    landing: Landing, checkout: Checkout, files: Files, subject: str, data: Mapping[str, Any] | None = None
) -> None:
    """Leave the change as the options say, and tell the operator (`data`: what `--json` says beside the files).

    Files whose content is the same are left out; when none is left, that is said. `subject` is the commit's message
    where the operator gives none. CommandFailed leaves everything as it was.
    """
    output = Output(landing.json)
    changed = {path: content for path, content in files.items() if _current(checkout, path) != _as_bytes(content)}
    revision = None
    if changed and landing.dry_run:
        for line in _diff(checkout, changed):
            output.say(line)
    elif changed and (landing.commit or landing.branch):
        revision = _commit(checkout, changed, landing.message or subject, landing.branch)
    elif changed:
        checkout.write(changed)
    output.data({**(data or {}), "files": sorted(changed), "commit": revision, "branch": landing.branch})
    _tell(output, landing, changed, revision)


def land_message(
    landing: Landing, checkout: Checkout, subject: str, line: str, data: Mapping[str, Any] | None = None
) -> None:
    """Leave a commit that changes no file and says this line of its own, which the control plane reads.

    CommandFailed where no commit is asked for: there would be nothing to write.
    """
    if not (landing.commit or landing.branch or landing.dry_run):
        raise CommandFailed(
            f"cannot say {line!r} without a commit: no file changes; add --commit or --branch NAME, or write that line "
            "into the message of your own commit"
        )
    output, message = Output(landing.json), f"{landing.message or subject}\n\n{line}"
    revision = None if landing.dry_run else _commit(checkout, {}, message, landing.branch)
    output.data({**(data or {}), "message": message, "files": [], "commit": revision, "branch": landing.branch})
    if revision:
        _tell_commit(output, landing, revision)
    else:
        output.say(f"{message}\n\nnothing was committed (--dry-run)")


def _tell(output: Output, landing: Landing, changed: Files, revision: str | None) -> None:
    if not changed:
        output.say("nothing to change: the documents say so already")
    elif landing.dry_run:
        output.say("nothing was changed (--dry-run)")
    elif revision:
        _tell_commit(output, landing, revision)
    else:
        done = [f"{'deleted' if content is None else 'wrote'} {path}" for path, content in changed.items()]
        output.say("\n".join(done) + "; commit and push to publish")


def _tell_commit(output: Output, landing: Landing, revision: str) -> None:
    if landing.branch:
        output.say(f"{revision[:12]} on the new branch {landing.branch}; git push -u origin {landing.branch} opens it")
    else:
        output.say(f"committed {revision[:12]}; git push publishes it")


def _current(checkout: Checkout, path: str) -> bytes | None:
    file = checkout.root / path
    return file.read_bytes() if file.is_file() else None


def _as_bytes(content: str | bytes | None) -> bytes | None:
    return content.encode() if isinstance(content, str) else content


def _diff(checkout: Checkout, files: Files) -> list[str]:
    lines: list[str] = []
    for path, content in files.items():
        before, after = (
            (data or b"").decode("utf-8", "replace").splitlines()
            for data in (_current(checkout, path), _as_bytes(content))
        )
        lines += unified_diff(before, after, f"a/{path}", f"b/{path}", lineterm="")
    return lines


def _commit(checkout: Checkout, files: Files, message: str, branch: str | None) -> str:
    """Make the commit beside the index, then show it: on a new branch, or in the checkout and on its branch."""
    git = _Git(checkout.root)
    head = git.run("rev-parse", "--verify", "HEAD^{commit}")
    prefix = git.run("rev-parse", "--show-prefix")
    if files:
        _require_clean(git, files)
    if branch:
        git.run("check-ref-format", "--branch", branch)
        if git.succeeds("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}"):
            raise CommandFailed(f"cannot make the branch {branch}: there is one of this name; take another")
    revision = git.make_commit(head, {prefix + path: _as_bytes(content) for path, content in files.items()}, message)
    if branch:
        git.run("update-ref", "-m", f"neopro: {message}", f"refs/heads/{branch}", revision, NO_OBJECT)
        return revision
    with signals_wait():
        checkout.write(files)
        git.run("update-ref", "-m", f"neopro: {message}", "HEAD", revision, head)
        if files:
            git.run("update-index", "--add", "--remove", "--", *files)
    return revision


def _require_clean(git: "_Git", files: Files) -> None:
    """What an operator has not committed yet is not committed on the way."""
    if unclean := git.run("status", "--porcelain", "--untracked-files=all", "--", *files):
        first = unclean.splitlines()[0][3:]
        raise CommandFailed(f"cannot commit: {first} has changes that are not committed; commit or undo them first")


class _Git:
    """Git in a folder, by its own command; its complaints become one sentence."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def succeeds(self, *words: str) -> bool:
        return self._start(words).returncode == 0

    def run(self, *words: str, stdin: bytes | None = None, env: Mapping[str, str] | None = None) -> str:
        """What it prints; CommandFailed where it fails."""
        done = self._start(words, stdin, env)
        if done.returncode:
            why = " ".join(done.stderr.decode("utf-8", "replace").split())[:400]
            raise CommandFailed(f"cannot commit in {self._folder}: {why or 'git failed'}")
        return done.stdout.decode("utf-8", "replace").rstrip("\n")

    def make_commit(self, head: str, files: Mapping[str, bytes | None], message: str) -> str:
        """A commit on top of `head` with these files (paths from the top of the repository), to be seen by nobody."""
        with tempfile.TemporaryDirectory(prefix="neopro-index-") as folder:
            env = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
            self.run("read-tree", head, env=env)
            rows = "".join(self._index_row(path, content) for path, content in files.items())
            self.run("update-index", "-z", "--index-info", stdin=rows.encode(), env=env)
            tree = self.run("write-tree", env=env)
        signing = ["-S"] if self._wants_signatures() else []
        return self.run("commit-tree", tree, "-p", head, *signing, stdin=message.encode() + b"\n")

    def _index_row(self, path: str, content: bytes | None) -> str:
        if content is None:
            return f"0 {NO_OBJECT}\t{path}\0"
        blob = self.run("hash-object", "-w", "--stdin", "--path", path, stdin=content)
        return f"100644 {blob}\t{path}\0"

    def _wants_signatures(self) -> bool:
        asked = self._start(("config", "--type=bool", "--get", "commit.gpgsign"))
        return asked.stdout.strip() == b"true"

    def _start(
        self, words: tuple[str, ...], stdin: bytes | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        # A session of its own: Ctrl-C is ours to answer, so that git is never stopped halfway. Only signing may ask.
        return subprocess.run(
            ["git", "-C", str(self._folder), "-c", "core.quotePath=false", *words],
            input=stdin if stdin is not None else b"",
            capture_output=True,
            env={**os.environ, **(env or {})},
            start_new_session=words[0] != "commit-tree",
            check=False,
        )
