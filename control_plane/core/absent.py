"""Blobs that a commit names and the object store lacks, as Problems at the place that names them (pure)."""

from collections.abc import Iterable, Mapping, Set
from typing import Final

from control_plane.core.compile import TreeEntry
from control_plane.core.problems import Problem, sort_problems
from schemas.names import Digest

CODE: Final = "BlobMissing"
_UNREADABLE = "this blob is no listing of a release's files (or no patch); make it anew with: neopro release add PATH"
_ADVICE = {
    "videos/": "the file of this video is not in the object store; upload it with: neopro video add FILE",
    "releases/": "the listing or a patch of this release is not in the object store; run again neopro release add PATH",
    "agents/": "the listing of this agent is not in the object store; upload it with: neopro release add PATH",
    "sites/": "the backup that is to be put back is not in the object store; run again: neopro site replace SITE",
}


def absent_problems(
    missing: Set[Digest],
    incomplete: Mapping[Digest, tuple[int, int]],
    unreadable: Set[Digest],
    entries: Iterable[TreeEntry],
    blobs: Mapping[str, bytes],
) -> tuple[Problem, ...]:
    """One Problem a place. `incomplete`: digest of a listing or patch -> (blobs in it that lack, all in it).

    `unreadable`: blobs that are named as a listing or patch and are none.
    """
    found = []
    for entry in entries:
        folder = entry.path.partition("/")[0] + "/"
        if folder in _ADVICE and entry.path.endswith((".yaml", ".yml")):
            text = blobs[entry.blob]
            found += [_problem(entry.path, text, digest, _ADVICE[folder]) for digest in missing if _names(text, digest)]
            found += [_problem(entry.path, text, digest, _UNREADABLE) for digest in unreadable if _names(text, digest)]
            found += [
                _problem(entry.path, text, digest, _lacking(*counts))
                for digest, counts in incomplete.items()
                if folder in ("releases/", "agents/") and _names(text, digest)
            ]
    return sort_problems(found)


def _names(text: bytes, digest: Digest) -> bool:
    return digest.encode() in text


def _lacking(missing: int, total: int) -> str:
    return (
        f"{missing} of the {total} files of this release are not in the object store; "
        "upload them with: neopro release add PATH"
    )


def _problem(path: str, text: bytes, digest: Digest, message: str) -> Problem:
    before = text[: text.index(digest.encode())]
    line = before.count(b"\n") + 1
    column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
    return Problem(file=path, line=line, column=column, severity="error", code=CODE, message=message)
