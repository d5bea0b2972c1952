"""What lies under a folder of the box, looked at without following a link, within bounds."""

import os
import stat
from collections.abc import Iterator
from typing import Final

from reconciler_agent.durable import Disk
from reconciler_agent.system_calls import MissingIsNone, faults
from schemas.club import ClubFile

MAX_DEPTH: Final = 8
MAX_LOOKED: Final = 20_000
"""Entries of folders; a box has some hundred. What lies beyond is not told."""


def list_files(disk: Disk, folder: str) -> list[ClubFile]:
    """The regular files under `folder` by their path beneath the root; none where there is no such folder."""
    found: list[ClubFile] = []
    with MissingIsNone(), faults("list", folder), disk.folder(folder) as handle:
        for looked, (path, about) in enumerate(_walk(handle, folder, MAX_DEPTH), start=1):
            if stat.S_ISREG(about.st_mode):
                found.append(ClubFile(path=path, size_bytes=about.st_size))
            if looked >= MAX_LOOKED:
                break
    return found


def _walk(folder: int, path: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    """Every entry; one that goes away meanwhile, or cannot be opened, is left out."""
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                about = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield f"{path}/{entry.name}", about
            if stat.S_ISDIR(about.st_mode) and depth > 1:
                yield from _below(folder, entry.name, f"{path}/{entry.name}", depth - 1)


def _below(above: int, name: str, path: str, depth: int) -> Iterator[tuple[str, os.stat_result]]:
    try:
        handle = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    except OSError:
        return
    try:
        yield from _walk(handle, path, depth)
    finally:
        os.close(handle)
