"""The agent's software on a box, from the bundle (or the slot) that this process was started from; `launcher` says why.

/opt/neopro-agent/launcher       what the unit starts
/opt/neopro-agent/slots/         the releases of the agent; the agent itself can write here
/usr/local/bin/neopro-agent      → the launcher, for people
"""

import os
import sys
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

import reconciler_agent
from reconciler_agent import launcher
from reconciler_agent.errors import SettingsInvalid
from reconciler_agent.install.steps import Step
from reconciler_agent.install.target import Target
from schemas.manifest import FileTree, TreeFile, encode_canonical
from schemas.names import Version, digest_of

FOLDER: Final = Path("/opt/neopro-agent")
LAUNCHER: Final = FOLDER / "launcher"
SLOTS: Final = FOLDER / "slots"
COMMAND: Final = Path("/usr/local/bin/neopro-agent")
PYTHON: Final = Path("/usr/bin/python3")
_CACHES: Final = "__pycache__"


class Bundle(NamedTuple):
    """A release of the agent in a folder. `slot`: the name that its files give it; `listing`: of all of them."""

    folder: Path
    slot: str
    listing: bytes
    files: tuple[TreeFile, ...]

    @property
    def version(self) -> Version:
        """Of the agent."""
        return self.slot.rpartition("-")[0]


def find_bundle() -> Bundle | None:
    """What this process was started from; None for an environment of packages, which cannot update itself.

    SettingsInvalid when its files are not those that it was made of: its folder bears the digest of their listing.
    """
    folder = Path(reconciler_agent.__file__).resolve().parents[2]
    return read_bundle(folder) if (folder / launcher.START).is_file() else None


def read_bundle(folder: Path) -> Bundle:
    """The bundle, or the slot, in a folder."""
    kept = folder.with_name(f"{folder.name}.json")
    body = kept.read_bytes() if kept.is_file() else encode_canonical(_list(folder))
    version = (folder / "VERSION").read_text().strip()
    slot = f"{version}-{digest_of(body).partition(':')[2][:8]}"
    if not folder.name.endswith(slot):
        raise SettingsInvalid(
            f"cannot install from {folder}: its files are not those that it was made of; copy the bundle anew, and"
            " unpack it under its own name"
        )
    return Bundle(folder, slot, body, tuple(msgspec.json.decode(body, type=FileTree).files))


def software_steps(target: Target, bundle: Bundle, *, image: bool) -> list[Step]:
    """The steps that lay the agent's software; `image`: for whatever machine it will run on."""
    folder, slots = target.at(SLOTS), f"{SLOTS}/{bundle.slot}"
    wanted = [file for file in bundle.files if image or launcher.is_needed(file.path)]

    def is_laid() -> bool:
        there = all((folder / bundle.slot / file.path).is_file() for file in wanted)
        return there and launcher.is_whole(folder, bundle.slot)

    def lay() -> None:
        target.put(Path(f"{slots}.json"), bundle.listing, 0o600)
        target.put_tree(Path(slots), {file.path: bundle.folder / file.path for file in wanted})

    return [
        Step(f"make {SLOTS}, for its owner alone", lambda: target.has_folder(SLOTS, 0o700), lambda: _make(target)),
        Step(f"lay agent {bundle.version} into {slots}", is_laid, lay),
        Step(
            f"write {LAUNCHER}, which starts it",
            lambda: target.holds(LAUNCHER, _launcher(target, image), 0o755),
            lambda: target.put(LAUNCHER, _launcher(target, image), 0o755),
        ),
        Step(
            f"make agent {bundle.version} the one that is started",
            lambda: target.look(SLOTS / launcher.GOOD).target == bundle.slot,
            lambda: _point(target, bundle.slot),
        ),
        Step(
            f"let {COMMAND} call it",
            lambda: target.look(COMMAND).target == str(LAUNCHER),
            lambda: target.link(COMMAND, str(LAUNCHER)),
        ),
    ]


def removal_steps(target: Target) -> list[Step]:
    """What is left of the software when all else was put back; the last of all, as a release of it may be running."""
    command = target.look(COMMAND).target == str(LAUNCHER)
    paths = [path for path in (LAUNCHER, SLOTS) if target.at(path).exists()]
    return [_removed(target, path) for path in ([COMMAND] if command else []) + paths]


def _removed(target: Target, path: Path) -> Step:
    return Step(f"remove {path}", lambda: not os.path.lexists(target.at(path)), lambda: target.remove(path))


def _make(target: Target) -> None:
    target.make_folder(FOLDER, 0o755)
    target.make_folder(SLOTS, 0o700)


def _point(target: Target, slot: str) -> None:
    """The former slot is the one to go back to; what is on trial is no more. What makes it so is the last."""
    before = target.look(SLOTS / launcher.GOOD).target
    if before:
        target.link(SLOTS / launcher.PREVIOUS, before)
    target.remove(SLOTS / launcher.TRIAL)
    target.link(SLOTS / launcher.GOOD, slot)


def _launcher(target: Target, image: bool) -> bytes:
    """The launcher, for the system's own Python; where another one runs this, for that one."""
    own = PYTHON if image or _is_system(target) else Path(sys.executable)
    _, _, rest = Path(launcher.__file__).read_bytes().partition(b"\n")
    return f"#!{own} -IS\n".encode() + rest


def _is_system(target: Target) -> bool:
    return target.at(PYTHON).exists() and target.at(PYTHON).resolve() == Path(sys.executable).resolve()


def _list(folder: Path) -> FileTree:
    """The listing of an unpacked bundle; what Python may have left beside it does not belong to it."""
    found = {
        path.relative_to(folder).as_posix(): path
        for path in folder.rglob("*")
        if path.is_file() and _CACHES not in path.parts
    }
    files = [
        TreeFile(path=path, mode="0644", size_bytes=place.stat().st_size, digest=launcher.digest(place))
        for path, place in sorted(found.items(), key=lambda item: item[0].encode())
    ]
    return FileTree(schema=1, files=files)
