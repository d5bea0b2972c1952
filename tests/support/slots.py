"""Slots of the agent, made by hand: a folder, its listing beside it, and the name that its digest gives it."""

import hashlib
import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler_agent import launcher
from schemas.manifest import FileTree, TreeFile, encode_canonical
from schemas.names import digest_of

LAUNCHER = Path(launcher.__file__)


def listing_of(files: Mapping[str, bytes]) -> bytes:
    """The listing of these files, as it is signed and kept."""
    listed = [
        TreeFile(path=path, mode="0644", size_bytes=len(data), digest=digest_of(data))
        for path, data in sorted(files.items(), key=lambda item: item[0].encode())
    ]
    return encode_canonical(FileTree(schema=1, files=listed))


def slot_files(version: str, start: str, **more: bytes) -> dict[str, bytes]:
    """The files of a release whose `start.py` is this script."""
    return {"VERSION": f"{version}\n".encode(), "start.py": start.encode(), "any/part.py": b"PART = 1\n", **more}


def make_slot(slots: Path, version: str, start: str = "", **more: bytes) -> str:
    """A slot on the disk whose `start.py` is this script; its name."""
    return lay_slot(slots, version, slot_files(version, start, **more))


def lay_slot(slots: Path, version: str, files: Mapping[str, bytes]) -> str:
    """A slot on the disk with these files; its name."""
    listing = listing_of(files)
    name = f"{version}-{hashlib.sha256(listing).hexdigest()[:8]}"
    for path, data in files.items():
        (slots / name / path).parent.mkdir(parents=True, exist_ok=True)
        (slots / name / path).write_bytes(data)
    (slots / f"{name}.json").write_bytes(listing)
    return name


def point(slots: Path, link: str, name: str) -> None:
    """Let `good` or `previous` lead to a slot."""
    (slots / link).unlink(missing_ok=True)
    (slots / link).symlink_to(name)


def trial_of(name: str, **changed: Any) -> dict[str, Any]:
    """A trial as an agent writes it."""
    trial = {"slot": name, "lives": 0, "boot": "", "stood": False, "failed": "", "url": "", "ca": "", "within_s": 900}
    return trial | changed


def put_trial(slots: Path, name: str, **changed: Any) -> None:
    """Put a slot on trial."""
    (slots / "trial.json").write_text(json.dumps(trial_of(name, **changed)))


def launcher_in(folder: Path) -> list[str]:
    """The command that calls a launcher which lies in `folder`, beside `slots`."""
    place = folder / "launcher"
    place.write_bytes(LAUNCHER.read_bytes())
    (folder / "slots").mkdir(exist_ok=True)
    return [sys.executable, "-I", "-S", str(place)]


OTHER_MACHINE = "x86_64" if platform.machine() != "x86_64" else "aarch64"
