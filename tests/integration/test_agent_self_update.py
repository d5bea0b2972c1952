"""The agent's own update on real files: staged, on trial, proved, gone back from; the launcher decides in between."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler_agent import launcher
from reconciler_agent.beginning import read_state
from reconciler_agent.core.report import Round
from reconciler_agent.errors import NetworkTrouble
from reconciler_agent.resources.slots import own_slot
from reconciler_agent.state import _close, _open
from schemas.manifest import AgentTarget, ManifestOperation
from tests.support.agent_world import AgentWorld, application, manifest_of
from tests.support.slots import OTHER_MACHINE, make_slot, point, slot_files
from tests.support.trust_world import DAY, NOW

MORE = {f"{OTHER_MACHINE}/part.so": b"elf " * 100, "any/shared.py": b"SHARED = 1\n" * 50}


class Box:
    """A box whose agent runs from the slot of version 1.0.0, and a control plane that has 2.0.0."""

    def __init__(self, folder: Path) -> None:
        self.world = AgentWorld(folder)
        self.slots = folder / "agent" / "slots"
        self.slots.mkdir(parents=True)
        self.old = make_slot(self.slots, "1.0.0", "old", **MORE)
        point(self.slots, "good", self.old)
        central = self.world.central
        self.old_target = central.add_agent("1.0.0", slot_files("1.0.0", "old", **MORE))
        self.target = central.add_agent("2.0.0", slot_files("2.0.0", "new", **MORE))
        self.new = f"2.0.0-{self.target.tree[7:15]}"
        self.boot = "a boot"

    def want(self, agent: AgentTarget | None, **changed: Any) -> None:
        self.world.central.publish(manifest_of([], agent=agent, **changed))

    def live(self) -> Round:
        """One life of the agent, in the slot that the launcher chooses."""
        chosen = launcher.choose(self.slots, self.boot)
        self.world.slot = self.slots / chosen.name
        return self.world.converge()

    @property
    def running(self) -> str:
        assert self.world.slot is not None
        return self.world.slot.name

    def crash(self) -> None:
        """A life of which nothing comes."""
        launcher.choose(self.slots, self.boot)

    def events(self) -> list[str]:
        told = {event.number: event for report in self.world.central.reports for event in report.events}
        return [event.reason for _, event in sorted(told.items()) if event.reason.startswith("Agent")]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_wanted_agent_takes_over_and_proves_itself(box: Box) -> None:
    box.want(box.target)

    box.live()
    assert (box.running, launcher.link(box.slots, "good")) == (box.old, box.old)
    assert [d.desired for d in box.world.central.reports[-1].differences] == ["2.0.0"]
    last = box.live()

    assert box.running == box.new
    assert (launcher.link(box.slots, "good"), launcher.link(box.slots, "previous")) == (box.new, box.old)
    assert not (box.slots / "trial.json").exists()
    assert not last.others
    box.live()
    assert box.events() == ["AgentUpdating", "AgentUpdated"]
    assert box.world.conditions()["Synced"] == ("True", "Converged")


def test_only_what_this_machine_needs_and_does_not_have_is_fetched(box: Box) -> None:
    box.want(box.target)
    box.live()

    files = slot_files("2.0.0", "new", **MORE)
    assert {path.name for path in (box.slots / box.new).rglob("*") if path.is_file()} == {
        "VERSION", "start.py", "part.py", "shared.py",
    }  # fmt: skip
    assert len(box.world.central.fetched) == 2, "VERSION and start.py; the rest is copied"
    assert (box.slots / box.new / "start.py").read_bytes() == files["start.py"]


def test_agent_that_crashes_three_times_is_gone_back_from_and_not_tried_again(box: Box) -> None:
    box.want(box.target)
    box.live()
    for _ in range(3):
        box.crash()

    found = box.live()
    assert box.running == box.old
    assert found.failures[0].reason == "AgentFailed"
    assert box.world.conditions()["Degraded"] == ("True", "AgentFailed")
    for _ in range(3):
        box.live()
    assert box.running == box.old
    assert box.events() == ["AgentUpdating", "AgentReturned"]


def test_bad_agent_is_tried_again_when_somebody_says_so(box: Box) -> None:
    box.want(box.target)
    box.live()
    for _ in range(3):
        box.crash()
    box.live()
    box.want(box.target, operations=[ManifestOperation(id="again", action="retry", not_after=NOW + DAY)])
    box.live()
    box.live()
    assert box.running == box.new


def test_bad_agent_gives_way_to_another_digest(box: Box) -> None:
    box.want(box.target)
    box.live()
    for _ in range(3):
        box.crash()
    box.live()
    box.want(third := box.world.central.add_agent("2.0.1", slot_files("2.0.1", "better")))
    box.live()
    box.live()
    assert box.running == f"2.0.1-{third.tree[7:15]}"
    assert not (box.slots / box.new).exists(), "the bad one is taken away"


def test_agent_without_a_network_stays_on_trial_over_weeks_and_proves_itself_when_it_can(box: Box) -> None:
    box.want(box.target)
    box.live()
    box.world.central.offline = True
    for day in range(10):
        box.boot = f"day {day}"
        found = box.live()
        trial = launcher.read_trial(box.slots)
        assert trial is not None
        launcher.write_trial(box.slots, {**trial, "stood": True})  # as its guard does
        assert (box.running, [w.reason for w in found.operations]) == (box.new, ["AgentOnTrial"])
    box.world.central.offline = False
    box.boot = "the day of the network"
    box.live()
    assert launcher.link(box.slots, "good") == box.new


def test_agent_that_no_release_key_allowed_is_neither_fetched_nor_started(box: Box) -> None:
    files = slot_files("9.9.9", "evil")
    box.want(box.world.central.add_agent("9.9.9", files, allowed=False))

    found = box.live()
    assert found.failures[0].reason == "TrustRefused"
    assert box.world.central.fetched == []
    box.live()
    assert box.running == box.old


def test_release_of_the_applications_is_no_agent(box: Box) -> None:
    files = slot_files("2.5.0", "an application's")
    app = box.world.central.add_release("2.5.0", files)
    box.want(AgentTarget(version="2.5.0", tree=app.tree, size_bytes=app.size_bytes))
    assert box.live().failures[0].reason == "TrustRefused"


def test_agent_waits_for_the_end_of_a_releases_test_and_for_no_match(box: Box) -> None:
    box.world.tv.match = True
    box.want(box.target)
    box.live()
    assert launcher.read_trial(box.slots) is not None, "nobody who watches notices"

    box.world.tv.match = False
    (box.slots / "trial.json").unlink()
    box.want(box.target, release=box.world.central.add_release("1.0.0", application("1.0.0")))
    box.live()
    box.live()
    told = [event.reason for report in box.world.central.reports for event in report.events]
    assert told.index("ReleaseActivated") < told.index("ReleaseHealthy") < len(told) - told[::-1].index("AgentUpdating")


def test_switched_off_updates_hold_for_the_agent_too(box: Box) -> None:
    box.world.settings = msgspec.structs.replace(box.world.settings, auto_update=False)
    box.want(box.target)

    found = box.live()
    assert ([w.reason for w in found.waiting], box.world.central.fetched) == (["SwitchedOff"], [])


def test_interrupted_download_of_an_agent_is_taken_up(box: Box) -> None:
    big = {"any/big.py": b"B = 1\n" * 1000}
    box.want(box.world.central.add_agent("2.1.0", slot_files("2.1.0", "new", **big)))
    cuts = iter((True, False))

    def cut(_digest: str) -> None:
        if next(cuts, False):
            raise NetworkTrouble("cannot go on: cut")

    box.world.central.on_download = cut
    assert box.live().connection is not None
    box.live()
    box.live()
    assert box.running.startswith("2.1.0-")


def damage_staged(box: Box) -> None:
    (box.slots / box.new / "any/shared.py").write_text("SHARED = 2\n")


def lose_staged(box: Box) -> None:
    (box.slots / f"{box.new}.json").unlink()


@pytest.mark.parametrize("damage", [damage_staged, lose_staged])
def test_slot_that_was_changed_on_the_disk_is_made_anew(box: Box, damage: Callable[[Box], None]) -> None:
    box.want(box.target)
    box.live()
    (box.slots / "trial.json").unlink()
    damage(box)
    box.live()
    box.live()
    assert box.running == box.new


def test_damaged_good_slot_heals_from_the_one_before(box: Box) -> None:
    box.want(box.target)
    box.live()
    box.live()
    (box.slots / box.new / "start.py").write_bytes(b"")

    box.live()
    assert box.running == box.old
    box.live()
    assert (box.running, launcher.link(box.slots, "good")) == (box.new, box.new)


def test_way_back_to_an_older_release_is_an_update_as_any_other(box: Box) -> None:
    box.want(box.target)
    box.live()
    box.live()
    box.want(box.old_target)
    box.live()
    box.live()
    assert (box.running, launcher.link(box.slots, "good")) == (box.old, box.old)


def test_agent_outside_of_slots_says_that_it_cannot(tmp_path: Path) -> None:
    world = AgentWorld(tmp_path)
    world.central.publish(manifest_of([], agent=world.central.add_agent("2.0.0", slot_files("2.0.0", "new"))))
    found = world.converge()
    assert [w.reason for w in found.waiting] == ["AgentNotInSlot"]
    assert own_slot() is None


def test_box_at_rest_in_its_slot_changes_nothing_on_the_disk(box: Box) -> None:
    box.want(box.target)
    box.live()
    box.live()
    before = {path: path.lstat().st_mtime_ns for path in box.slots.rglob("*")}
    box.live()
    assert {path: path.lstat().st_mtime_ns for path in box.slots.rglob("*")} == before


def rewrite_state(box: Box, change: Callable[[dict[str, Any]], object]) -> None:
    """What is kept, as a newer agent might have written it; in both copies."""
    for path in (box.world.folder / "state").glob("state-?"):
        opened = _open(path.read_bytes())
        assert opened is not None
        kept = msgspec.json.decode(opened[1])
        change(kept)
        path.write_bytes(_close(opened[0], msgspec.json.encode(kept)))


def test_older_agent_starts_from_what_a_newer_one_kept_and_loses_only_what_it_cannot_read(box: Box) -> None:
    box.want(box.target)
    box.live()
    before = read_state(box.world.settings)
    assert before is not None

    def as_newer(kept: dict[str, Any]) -> None:
        kept["of tomorrow"] = {"x": 1}
        kept["trust"]["of tomorrow"] = 2
        kept["told"]["conditions"][0]["type"] = "Dreaming"
        kept["told"]["differences"] = [{"kind": "dream", "what": "a"}]

    rewrite_state(box, as_newer)
    for _ in range(3):
        box.crash()
    box.live()

    after = read_state(box.world.settings)
    assert after is not None
    assert (box.running, after.trust.high_water, after.trust.root) == (
        box.old,
        before.trust.high_water,
        before.trust.root,
    )
    assert after.last_event > before.last_event
    told = [event.message for report in box.world.central.reports for event in report.events]
    assert any("newer agent" in message for message in told)
    assert not any("starts again from its provisioned trust root" in message for message in told)
