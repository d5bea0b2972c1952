"""A life of a box: what it is before one, what the life must make of it, and what must be true at any instant of it."""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from reconciler_agent.settings import Settings
from reconciler_agent.system_calls import SYSTEM, Calls
from schemas.manifest import ManifestMaintenance, ManifestOperation, ReleaseTarget
from tests.crash.dying import counting, in_child
from tests.crash.whole import ADDED, central_paths, only_what_is_there, require_club, require_whole
from tests.support.agent_world import AgentWorld, application, clip, manifest_of

Given = tuple[Any, ...]
"""The arguments of a call."""
Call = tuple[str, Given]

OLD_CLIPS = {"shared": b"shared " * 300, "leaving": b"leaving " * 200}
NEW_CLIPS = {"shared": b"shared " * 300, "coming": b"coming " * 400, "later": b"later " * 100}
RELEASES = ("1.0.0", "2.0.0", "3.0.0")
GRACE_S = 400.0


class Scenario:
    """A box before a life, in `template`, and what the life must make of it; it is tried in `work`.

    `old`, `new`: the releases wanted before and after; `ends_on`: the one that runs in the end. `partly`: some content
    may be impossible to fetch, and then the configuration names the rest of the new one.
    """

    name = ""
    old: str | None = "1.0.0"
    new = "2.0.0"
    ends_on = "2.0.0"
    old_clips: Mapping[str, bytes] = OLD_CLIPS
    new_clips: Mapping[str, bytes] = NEW_CLIPS
    new_config: ClassVar[dict[str, Any]] = {"liveScoreEnabled": False}
    edited: frozenset[str] = frozenset()
    maintenance: ManifestMaintenance | None = None
    operations: ClassVar[list[ManifestOperation]] = []
    partly = False

    def __init__(self, folder: Path) -> None:
        self.template = folder / "template"
        self.world = AgentWorld(self.template)
        self.releases: dict[str, ReleaseTarget] = {}
        self.before: dict[str, Any] = {}
        self.after: dict[str, Any] = {}
        self.move_to(folder)
        self._prepare()
        self._walk_through()

    def move_to(self, folder: Path) -> None:
        """Be tried in this folder from now on."""
        self.work = folder / "work"
        self.outside = folder / "done"

    def reset(self) -> None:
        """Have the box in `work` as it is before the life."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.outside.unlink(missing_ok=True)
        shutil.copytree(self.template, self.work, symlinks=True)

    def _prepare(self) -> None:
        self._add_releases()
        if self.old is not None:
            self._publish(self.old_clips, self.releases[self.old], {"liveScoreEnabled": True})
            self.world.converge()
        new = self.releases[self.new] if self.new == self.old else self.offer()
        wanted = {"maintenance": self.maintenance, "operations": self.operations}
        self._publish(self.new_clips, new, self.new_config, **wanted)

    def _add_releases(self) -> None:
        for version in RELEASES:
            files = application(version, **ADDED.get(version, {}))
            self.releases[version] = self.world.central.add_release(version, files)

    def _publish(
        self, clips: Mapping[str, bytes], release: ReleaseTarget, config: dict[str, Any], **wanted: Any
    ) -> None:
        for data in clips.values():
            self.world.central.add(data)
        shown = [clip(name, data) for name, data in clips.items()]
        self.world.central.publish(manifest_of(shown, release, config=config, **wanted))

    def offer(self) -> ReleaseTarget:
        """The new release as the manifest names it."""
        return self.releases[self.new]

    def _walk_through(self) -> None:
        """What the life comes to when nothing disturbs it."""
        self.before = self.before or self.world.configuration()
        self.reset()
        self.update()
        self.after = self.look()["configuration"]

    def calls(self) -> list[Call]:
        """Every call of an undisturbed life, in order."""
        made: list[Call] = []
        self.reset()
        self.update(counting(lambda _n, name, arguments: made.append((name, arguments)), lambda _n: None))
        return made

    # In a child

    def update(self, calls: Calls = SYSTEM) -> None:
        """One life of an agent: what it has to do, and after the grace the removal of what left."""
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
        allowed = [self.before, self.after, *([only_what_is_there(self.after, root)] if self.partly else [])]
        assert configuration in allowed, "configuration.json is neither the old nor the new one"
        require_club(self.world.club, configuration)
        assert (root / "videos/MATCH/club.mp4").read_bytes() == b"the club's own"
        for path in central_paths(configuration):
            data = (root / path).read_bytes()
            assert hashlib.sha256(data).hexdigest()[:8] in path, f"{path} is not whole"
        if (root / "current").is_symlink():
            require_whole(root, {self.old or self.new, self.new}, self.edited)
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
        assert names == {Path(clip(name, data)[0].path).name for name, data in self.new_clips.items()}
        left = [path for path in (root / "data/agent").rglob("*") if path.is_file() and "partial" in path.parts]
        assert not left, f"left behind: {left}"

    def require_rest(self) -> None:
        """A further life changes nothing."""

        def rest() -> None:
            names: list[str] = []
            self.update(counting(lambda _n, name, _a: names.append(name), lambda _n: None))
            assert not names, f"the box was not at rest: {names}"

        assert in_child(rest) == 0, "it was not at rest"
