"""An adoption that is cut off, has no room, meets who writes there, or a disk that cannot: the box plays on."""

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler_agent.resources.trees import LINKS
from reconciler_agent.state import COPIES
from reconciler_agent.system_calls import SYSTEM
from schemas.manifest import ManifestMaintenance, ManifestWindow
from schemas.trust import AllowedRelease
from tests.support.agent_world import AgentWorld, manifest_of
from tests.support.hand_installed import NEW, install_by_hand, offer, plays


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    made = AgentWorld(tmp_path)
    install_by_hand(made.root, made.club)
    return made


def test_every_instant_of_the_adoption_leads_to_what_was_there(world: AgentWorld) -> None:
    before = plays(world.root)
    del before["server/.env"]
    seen: list[str] = []
    offer(world)

    def looking(name: str) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            result = getattr(SYSTEM, name)(*arguments, **options)
            found = plays(world.root)
            if found.get("VERSION") == b"v1.0.8\n":
                seen.append(name)
                assert {path: found.get(path) for path in before} == before
            assert json.loads((world.root / "webapp/configuration.json").read_bytes())["auth"] == world.club["auth"]
            return result

        return call

    calls = SYSTEM._replace(**{name: looking(name) for name in ("exchange", "rename", "symlink", "unlink")})
    with world.agent(calls) as agent:
        world.settle(agent)

    assert world.active() == "2.0.0"
    assert seen.count("exchange") >= 6


def test_agent_that_was_cut_off_in_the_middle_goes_on_outside_of_any_window(world: AgentWorld) -> None:
    before = plays(world.root)

    class Cut(Exception):
        pass

    def once(*arguments: object) -> None:
        if (world.root / "webapp").is_symlink():
            raise Cut
        SYSTEM.exchange(*arguments)  # type: ignore[arg-type]

    offer(world)
    with pytest.raises(Cut), world.agent(SYSTEM._replace(exchange=once)) as agent:
        world.settle(agent)
    assert (world.root / "webapp").is_symlink()
    assert not (world.root / "server").is_symlink()
    assert plays(world.root) == before

    target = world.central.add_release("2.0.0", {**NEW, "VERSION": b"2.0.0\n"})
    window = ManifestMaintenance(windows=[ManifestWindow(kind="idle", idle_s=3600)])
    world.central.publish(manifest_of([], target, maintenance=window))
    world.converge()

    assert plays(world.root).items() >= {k: v for k, v in before.items() if k != "server/.env"}.items()
    assert (world.root / "server").is_symlink()
    assert [w.reason for w in world.central.reports[-1].waiting] == ["OutsideWindow"]


def test_release_for_which_there_is_no_room_changes_nothing(world: AgentWorld) -> None:
    before = plays(world.root)
    huge = replace(world.central.add_release("2.0.0", {**NEW, "server/huge.bin": b"x"}), size_bytes=10)
    listing = world.central.blobs[huge.tree].replace(b'"size_bytes":1,', b'"size_bytes":9000000000000000,')
    tree = world.central.add(listing)
    world.central.allowed.append(AllowedRelease(kind="app", version="2.0.0", tree=tree))
    world.central._allow()
    world.central.publish(manifest_of([], replace(huge, tree=tree)))

    world.converge()

    assert world.conditions()["Degraded"] == ("True", "DiskFull")
    assert plays(world.root) == before
    assert not (world.root / "current").is_symlink()


def test_file_system_that_cannot_exchange_leaves_the_box_playing(world: AgentWorld) -> None:
    def cannot(*_arguments: object) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    before = plays(world.root)
    offer(world)
    with world.agent(SYSTEM._replace(exchange=cannot)) as agent:
        world.settle(agent)

    assert plays(world.root) == before
    assert world.conditions()["Degraded"] == ("True", "DiskFault")


def test_state_that_is_lost_in_the_middle_does_not_keep_the_adoption_from_its_end(world: AgentWorld) -> None:
    before = plays(world.root)
    offer(world)

    def once(*arguments: object) -> None:
        if (world.root / "webapp").is_symlink():
            raise KeyboardInterrupt
        SYSTEM.exchange(*arguments)  # type: ignore[arg-type]

    with pytest.raises(KeyboardInterrupt), world.agent(SYSTEM._replace(exchange=once)) as agent:
        world.settle(agent)
    for name in COPIES:
        (world.folder / "state" / name).write_bytes(b"")

    world.central.publish(manifest_of([]))
    world.converge()

    assert plays(world.root) == before
    assert all((world.root / name).is_symlink() for name in LINKS)


def test_somebody_who_writes_there_is_waited_for(world: AgentWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    log, read = world.root / "server/app.log", os.read
    log.write_bytes(b"")
    writes = [True]

    def while_it_grows(handle: int, size: int) -> bytes:
        found = read(handle, size)
        if writes[0] and not found and os.fstat(handle).st_ino == log.stat().st_ino:
            with log.open("ab") as file:
                file.write(b"a line\n")
        return found

    monkeypatch.setattr(os, "read", while_it_grows)
    offer(world)
    world.converge()
    assert world.conditions()["Degraded"] == ("True", "ReleaseNotAdopted")
    message = next(c.message for c in world.central.reports[-1].conditions if c.type == "Degraded")
    assert "somebody writes server/app.log just now" in message
    assert not (world.root / "current").is_symlink()

    writes[0] = False
    world.converge()
    assert world.active() == "2.0.0"


def test_adopted_release_that_is_damaged_while_it_runs_is_told_and_no_trouble_with_the_network(
    world: AgentWorld,
) -> None:
    world.units.sick = lambda: (world.root / "VERSION").read_bytes() == b"2.0.0\n"
    offer(world)
    world.converge()
    (world.root / "server/app.py").write_bytes(b"torn")
    (world.root / "server/stray.js").write_bytes(b"left by a copy")

    world.converge()

    assert world.conditions()["Connected"] == ("True", "Polling")
    synced = next(c for c in world.central.reports[-1].conditions if c.type == "Synced")
    assert synced.reason == "DigestMismatch"
    assert "server/app.py" in synced.message
    assert "it was installed by hand, and nobody else has it" in synced.message
    assert not (world.root / "server/stray.js").exists(), "the rest is put right"
