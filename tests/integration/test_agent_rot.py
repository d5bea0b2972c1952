"""Files that rot: a byte changes on the disk. What `stat` tells is seen at once, the rest within a week of rounds."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from msgspec.structs import replace

from reconciler_agent.core.turns import HOURS_OF_A_WEEK
from reconciler_agent.state import sign
from schemas.manifest import ReleaseTarget
from tests.crash.disks import Ext4, why_no_ext4
from tests.support.agent_world import AgentWorld, application, clip, manifest_of

DATA = [f"clip number {number} ".encode() * 200 for number in range(7)]
CLIPS = [clip(f"clip-{number}", data) for number, data in enumerate(DATA)]
MODULE = b"print('a module that no other release has')\n" * 50
ROTTEN_CLIP, ROTTEN_MODULE = CLIPS[3][0].path, "server/module"


def converged(folder: Path) -> tuple[AgentWorld, ReleaseTarget]:
    """A box with seven videos and a release of a few files."""
    world = AgentWorld(folder)
    for data in DATA:
        world.central.add(data)
    release = world.central.add_release("1.0.0", application("1.0.0", server__module=MODULE))
    world.central.publish(manifest_of(CLIPS, release))
    world.converge()
    assert world.conditions()["Synced"] == ("True", "Converged")
    return world, release


def is_sound(world: AgentWorld) -> bool:
    return (world.root / ROTTEN_CLIP).read_bytes() == DATA[3] and (world.root / ROTTEN_MODULE).read_bytes() == MODULE


def flip(path: Path) -> None:
    """Change one byte in place, and set the time of the last change back."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(100)
        byte = file.read(1)
        file.seek(100)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def hours_until(found: Callable[[], bool], world: AgentWorld) -> int:
    """Rounds of one agent, an hour apart, until it is so."""
    with world.agent() as agent:
        for hour in range(1, HOURS_OF_A_WEEK + 2):
            world.clock.sleep(3600)
            world.settle(agent)
            if found():
                return hour
    raise AssertionError("a week has passed")


def test_byte_flipped_with_its_mtime_kept_is_repaired_in_the_next_round(tmp_path: Path) -> None:
    world, _ = converged(tmp_path)
    for path in (ROTTEN_CLIP, ROTTEN_MODULE):
        flip(world.root / path)
    world.converge()
    assert is_sound(world)


def test_rot_that_no_stat_tells_of_is_repaired_within_a_week_of_rounds(tmp_path: Path) -> None:
    world, release = converged(tmp_path)
    for path in (ROTTEN_CLIP, ROTTEN_MODULE):
        flip(world.root / path)
    with world.agent() as agent:  # what `stat` says now is what it said when they were sound
        state = agent.store.state
        entry = replace(state.ledger[ROTTEN_CLIP], signature=sign((world.root / ROTTEN_CLIP).stat()))
        agent.store.keep(replace(state, ledger={**state.ledger, ROTTEN_CLIP: entry}))
        listing = agent.store.listing(release.tree)
        assert listing is not None
        agent.store.keep_signatures(
            release.tree, [sign((world.root / "current" / f.path).stat()) for f in listing.files]
        )
    world.converge()
    assert not is_sound(world)

    assert 1 < hours_until(lambda: is_sound(world), world) <= HOURS_OF_A_WEEK
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_rot_is_found_also_when_each_round_is_a_process_of_its_own(tmp_path: Path) -> None:
    world, _ = converged(tmp_path)
    flip(world.root / ROTTEN_CLIP)
    with world.agent() as agent:
        state = agent.store.state
        entry = replace(state.ledger[ROTTEN_CLIP], signature=sign((world.root / ROTTEN_CLIP).stat()))
        agent.store.keep(replace(state, ledger={**state.ledger, ROTTEN_CLIP: entry}))
    rounds = 0
    while not is_sound(world):
        rounds += 1
        assert rounds <= HOURS_OF_A_WEEK
        world.clock.sleep(3600)
        world.converge()
    assert rounds > 1


def test_box_that_was_off_for_a_week_looks_at_a_day_of_its_files_and_no_more(tmp_path: Path) -> None:
    world, _ = converged(tmp_path)
    with world.agent() as agent:
        world.clock.sleep(7 * 24 * 3600)
        world.settle(agent)
        assert agent.store.state.deep == 24


def test_bit_that_rots_on_a_real_disk_is_repaired_within_a_week_of_rounds(tmp_path: Path) -> None:
    if reason := why_no_ext4():
        pytest.skip(reason)
    disk = Ext4(tmp_path)
    with disk.running(disk.empty):
        world, _ = converged(disk.root / "box")
        before = {path: sign((world.root / path).stat()) for path in (ROTTEN_CLIP, ROTTEN_MODULE)}
    image = disk.image.read_bytes()
    for data in (DATA[3], MODULE):
        place = image.index(data) + 100
        image = image[:place] + bytes([image[place] ^ 1]) + image[place + 1 :]
    with disk.running(zstandard.compress(image)):
        assert not is_sound(world)
        assert {path: sign((world.root / path).stat()) for path in before} == before
        world.converge()
        assert not is_sound(world)

        assert 1 < hours_until(lambda: is_sound(world), world) <= HOURS_OF_A_WEEK
