"""A box for which three clips are to be had, and what a test looks at on it."""

import os
from pathlib import Path

from tests.support.agent_world import AgentWorld, clip

A, B, C = (clip(letter, letter.encode() * 1000) for letter in "abc")


def world_of_clips(folder: Path) -> AgentWorld:
    """The box and its control plane, which has the three blobs."""
    made = AgentWorld(folder)
    for letter in "abc":
        made.central.add(letter.encode() * 1000)
    return made


def snapshot(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Everything that a write would change, of everything there."""
    found = {str(p.relative_to(folder)): p.lstat() for p in sorted(folder.rglob("*"))}
    return {path: (s.st_ino, s.st_mtime_ns, s.st_ctime_ns) for path, s in found.items()}


def reasons(world: AgentWorld) -> list[str]:
    """Of every event that was told, in order."""
    return [event.reason for report in world.central.reports for event in report.events]


def delete_video(world: AgentWorld) -> None:
    """The first clip is gone."""
    (world.root / A[0].path).unlink()


def edit_release_keeping_its_times(world: AgentWorld) -> None:
    """Only its bytes tell that the release was edited: not its size, not its times."""
    path = world.root / "server/app.py"
    found = path.stat()
    path.write_bytes(b"y" * found.st_size)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
