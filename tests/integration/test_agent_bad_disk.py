"""A disk that takes nothing any more: the box plays on, the control plane hears why, and all is well afterwards."""

import errno
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler_agent.errors import ServiceFailed
from reconciler_agent.loop import Loop
from reconciler_agent.services import UnitState
from reconciler_agent.state import COPIES
from reconciler_agent.system_calls import SYSTEM
from schemas.status import StatusReport
from tests.crash.told import Told
from tests.support.agent_world import AgentWorld, application, clip, manifest_of

A, B = (clip(letter, letter.encode() * 1000) for letter in "ab")


class Disk:
    """Every call that would make something new fails with `error` while there is one."""

    def __init__(self) -> None:
        self.error = 0
        self.calls = SYSTEM._replace(
            create=self._failing(SYSTEM.create), mkdir=self._failing(SYSTEM.mkdir), write=self._failing(SYSTEM.write)
        )

    def _failing(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, **named: Any) -> Any:
            if self.error:
                raise OSError(self.error, "as the test has it")
            return call(*arguments, **named)

        return made


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    made = AgentWorld(tmp_path)
    for letter in "ab":
        made.central.add(letter.encode() * 1000)
    return made


def run_until_reported(world: AgentWorld, loop: Loop, reason: str) -> None:
    """Let the agent live until it reports to be Degraded for this reason; fails after a while."""
    keep, heard = world.central.report, []

    def report(said: StatusReport) -> None:
        keep(said)
        if world.conditions()["Degraded"] == ("True", reason):
            heard.append(said)
            loop.stop()

    world.central.report = report  # type: ignore[method-assign]
    patience = threading.Timer(20, loop.stop)
    patience.start()
    loop.run_forever()
    patience.cancel()
    world.central.report = keep  # type: ignore[method-assign]
    assert heard, world.conditions()


@pytest.mark.parametrize(("error", "reason"), [(errno.ENOSPC, "DiskFull"), (errno.EROFS, "DiskFault")])
def test_disk_that_takes_nothing_is_reported_by_name_and_overcome(world: AgentWorld, error: int, reason: str) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    disk = Disk()
    with world.agent(disk.calls) as agent:
        world.settle(agent)
        disk.error = error
        world.central.publish(manifest_of([A, B]))
        world.units.calls.clear()
        run_until_reported(world, agent.loop, reason)
        disk.error = 0

    assert (world.active(), world.units.calls) == ("1.0.0", [])
    world.converge()
    assert world.conditions()["Synced"] == ("True", "Converged")
    assert (world.root / B[0].path).exists()


class FailingSwitch:
    """fsync fails the next `times` times that it follows a switch of `current`."""

    def __init__(self, times: int) -> None:
        self.left = times
        self._switched = False
        self.calls = SYSTEM._replace(rename=self._rename, fsync=self._fsync)

    def _rename(self, name: str, final: str, **folders: int) -> None:
        SYSTEM.rename(name, final, **folders)
        self._switched = final == "current"

    def _fsync(self, handle: int) -> None:
        if self._switched and self.left:
            self.left -= 1
            raise OSError(errno.EIO, "as the test has it")
        SYSTEM.fsync(handle)


def test_disk_that_fails_in_the_middle_of_a_switch_is_not_held_against_the_release(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.central.publish(manifest_of([A], world.central.add_release("2.0.0", application("2.0.0"))))
    switch = FailingSwitch(times=1)

    with world.agent(switch.calls) as agent:
        world.settle(agent)
    world.converge()

    assert switch.left == 0
    assert world.active() == "2.0.0"
    assert world.conditions()["Synced"] == ("True", "Converged")
    assert agent.store.state.releases.bad is None


class FailingState:
    """The state can be written so many times, and no more."""

    def __init__(self, times: int) -> None:
        self.left = times
        self.calls = SYSTEM._replace(rename=self._rename)

    def _rename(self, name: str, final: str, **folders: int) -> None:
        if final in COPIES:
            self.left -= 1
            if self.left < 0:
                raise OSError(errno.EIO, "as the test has it")
        SYSTEM.rename(name, final, **folders)


@pytest.mark.parametrize("times", range(7))
def test_nothing_is_told_that_the_disk_did_not_keep(world: AgentWorld, times: int) -> None:
    world.central.publish(manifest_of([A], config={"liveScoreEnabled": True}))
    world.converge()
    world.central.publish(manifest_of([A], config={"liveScoreEnabled": False}))
    take, early = world.central.report, []

    def report(said: StatusReport) -> None:
        try:
            Told().and_by([said]).require_known(world.settings)
        except AssertionError as problem:
            early.append(str(problem))
        take(said)

    world.central.report = report  # type: ignore[method-assign]
    state = FailingState(times)
    with world.agent(state.calls) as agent:
        run_until_reported(world, agent.loop, "DiskFault")

    assert state.left < 0
    assert early == []


@pytest.mark.parametrize(("times", "held"), [(1, False), (2, False), (3, True)])
@pytest.mark.parametrize("what", ["disk", "services"])
def test_way_back_has_three_tries_and_then_the_box_is_held(
    world: AgentWorld, what: str, times: int, held: bool
) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.central.publish(manifest_of([A], world.central.add_release("2.0.0", application("2.0.0"))))
    world.units.sick = lambda: world.active() == "2.0.0"

    def goes_back() -> bool:
        under_way = agent.store.state.releases.attempt
        return under_way is not None and under_way.back

    left, restart = [times], world.units.restart

    def fails(here: str) -> bool:
        met = what == here and goes_back() and left[0] > 0
        left[0] -= met
        return met

    def refuse(unit: str) -> UnitState:
        if fails("services"):
            raise ServiceFailed(f"cannot restart {unit}: as the test has it")
        return restart(unit)

    def rename(name: str, final: str, **folders: int) -> None:
        if final == "current" and fails("disk"):
            raise OSError(errno.EIO, "as the test has it")
        SYSTEM.rename(name, final, **folders)

    world.units.restart = refuse  # type: ignore[method-assign]
    with world.agent(SYSTEM._replace(rename=rename)) as agent:
        for _ in range(5):
            world.settle(agent)
        releases = agent.store.state.releases

    assert left == [0]
    assert releases.bad is not None and releases.bad.reason == "ReleaseUnhealthy"
    assert releases.held is held
    if not held:
        assert world.active() == "1.0.0"
        assert world.conditions()["ReleaseHealthy"] == ("True", "Healthy")
