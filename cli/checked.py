"""A change of documents is tried before it lands, so that no verb writes what `neopro validate` refuses."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.landing import Files, Landing, land
from cli.output import Output
from cli.parsed import known_documents
from cli.verbs.validate import read_folder

if TYPE_CHECKING:
    from control_plane.core.compile import Problem, TreeEntry

_FILE = 0o100644


def land_checked(
    landing: Landing, checkout: Checkout, files: Files, subject: str, data: Mapping[str, Any] | None = None
) -> None:
    """As `land`, unless the change brings an error into the fleet: CommandFailed then, and nothing is changed.

    New warnings are told. What was wrong before is no reason to refuse. `subject` is an imperative: `Add the group X`.
    """
    check_change(checkout, files, subject, Output(landing.json))
    land(landing, checkout, files, subject, data)


def check_change(checkout: Checkout, files: Files, subject: str, output: Output) -> None:
    """The check of `land_checked` alone, for verbs that have long work to do before they land."""
    found = new_problems(checkout, files)
    errors = [problem for problem in found if problem.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        doing = subject[0].lower() + subject[1:]
        raise CommandFailed(f"cannot {doing}: {errors[0].file}: {errors[0].message}{more}")
    for problem in found:
        output.note(f"{problem.severity}: {problem.file}: {problem.message}")


def new_problems(checkout: Checkout, files: Files) -> "list[Problem]":
    """What is wrong with the whole fleet once `files` are changed, and was not before."""
    from control_plane.core.compile import compile_commit

    entries, blobs = read_folder(checkout.root)
    changed, contents = _overlay(files)
    after = [entry for entry in entries if entry.path not in files] + changed
    with known_documents(len(entries)) as documents:
        fleet = compile_commit(after, {**blobs, **contents}, None, documents)
    if not fleet.problems:
        return []
    known = {_key(problem) for problem in compile_commit(entries, blobs, fleet).problems}
    return [problem for problem in fleet.problems if _key(problem) not in known]


def _overlay(files: Files) -> "tuple[list[TreeEntry], dict[str, bytes]]":
    from control_plane.core.compile import TreeEntry

    entries, contents = [], {}
    for path, content in files.items():
        if content is not None:
            data = content.encode() if isinstance(content, str) else content
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            entries.append(TreeEntry(path, blob, _FILE, len(data)))
            contents[blob] = data
    return entries, contents


def _key(problem: "Problem") -> tuple[str, str, str]:
    """A problem without its place, which moves with the lines above it."""
    return problem.file, problem.code, problem.message
