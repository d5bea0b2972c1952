"""What the box's services must be able to read and to write, and may not: nginx answers 403 then, and the screen dies.

Files 0644, folders 0755, of the box's owner. Putting that right changes nothing that anybody sees, so it waits for
nothing.
"""

import os
import posixpath
import stat
from collections.abc import Iterable, Sequence

from reconciler_agent.durable import Disk
from reconciler_agent.resources.content import Ledger


class Access:
    """Modes and owners on the box whose root is that of `disk`."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._folders: tuple[Ledger, list[str]] = ({}, [])

    def closed(self, ledger: Ledger, configuration: str) -> list[str]:
        """What of the configuration (it lies at this path) and of the folders of content is closed."""
        if self._folders[0] is not ledger:
            self._folders = (ledger, _above(ledger))
        paths = [configuration, posixpath.dirname(configuration), "data", *self._folders[1]]
        return [path for path in dict.fromkeys(paths) if self._is_closed(path)]

    def _is_closed(self, path: str) -> bool:
        """One bare `lstat`, in every round; whoever opens it up walks there without following a link."""
        try:
            found = os.lstat(f"{self._disk.root}/{path}")
        except OSError:
            return False
        owner = self._disk.owner
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            return False
        return lacks_bits(found.st_mode) or (owner is not None and (found.st_uid, found.st_gid) != owner)

    def open_up(self, paths: Sequence[str]) -> None:
        """Put it right."""
        for path in paths:
            found = self._disk.stat(path)
            if found is not None:
                self._disk.open_up(path, stat.S_IMODE(found.st_mode) | _wanted_bits(found.st_mode))


def lacks_bits(mode: int) -> bool:
    """Whether a mode keeps others from reading a file, or from entering a folder."""
    return mode & _wanted_bits(mode) != _wanted_bits(mode)


def _wanted_bits(mode: int) -> int:
    return 0o755 if stat.S_ISDIR(mode) else 0o644


def _above(paths: Iterable[str]) -> list[str]:
    """The folders that these paths go through, outer ones first."""
    found: dict[str, None] = {}
    for path in paths:
        parts = path.split("/")[:-1]
        found |= {"/".join(parts[:end]): None for end in range(1, len(parts) + 1)}
    return sorted(found)
