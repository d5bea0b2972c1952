"""A box's round with nothing to do: 50 videos and a release of 2,000 files, beside `stat` and compare of them.

A minute passes between two rounds: one in 60 is the hourly checkpoint, with its part of the digests. CPU time in the
process; the services' and the network's share is apart (they are answered in memory here).
"""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from reconciler_agent.core.report import Round
from tests.benchmarks.measure import Row, median_cpu_s, row
from tests.support.agent_world import AgentWorld, application, clip, manifest_of

VIDEOS = 50
FILES = 2_000
ROUNDS = 101


def measure(names: list[str]) -> list[Row]:
    """The one figure of this module."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as folder:
        world = furnished(Path(folder))
        with world.agent() as agent:
            settled = world.settle(agent)
            assert not settled.failures, settled.failures
            envelope = world.central.envelope
            idle: list[Round] = []

            def rest() -> None:
                world.clock.sleep(60.0)
                idle.append(agent.loop.reconcile_once(envelope))

            round_s = median_cpu_s(rest, ROUNDS)
            assert not any(found.working or found.failures for found in idle)
            floor_s = median_cpu_s(stat_and_compare(world), ROUNDS)
    note = f"{VIDEOS} videos, {FILES} release files; floor: stat and compare of the same"
    return [r for r in [row("agent-idle-round-cpu", round_s * 1e3, "ms CPU", floor_s * 1e3, note)] if r.name in names]


def furnished(folder: Path) -> AgentWorld:
    """A box whose manifest wants 50 videos of 100 kB and a release of 2,000 files of 32 kB."""
    world = AgentWorld(folder)
    clips = []
    for number in range(VIDEOS):
        data = os.urandom(100_000)
        world.central.add(data)
        clips.append(clip(f"clip-{number}", data))
    bodies = {f"server__modules__m{n // 100}__f{n}.js": os.urandom(32_000) for n in range(FILES - 6)}
    target = world.central.add_release("1.0.0", application("1.0.0", **bodies), settle_s=0)
    world.central.publish(manifest_of(clips, target))
    return world


def stat_and_compare(world: AgentWorld) -> Callable[[], None]:
    """The floor: one `stat` of every file, compared with what it was."""
    tree = world.root / (world.root / "current").readlink()
    content = [p for p in (world.root / "videos").rglob("*.mp4") if p != world.club_video]
    paths = [str(p) for p in [*content, *tree.rglob("*")] if p.is_file() and not p.is_symlink()]
    assert len(paths) == VIDEOS + FILES, len(paths)
    configuration = str(world.root / "data" / "configuration.json")

    def signature(path: str) -> tuple[int, int, int, int]:
        found = os.stat(path)  # noqa: PTH116 - the floor is the bare call
        return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns

    known = {path: signature(path) for path in [*paths, configuration]}
    json.loads(Path(configuration).read_bytes())

    def compare() -> None:
        assert not [path for path, was in known.items() if signature(path) != was]

    return compare
