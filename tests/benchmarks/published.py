"""Releases that somebody really published, for `release-update-bytes`: what npm installs by the lock files beside this.

    express-2024-02 -> -04      a server on Express and Socket.IO, its direct dependencies as they stood in February and
                                in April 2024, with a page whose files are called by a hash of their content alone
                                (`@bull-board/ui`)
    homebridge-ui-5.9 -> 5.10   a whole application of Raspberry Pis, one release to the next: Node, NestJS, Socket.IO,
                                Angular, some 300 packages (`homebridge-config-ui-x`)

A box's release is laid out like that: `server/` with its node_modules, `webapp/` with the page. Nothing of theirs is
run, and nothing kept.
"""

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.release_pairs import Files

LOCKS: Final = Path(__file__).parent / "releases"
NPM: Final = ("npm", "ci", "--omit=optional", "--omit=peer", "--ignore-scripts", "--no-audit", "--no-fund")
PATIENCE_S: Final = 300.0


class Pair(NamedTuple):
    """Two releases by the folders of their lock files; `page`: the folder beneath node_modules that is the page.

    `page_alone`: the server stays.
    """

    base: str
    target: str
    page: str
    page_alone: bool = False

    def releases(self) -> tuple[Files, Files]:
        """The files of both; NotInstalled."""
        base, target = (files_of(name, self.page) for name in (self.base, self.target))
        if self.page_alone:
            target = _part(base, "server/") | _part(target, "webapp/")
        return base, target


PAIRS: Final = {
    "Express server and page, two months": Pair("express-2024-02", "express-2024-04", "@bull-board/ui/dist"),
    "its page alone": Pair("express-2024-02", "express-2024-04", "@bull-board/ui/dist", page_alone=True),
    "Node and Angular application, one release": Pair(
        "homebridge-ui-5.9.0", "homebridge-ui-5.10.0", "homebridge-config-ui-x/public"
    ),
}


class NotInstalled(Exception):
    """npm is missing, or could not fetch something; the message says which and why."""


@cache
def files_of(name: str, page: str) -> dict[str, bytes]:
    """The files of a release, laid out as a box's, not to be changed; NotInstalled."""
    if shutil.which("npm") is None:
        raise NotInstalled("npm is missing")
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as folder:
        for source in (LOCKS / name).glob("package*.json"):
            shutil.copy(source, folder)
        try:
            done = subprocess.run(NPM, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        except subprocess.TimeoutExpired:
            raise NotInstalled(f"npm did not install {name} within {PATIENCE_S:.0f} s") from None
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no reason given"]
            raise NotInstalled(f"npm cannot install {name}: {said[0][:200]}")
        root = Path(folder) / "node_modules"
        found = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        return {_place(path.relative_to(root).as_posix(), page): path.read_bytes() for path in found}


def _part(files: Files, folder: str) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if path.startswith(folder)}


def _place(path: str, page: str) -> str:
    return f"webapp{path.removeprefix(page)}" if path.startswith(f"{page}/") else f"server/node_modules/{path}"
