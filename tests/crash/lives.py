"""The lives that are cut off: of each kind of change, of the removal of what is not needed, and of recoveries."""

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from reconciler_agent.services import UnitState
from reconciler_agent.state import COPIES
from schemas.manifest import ManifestMaintenance, ManifestOperation, ReleaseTarget
from tests.crash.adoption import Adoption, FailedAdoption
from tests.crash.dying import Point, dying_at, in_child
from tests.crash.scenario import NEW_CLIPS, OLD_CLIPS, Call, Given, Scenario
from tests.crash.self_update import FailedSelfUpdate, SelfUpdate
from tests.support.agent_world import application
from tests.support.release_pairs import add_patch
from tests.support.trust_world import DAY, NOW

NEVER_CLIPS = {"never": b"never " * 500}


class Update(Scenario):
    """From one release to the next, with other videos and another configuration."""

    name = "update"


class Patient(Scenario):
    """The same, on a box where the release has to wait until its patience ends."""

    name = "patient update"
    maintenance = ManifestMaintenance(max_deferral_s=300)


class Operated(Scenario):
    """The same, with a restart and logs that an operator asked for: each at most once, also by two lives."""

    name = "operations"
    operations: ClassVar[list[ManifestOperation]] = [
        ManifestOperation(id="a-logs", action="fetch_logs", not_after=NOW + DAY),
        ManifestOperation(id="b-restart", action="restart_service", service="neopro-kiosk", not_after=NOW + DAY),
        ManifestOperation(id="c-late", action="reboot", not_after=NOW - DAY),
    ]

    def _prepare(self) -> None:
        journal = self.world.folder / "journalctl"
        journal.write_text("#!/bin/sh\necho it was well\n")
        journal.chmod(0o755)
        super()._prepare()

    def begin(self) -> None:
        units, reboot = self.world.units, self._count("reboot")

        def counted(unit: str) -> UnitState:
            if unit == "neopro-kiosk":
                self._count("restart")()
            return units.start(unit, "restart")

        units.restart, units.on_reboot = counted, reboot  # type: ignore[method-assign]

    def _count(self, what: str) -> Callable[[], object]:
        """Keeps a line for each, where every life of a point finds it, whatever becomes of the disk."""

        def count() -> None:
            with self.outside.open("a") as file:
                file.write(f"{what}\n")

        return count

    def require_converged(self) -> None:
        super().require_converged()
        assert self.done() in ([], ["restart"]), f"done more than once, or too late: {self.done()}"
        assert not list((self.work / "state/texts").glob("*")), "a text was left behind"


class FirstInstall(Scenario):
    """A box without any release of ours."""

    name = "first install"
    old = None


class RollBack(Scenario):
    """The new release is not healthy: everything else is new in the end, and the release is the old one."""

    name = "roll back"
    ends_on = "1.0.0"

    def begin(self) -> None:
        self.world.units.sick = lambda: (self.work / "neopro/VERSION").read_text().strip() == "2.0.0"


class Videos(Scenario):
    """Other videos, and nothing else."""

    name = "content"
    new = ends_on = "1.0.0"
    new_config: ClassVar[dict[str, Any]] = {"liveScoreEnabled": True}


class Settings(Scenario):
    """Another value of the configuration, and nothing else."""

    name = "configuration"
    new = ends_on = "1.0.0"
    new_clips = OLD_CLIPS


class Release(Scenario):
    """Another release, and nothing else."""

    name = "release"
    new_clips = OLD_CLIPS
    new_config: ClassVar[dict[str, Any]] = {"liveScoreEnabled": True}


class Patched(Scenario):
    """From one release to the next by a patch: index, pack, listing and files, each of which may be cut off."""

    name = "update by a patch"

    def offer(self) -> ReleaseTarget:
        return add_patch(self.world.central, self.releases["1.0.0"], self.releases["2.0.0"])

    def _walk_through(self) -> None:
        self.world.central.fetched.clear()
        super()._walk_through()
        fetched = {self.world.central.blobs[digest] for digest in self.world.central.fetched}
        assert not fetched & set(application("2.0.0").values()), "files came whole, past the patch"


class Heal(Scenario):
    """The same manifest on a box whose club edited the release, a video and the configuration."""

    name = "heal"
    new = ends_on = "1.0.0"
    old_clips = NEW_CLIPS
    edited = frozenset({"server/app.py"})

    def _prepare(self) -> None:
        super()._prepare()
        self.world.converge()
        root = self.world.root
        (root / "server/app.py").write_bytes(b"edited")
        (root / "scripts").unlink()
        edited = self.world.configuration()
        edited["sponsors"] = [entry for entry in edited["sponsors"] if entry.get("owner") != "neopro"]
        (root / "data/configuration.json").write_text(json.dumps(edited))


class Begun(Scenario):
    """A box on which an earlier life was killed: what is tried is the life that takes it up."""

    def _prepare(self) -> None:
        super()._prepare()
        self.before = self.world.configuration()
        self.kill(self.last_call)

    def kill(self, last_call: Callable[[Sequence[Call]], Point]) -> None:
        """Live in `template`, and die there."""
        point = last_call(self.calls())
        kept, self.work = self.work, self.template
        assert os.WIFSIGNALED(in_child(lambda: self.update(dying_at(point)))), "the life before was not killed"
        self.work = kept

    @staticmethod
    def last_call(calls: Sequence[Call]) -> Point:
        """Where the earlier life ended."""
        raise NotImplementedError


class DownloadBegun(Begun):
    """Half of a video is there."""

    name = "recovery of a download"

    @staticmethod
    def last_call(calls: Sequence[Call]) -> Point:
        return Point(_number(calls, _writes(b"coming")), "within")


class ExchangeBegun(Begun):
    """The configuration was exchanged, which nobody knows yet."""

    name = "recovery of an exchange"

    @staticmethod
    def last_call(calls: Sequence[Call]) -> Point:
        return Point(_number(calls, lambda name, _: name == "exchange"), "after")


class SwitchBegun(Begun):
    """The link leads to the new release, which is not tested yet."""

    name = "recovery of a switch"

    @staticmethod
    def last_call(calls: Sequence[Call]) -> Point:
        return Point(_switch(calls), "after")


class TrialBegun(Begun):
    """The new release was being tested."""

    name = "recovery of a trial"

    @staticmethod
    def last_call(calls: Sequence[Call]) -> Point:
        switch = _switch(calls)
        return Point(switch + _number(calls[switch:], _keeps_state, 3), "after")


class RollBackBegun(RollBack, Begun):
    """The link leads back to the old release."""

    name = "recovery of a roll back"

    @staticmethod
    def last_call(calls: Sequence[Call]) -> Point:
        return Point(_number(calls, _switches, 2), "after")


class RemovalBegun(Begun):
    """A video lies among what is to be deleted, and stands in the ledger."""

    name = "recovery of a removal"

    @staticmethod
    def last_call(calls: Sequence[Call]) -> Point:
        return Point(_number(calls, _takes_away("leaving-")), "after")


class Collect(Begun):
    """Garbage: a release too many, a video that left, half a download of one that is not wanted any more."""

    name = "garbage collection"
    old = "2.0.0"
    new = ends_on = "3.0.0"
    new_config: ClassVar[dict[str, Any]] = {"liveScoreEnabled": True}

    def _prepare(self) -> None:
        self._add_releases()
        config = self.new_config
        for version in ("1.0.0", "2.0.0"):
            self._publish(self.old_clips, self.releases[version], config)
            self.world.converge()
        self._publish(self.old_clips | NEVER_CLIPS, self.releases["2.0.0"], config)
        self.kill(lambda calls: Point(_number(calls, _writes(b"never")), "within"))
        self._publish(self.new_clips, self.releases["3.0.0"], config)
        self.kill(lambda calls: Point(_number(calls, _takes_away("1.0.0-")), "before"))


ADOPTIONS: Final = (Adoption, FailedAdoption)
CHANGES: Final = (Update, Videos, Settings, Release, Patched, Patient, Operated, FirstInstall, RollBack, Heal, Collect)
RECOVERIES: Final = (DownloadBegun, ExchangeBegun, SwitchBegun, TrialBegun, RollBackBegun, RemovalBegun)
SELF_UPDATES: Final = (SelfUpdate, FailedSelfUpdate)
LIVES: Final[tuple[type[Scenario], ...]] = (*CHANGES, *ADOPTIONS, *SELF_UPDATES, *RECOVERIES)


def _number(calls: Sequence[Call], is_meant: Callable[[str, Given], bool], time: int = 1) -> int:
    """The number (from 1) of the call that is meant, when it comes for the so manieth time."""
    return [number for number, call in enumerate(calls, start=1) if is_meant(*call)][time - 1]


def _switches(name: str, given: Given) -> bool:
    return name == "rename" and given[1] == "current"


def _switch(calls: Sequence[Call]) -> int:
    return _number(calls, _switches)


def _keeps_state(name: str, given: Given) -> bool:
    return name == "rename" and given[1] in COPIES


def _writes(beginning: bytes) -> Callable[[str, Given], bool]:
    return lambda name, given: name == "write" and bytes(given[1][: len(beginning)]) == beginning


def _takes_away(beginning: str) -> Callable[[str, Given], bool]:
    return lambda name, given: name == "rename" and given[0].startswith(beginning)
