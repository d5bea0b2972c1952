"""Documents of large checkouts that an earlier command parsed: kept under XDG_CACHE_HOME, or ~/.cache."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from control_plane.documents import DocumentCache

FEW: Final = 500
"""Files: so many are parsed sooner than the cache is opened."""


@contextmanager
def known_documents(files: int, env: Mapping[str, str] = os.environ) -> Iterator["DocumentCache | None"]:
    """For `compile_commit` and `read_tree`; what was new is written when the context is left. None for few `files`."""
    folder = _folder(env)
    if files <= FEW or folder is None:
        yield None
        return
    from control_plane.documents import DocumentCache

    with closing(DocumentCache(folder)) as documents:
        yield documents
        documents.keep()


def _folder(env: Mapping[str, str]) -> Path | None:
    """Where caches belong (XDG Base Directory Specification: a relative path counts for nothing)."""
    named = Path(env.get("XDG_CACHE_HOME", ""))
    if named.is_absolute():
        return named / "neopro"
    home = Path(env.get("HOME", ""))
    return home / ".cache" / "neopro" if home.is_absolute() else None
