"""Where the box's local admin page takes the root of the installation to be.

It is `NEOPRO_DIR` of its unit, or else the folder above its own program: once that lies in a release, it would take the
release for the box, show no videos and put what is uploaded where the next release does away with it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from reconciler_agent.errors import ReleaseNotAdopted
from reconciler_agent.services import ServiceManager

ADMIN: Final = "neopro-admin"
VARIABLE: Final = "NEOPRO_DIR"


def misled(named: str | None, root: Path) -> str:
    """What is wrong with a unit that names this root, and what to do; empty where nothing is."""
    if named is not None and Path(named) == root:
        return ""
    says = f"no {VARIABLE}" if named is None else f"{VARIABLE}={named}"
    return f"{ADMIN} has {says}; write Environment={VARIABLE}={root} under [Service] by `systemctl edit {ADMIN}`"


class AdminUnit:
    """The unit of the admin page of the box at `root`; `present`: there is such a page."""

    def __init__(self, services: ServiceManager, root: Path, present: bool) -> None:
        self._services = services
        self._root = root
        self._present = present

    def require_root(self) -> None:
        """ReleaseNotAdopted unless the admin page would stay on the box's root when its program moves."""
        given: Mapping[str, str] | None = self._services.environment(ADMIN) if self._present else None
        if given is None:
            return
        if wrong := misled(given.get(VARIABLE), self._root):
            raise ReleaseNotAdopted(
                f"cannot adopt what was installed by hand: {wrong}, then `systemctl restart {ADMIN}`"
            )
