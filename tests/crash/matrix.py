"""Kill the agent at a system call, look at what is on the disk, let it go on, and look again.

Every point runs in a fork of this process, which has imported everything. A point is a number of a call that changes
the file system (`system_calls.Calls`), and where in it the agent dies: before it, in the middle of it (half of a
write), or after it.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, NamedTuple

from reconciler_agent.services import UnitState
from reconciler_agent.settings import Settings
from reconciler_agent.system_calls import SYSTEM, Calls
from schemas.manifest import ManifestMaintenance, ManifestOperation, ReleaseTarget
from tests.support.agent_world import AgentWorld, application, clip, manifest_of
from tests.support.trust_world import DAY, NOW

OLD_CLIPS = {"shared": b"shared " * 300, "leaving": b"leaving " * 200}
NEW_CLIPS = {"shared": b"shared " * 300, "coming": b"coming " * 400, "later": b"later " * 100}
GRACE_S = 400.0


class Point(NamedTuple):
    """The `number`th call (from 1), and where in it."""

    number: int
    where: str


class Scenario:
    """A box before an update, in `template`, and what the update must make of it."""

    name = ""
    old: str | None = "1.0.0"
    new = "2.0.0"
    ends_on = "2.0.0"
    edited: frozenset[str] = frozenset()
    maintenance: ManifestMaintenance | None = None
    operations: ClassVar[list[ManifestOperation]] = []

    def __init__(self, folder: Path) -> None:
        self.template = folder / "template"
        self.work = folder / "work"
        self.outside = folder / "done"
        self.world = AgentWorld(self.template)
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}
        self._prepare()
        self._walk_through()

    def _prepare(self) -> None:
        central = self.world.central
        old, new = ([clip(n, d) for n, d in clips.items()] for clips in (OLD_CLIPS, NEW_CLIPS))
        for data in (*OLD_CLIPS.values(), *NEW_CLIPS.values()):
            central.add(data)
        first = central.add_release("1.0.0", application("1.0.0"))
        second = central.add_release("2.0.0", application("2.0.0", server__new__module__py=b"new = True\n"))
        if self.old is not None:
            central.publish(manifest_of(old, first, config={"liveScoreEnabled": True}))
            self.world.converge()
        second = self.offer(first, second)
        config = {"liveScoreEnabled": False}
        wanted = {"config": config, "maintenance": self.maintenance, "operations": self.operations}
        central.publish(manifest_of(new, second, **wanted))

    def offer(self, _first: ReleaseTarget, second: ReleaseTarget) -> ReleaseTarget:
        """The new release as the manifest names it."""
        return second

    def _walk_through(self) -> None:
        """What the update comes to when nothing disturbs it."""
        self.before = self.world.configuration()
        shutil.copytree(self.template, self.work, symlinks=True)
        self.update()
        self.after = self.look()["configuration"]

    # In a child

    def update(self, calls: Calls = SYSTEM) -> None:
        """One life of an agent: the update, and after the grace the removal of what left."""
        world = self.world
        world.root, world.settings = self.work / "neopro", self.settings()
        self.begin()
        with world.agent(calls) as agent:
            world.settle(agent)
            world.clock.sleep(GRACE_S)
            world.settle(agent)

    def begin(self) -> None:
        """What is special about the surroundings."""

    def settings(self) -> Settings:
        """Of the box in `work`."""
        self.world.folder, self.world.root = self.work, self.work / "neopro"
        return self.world.read_settings()

    # What must be true

    def done(self) -> list[str]:
        """What was done to the world, and cannot be taken back."""
        return self.outside.read_text().split() if self.outside.exists() else []

    def look(self) -> dict[str, Any]:
        """What the box plays from; AssertionError if it is not one whole."""
        root = self.work / "neopro"
        return {
            "configuration": json.loads((root / "data" / "configuration.json").read_bytes()),
            "version": (root / "VERSION").read_text().strip() if (root / "VERSION").exists() else None,
        }

    def require_playable(self) -> None:
        """At any instant: old or new, whole, and everything of the club's."""
        found = self.look()
        root = self.work / "neopro"
        configuration = found["configuration"]
        assert configuration in (self.before, self.after), "configuration.json is neither the old nor the new one"
        require_club(self.world.club, configuration)
        assert (root / "videos/MATCH/club.mp4").read_bytes() == b"the club's own"
        for path in central_paths(configuration):
            data = (root / path).read_bytes()
            assert hashlib.sha256(data).hexdigest()[:8] in path, f"{path} is not whole"
        if (root / "current").is_symlink():
            require_whole(root, {"1.0.0", "2.0.0"}, self.edited)
        else:
            assert self.old is None, "the box has no release any more"

    def require_converged(self) -> None:
        """After another life: as if nothing had happened."""
        self.require_playable()
        found = self.look()
        root = self.work / "neopro"
        require_whole(root, {self.ends_on}, frozenset())
        assert found["configuration"] == self.after
        assert found["version"] == self.ends_on
        assert (root / "webapp/configuration.json").resolve() == (root / "data/configuration.json").resolve()
        names = {path.name for path in (root / "videos/ANNONCES").iterdir()}
        assert names == {Path(clip(name, data)[0].path).name for name, data in NEW_CLIPS.items()}
        left = [path for path in (root / "data/agent").rglob("*") if path.is_file() and "partial" in path.parts]
        assert not left, f"left behind: {left}"

    def require_rest(self) -> None:
        """A further life changes nothing."""

        def rest() -> None:
            names: list[str] = []
            self.update(counting(lambda _n, name, _a: names.append(name), lambda _n: None))
            assert not names, f"the box was not at rest: {names}"

        assert in_child(rest) == 0, "it was not at rest"


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


class Heal(Scenario):
    """The same manifest on a box whose club edited the release, a video and the configuration."""

    name = "heal"
    new = "1.0.0"
    ends_on = "1.0.0"

    def _prepare(self) -> None:
        central = self.world.central
        clips = [clip(name, data) for name, data in NEW_CLIPS.items()]
        for data in NEW_CLIPS.values():
            central.add(data)
        central.publish(manifest_of(clips, central.add_release("1.0.0", application("1.0.0"))))
        self.world.converge()
        root = self.world.root
        (root / "server/app.py").write_bytes(b"edited")
        (root / "scripts").unlink()
        edited = self.world.configuration()
        edited["sponsors"] = [entry for entry in edited["sponsors"] if entry.get("owner") != "neopro"]
        (root / "data/configuration.json").write_text(json.dumps(edited))

    edited = frozenset({"server/app.py"})


SCENARIOS = (Update, Patient, Operated, FirstInstall, RollBack, Heal)


def require_club(club: dict[str, Any], configuration: dict[str, Any]) -> None:
    """Everything that the club had is there."""
    assert configuration["auth"] == club["auth"]
    assert configuration["remote"]["title"] == club["remote"]["title"]
    for key in ("categories", "sponsors"):
        missing = [item for item in club[key] if item not in configuration[key]]
        assert not missing, f"the club lost {missing}"


def central_paths(value: Any) -> Iterator[str]:
    """The paths of every central entry."""
    if isinstance(value, list):
        for item in value:
            yield from central_paths(item)
    elif isinstance(value, dict):
        if value.get("owner") == "neopro" and "path" in value:
            yield value["path"]
        for item in value.values():
            yield from central_paths(item)


def require_whole(root: Path, versions: set[str], edited: Set[str]) -> None:
    """`current` leads to a tree that is, file by file, one of the releases; files that a club `edited` may be so."""
    tree = root / "current"
    version = (tree / "VERSION").read_text().strip()
    assert version in versions
    more = {"server__new__module__py": b"new = True\n"} if version == "2.0.0" else {}
    for path, data in application(version, **more).items():
        found = (tree / path).read_bytes()
        assert found == data or (path in edited and found == b"edited"), f"{path} of release {version} is not whole"
    for name in ("webapp/index.html", "VERSION", "server/app.py"):
        if (root / name.partition("/")[0]).is_symlink():
            assert name in edited or version in (root / name).read_text(), f"{name} is of another release"


# Dying


def counting(on_call: Callable[[int, str, tuple[Any, ...]], None], after: Callable[[int], None]) -> Calls:
    """Calls that are counted, and may be the last."""
    count = 0

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            on_call(count, name, arguments)
            result = real(*arguments, **options)
            after(count)
            return result

        return call

    return Calls(*(wrap(name, real) for name, real in SYSTEM._asdict().items()))


def die() -> None:
    """As by a power cut, but for what the kernel still holds."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying_at(point: Point) -> Calls:
    """Calls of which one is the last."""

    def before(number: int, name: str, arguments: tuple[Any, ...]) -> None:
        if number != point.number or point.where == "after":
            return
        if point.where == "within" and name == "write":
            os.write(arguments[0], arguments[1][: len(arguments[1]) // 2])
        die()

    return counting(before, lambda number: die() if (number, "after") == point else None)


def in_child(action: Callable[[], None]) -> int:
    """The wait status of a fork that does this; 0 when it came to its end."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException as problem:  # noqa: BLE001 (whatever it is, the parent is told)
            os.write(2, f"{type(problem).__name__}: {problem}\n".encode())
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]


class Matrix:
    """The points of a scenario, and what came of them."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.points = 0
        self.failures: list[str] = []
        self.kinds = self._kinds()

    def _kinds(self) -> list[str]:
        """The name of every call of an undisturbed update, in order."""
        names: list[str] = []
        self._reset()
        self.scenario.update(counting(lambda _n, name, _a: names.append(name), lambda _n: None))
        return names

    def _reset(self) -> None:
        shutil.rmtree(self.scenario.work, ignore_errors=True)
        self.scenario.outside.unlink(missing_ok=True)
        shutil.copytree(self.scenario.template, self.scenario.work, symlinks=True)

    def all_points(self) -> list[Point]:
        """Before and after every call, and within every write."""
        found = []
        for number, kind in enumerate(self.kinds, start=1):
            found += [Point(number, "before"), Point(number, "after")]
            if kind == "write":
                found.append(Point(number, "within"))
        return found

    def try_point(self, point: Point, then: Point | None = None) -> None:
        """Die there (and in the next life at `then`), and see that it does no harm."""
        self._reset()
        self.points += 1
        what = f"{self.scenario.name}: killed {point.where} call {point.number} ({self.kinds[point.number - 1]})"
        try:
            status = in_child(lambda: self.scenario.update(dying_at(point)))
            assert os.WIFSIGNALED(status), "it was not killed"
            self.scenario.require_playable()
            if then is not None:
                what += f", then {then.where} call {then.number} of its second life"
                in_child(lambda: self.scenario.update(dying_at(then)))
                self.scenario.require_playable()
            assert in_child(self.scenario.update) == 0, "the next life failed"
            self.scenario.require_converged()
            self.scenario.require_rest()
        except (AssertionError, OSError, ValueError) as problem:
            self.failures.append(f"{what}: {type(problem).__name__}: {problem}")


@contextmanager
def matrix(kind: type[Scenario]) -> Iterator[Matrix]:
    """A matrix in memory where there is such a file system: a kill loses nothing that the kernel holds."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="neopro-crash-") as folder:
        yield Matrix(kind(Path(folder)))
