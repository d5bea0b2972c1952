"""The agent's own update, cut off anywhere: by itself or in the launcher, which starts it from whatever it finds."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from reconciler_agent import launcher
from reconciler_agent.beginning import read_state
from reconciler_agent.system_calls import SYSTEM, Calls
from tests.crash.scenario import Scenario
from tests.support.agent_world import manifest_of
from tests.support.slots import make_slot, point, slot_files

SHARED = {"any/shared.py": b"SHARED = 1\n" * 100}
MOST_STARTS = 8
"""How often the service manager starts the agent in one life of the machine, at most."""


class SelfUpdate(Scenario):
    """From one release of the agent to the next: staged, on trial, proved; several starts of it in one life."""

    name = "self-update"
    old = None
    ends_well = True

    def _prepare(self) -> None:
        self.former = make_slot(self.template / "agent" / "slots", "1.0.0", "old", **SHARED)
        point(self.template / "agent" / "slots", launcher.GOOD, self.former)
        target = self.world.central.add_agent("2.0.0", slot_files("2.0.0", "new", **SHARED))
        self.wanted = f"2.0.0-{target.tree[7:15]}"
        self.world.slot = self.template / "agent" / "slots" / self.former
        self.world.central.publish(manifest_of([]))
        self.world.converge()
        self.world.central.publish(manifest_of([], agent=target))

    def update(self, calls: Calls = SYSTEM) -> None:
        """Starts of the agent by the launcher, until one stays."""
        slots = self.work / "agent" / "slots"
        world = self.world
        world.settings = self.settings()
        for _ in range(MOST_STARTS):
            with _launched(calls):
                chosen = launcher.choose(slots, "a boot")
            if chosen.name == self.wanted and not self.ends_well:
                continue  # it crashed
            world.slot = slots / chosen.name
            with world.agent(calls) as agent:
                world.settle(agent)
                world.settle(agent)
            if launcher.read_trial(slots) is None:
                return

    def require_playable(self) -> None:
        """What the launcher would start is whole, and is the old agent or the new one."""
        slots = self.work / "agent" / "slots"
        assert self.look()["configuration"] in (self.before, self.after)
        good = launcher.link(slots, launcher.GOOD)
        assert good in (self.former, self.wanted), f"the good slot is {good!r}"
        assert launcher.is_whole(slots, good), "the good slot is not whole"
        trial = launcher.read_trial(slots)
        assert trial is None or trial["failed"] or launcher.is_whole(slots, trial["slot"]), "the trial is not whole"

    def require_converged(self) -> None:
        self.require_playable()
        slots = self.work / "agent" / "slots"
        state = read_state(self.settings())
        assert state is not None
        ends_on, before = (self.wanted, self.former) if self.ends_well else (self.former, "")
        assert (launcher.link(slots, launcher.GOOD), launcher.link(slots, launcher.PREVIOUS)) == (ends_on, before)
        assert (state.agent.bad is None) == self.ends_well
        assert not (slots / launcher.TRIAL).exists()
        left = [path for path in (slots / ".work").rglob("*") if path.is_file()]
        assert not left, f"left behind: {left}"


class FailedSelfUpdate(SelfUpdate):
    """The new agent crashes each time: the old one runs in the end, and remembers."""

    name = "failed self-update"
    ends_well = False


@contextmanager
def _launched(calls: Calls) -> Iterator[None]:
    """The launcher, with the calls by which it changes the file system among those that are counted."""

    def opened(path: Any, flags: int, mode: int = 0o777) -> int:
        return calls.create(path, flags, mode) if flags & os.O_CREAT else os.open(path, flags, mode)

    real = launcher.os
    changed = {"open": opened, "write": calls.write, "fsync": calls.fsync, "rename": calls.rename}
    launcher.os = SimpleNamespace(**{**vars(os), **changed})  # type: ignore[assignment]
    try:
        yield
    finally:
        launcher.os = real
