"""A box before an update whose every request goes wrong in some way: what it does meanwhile, and afterwards.

The update asks for all kinds of things: a head, a trust root, a release list, a manifest, the listing and the files
of a release, a video that was half there; and it hands over a report, logs, a backup and what was played.
"""

import json
import logging
import random
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pyrage

from reconciler_agent.backup import BACKUP_S
from reconciler_agent.core.report import Round
from schemas.manifest import ListRef, ManifestBackup, ManifestOperation
from schemas.names import Digest, digest_of
from tests.crash.whole import central_paths, require_club, require_whole
from tests.faults.boxes import Box
from tests.faults.faults import FAULTS, MARK
from tests.faults.wire import Act, Asked, Line, Wire, answer_from, be_honest
from tests.support import trust_world
from tests.support.agent_world import application, clip, manifest_of
from tests.support.authority import Authority
from tests.support.patience import PATIENCE_S, promised
from tests.support.trust_world import DAY, NOW

RECOVERY: Final = pyrage.x25519.Identity.generate()
KINDS: Final = (
    "head", "trust", "list", "manifest", "listing", "file", "rest", "report", "log", "backup", "analytics", "club",
)  # fmt: skip
UPLOADS: Final = frozenset({"report", "log", "backup", "analytics", "club"})
"""What they come to does not keep the box from news: it is in the log."""
ANSWER_S: Final = 0.3
"""How long an answer may take where it is slow on purpose; where it is not, a busy machine must not be taken for it."""
HALF: Final = 100_000
MAX_KEPT: Final = 200
"""Bytes of what answered in our control plane's place, in any sentence."""
MAX_ROUND_S: Final = 20.0
MAX_GROWTH_BYTES: Final = 48 << 20
BIG: Final = bytes(range(251)) * 1200
OLD: Final = {"shared": b"shared " * 300, "leaving": b"leaving " * 200}
NEW: Final = {"shared": b"shared " * 300, "coming": b"coming " * 400, "big": BIG}


class Listener(logging.Handler):
    """Every line of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class Update:
    """The box and its control plane as they are before the update, and what the update must come to."""

    def __init__(self, folder: Path, box: Box, wire: Wire) -> None:
        self.template, self.work = box.folder, folder / "work"
        self.box, self.wire = box, wire
        self._blobs: dict[Digest, str] = {}
        self.listener = Listener()
        self.points, self.failures, self.growth_bytes, self.longest_s = 0, [], 0, 0.0  # type: ignore[var-annotated]
        self._prepare()
        self.before, self.after = self.box.configuration(), {}
        self._walk_through()

    def _prepare(self) -> None:
        box, central = self.box, self.box.central
        journal = self.template / "journalctl"
        journal.write_text("#!/bin/sh\necho it was well\n")
        journal.chmod(0o755)
        for data in (*OLD.values(), *NEW.values()):
            central.add(data)
        first = central.add_release("1.0.0", application("1.0.0"))
        central.publish(manifest_of([clip(n, d) for n, d in OLD.items()], first))
        box.url = self.wire.url
        box.converge()
        second = central.add_release("2.0.0", application("2.0.0", server__new__module__py=b"new = True\n"))
        logs = ManifestOperation(id="logs", action="fetch_logs", not_after=NOW + DAY)
        backup = ManifestBackup(recipient=str(RECOVERY.to_public()))
        wanted = manifest_of([clip(n, d) for n, d in NEW.items()], second, operations=[logs], backup=backup)
        self._rotate(wanted)
        central.reports.clear()
        club = box.configuration()
        club["categories"].append({"id": "new", "name": "New", "videos": []})
        (box.root / "data/configuration.json").write_text(json.dumps(club))
        played = [_played(number) for number in range(20)]
        (box.root / "data/analytics_buffer.json").write_text(json.dumps(played))
        partial = box.root / "data/agent/partial"
        partial.mkdir(parents=True, exist_ok=True)
        (partial / f"content-{digest_of(BIG)[7:]}").write_bytes(BIG[:HALF])
        self._blobs = {second.tree: "listing"}

    def _rotate(self, wanted: Any) -> None:
        """Publish under a new root, whose manifest key is another."""
        central = self.box.central
        second = trust_world.root(2, manifest=trust_world.role(trust_world.MANIFEST2))
        central.roots[2] = trust_world.sign_root(second)
        central.publish(wanted)
        newest = max(central.lists)
        body = next(reversed(central.blobs))
        self._manifest = body
        central.envelope = trust_world.head(
            trust_world.MANIFEST2,
            manifest=body,
            release_list=ListRef(version=newest, sha256=digest_of(central.lists[newest])),
            root_version=2,
            generation=central.generation,
        )

    # One point

    def kind_of(self, asked: Asked) -> str:
        """What was asked for."""
        name = asked.path.rsplit("/", 1)[1]
        if "/blobs/" in asked.path:
            large = "rest" if "range" in asked.headers else "file"
            return "manifest" if name == self._manifest else self._blobs.get(name, large)
        if "/logs/" in asked.path:
            return "log"
        plain = {"/trust/": "trust", "/release-list/": "list"}
        known = next((kind for part, kind in plain.items() if part in asked.path), name)
        return "report" if known == "status" else known

    def reset(self) -> None:
        """Put everything back to before the update."""
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.copytree(self.template, self.work, symlinks=True)
        self.box.folder, self.box.root = self.work, self.work / "neopro"
        self.box.settings = self.box.read_settings()
        central = self.box.central
        for kept in (central.reports, central.batches, central.backups, central.mirrors):
            kept.clear()  # type: ignore[attr-defined]
        self.box.central.logs.clear()
        self.box.units.calls.clear()
        self.box.clock.elapsed_s = 0.0
        self.wire.asked.clear()

    def _walk_through(self) -> None:
        """What the update comes to when nothing goes wrong; and every kind of request is there."""
        self.reset()
        self.box.converge()
        self.after = self.box.configuration()
        found = {self.kind_of(asked) for asked in self.wire.asked}
        assert found == set(KINDS), f"the update does not ask for {set(KINDS) - found}"
        self._require_converged()

    def try_point(self, fault: str, kind: str) -> None:
        """Let every request of that kind go wrong, look, let all go well, and look again."""
        act, met = FAULTS[fault], list[Asked]()

        def meet(line: Line) -> None:
            if self.kind_of(line.asked) != kind:
                be_honest(line)
            else:
                met.append(line.asked)
                line.last = True
                act(line)

        with self._counted(f"{kind}: {fault}"):
            found = self._live(meet, promised(ANSWER_S) if is_slow(fault) else PATIENCE_S)
            self._require_named(found, fault, kind, bool(met))
            self._require_sound(found)

    def try_connections(self, name: str, unwell: Callable[[Wire, Box], AbstractContextManager[None]]) -> None:
        """The same with every connection; nothing gets through, so nothing is changed."""
        with self._counted(name):
            before = self.box.contents()
            with unwell(self.wire, self.box):
                found = self._live(be_honest, promised(ANSWER_S))
            told = {c.type: (c.status, c.reason) for c in self.told.conditions}
            assert (told["Connected"], found.failures) == (("False", "NetworkTrouble"), []), told
            assert self.box.contents() == before, "something was changed"
            self._require_sound(found)

    def live_in_chaos(self, chance: random.Random, lives: int, share: float) -> int:
        """So many lives in a row, of whose requests this share goes wrong in any way; how many went wrong."""
        wrong = 0

        def meet(line: Line) -> None:
            nonlocal wrong
            fault = chance.choice(sorted(FAULTS))
            meant = (fault, self.kind_of(line.asked)) in MEANT
            if meant or is_slow(fault) or chance.random() >= share:
                be_honest(line)
                return
            wrong, line.last = wrong + 1, True
            FAULTS[fault](line)

        with self._counted(f"{lives} lives in chaos"):
            for _ in range(lives):
                found = self._live(meet)
                self._require_playable()
                self._require_quiet_words(found)
                self.box.clock.sleep(BACKUP_S)
            self._live(be_honest)
            self._require_converged()
        return wrong

    @contextmanager
    def _counted(self, what: str) -> Iterator[None]:
        """One point."""
        self.points += 1
        self.reset()
        self.listener.lines.clear()
        try:
            yield
        except Exception as problem:  # noqa: BLE001 (whatever it is, it is counted)
            self.failures.append(f"{what}: {type(problem).__name__}: {problem}"[:1500])

    def _require_sound(self, found: Round) -> None:
        """It plays, little was said, and all is well when the network is."""
        self._require_playable()
        self._require_quiet_words(found)
        self._live(be_honest)
        self._require_converged()

    def _live(self, act: Act, answer_s: float = PATIENCE_S) -> Round:
        """One life of an agent."""
        self.wire.act, self.box.answer_s = act, answer_s
        before_bytes, started_s = _resident(), time.monotonic()
        with self.box.agent() as agent:
            found = self.box.settle(agent)
            self.told = agent.store.state.told
        self.growth_bytes = max(self.growth_bytes, _peak() - before_bytes)
        self.longest_s = max(self.longest_s, time.monotonic() - started_s)
        assert time.monotonic() - started_s < promised(MAX_ROUND_S), "it took too long"
        assert _peak() - before_bytes < MAX_GROWTH_BYTES, f"it took {_peak() - before_bytes} bytes of memory"
        return found

    # What must be true

    def _require_named(self, found: Round, fault: str, kind: str, met: bool) -> None:
        """A condition or a line of the log says that the network is in trouble, and no other alarm is raised."""
        assert met, "nothing was asked for"
        told = {c.type: (c.status, c.reason) for c in self.told.conditions}
        foreign = fault in FOREIGN
        assert not [f for f in found.failures if not (foreign and f.reason == "DigestMismatch")], found.failures
        if fault.startswith("harmless"):
            return
        if kind in UPLOADS:
            assert self.listener.lines or told["Synced"] == ("True", "Converged"), "nothing was said"
        elif self.box.active() != "2.0.0" or told["Synced"][0] != "True":
            allowed = ("NetworkTrouble", "DigestMismatch") if foreign else ("NetworkTrouble",)
            named = {told["Connected"][1], told["Degraded"][1]}
            assert named & set(allowed), f"it has no name: {told}"

    def _require_quiet_words(self, found: Round) -> None:
        """Little of what answered is kept, and nothing of it that a terminal would obey."""
        said = [*self.listener.lines, *(c.message for c in self.told.conditions), *(f.message for f in found.failures)]
        for sentence in said:
            assert sentence.count(MARK) + sentence.count("\ufffd") <= MAX_KEPT, f"too much is kept: {sentence[:300]}"
            assert len(sentence) <= 3 * MAX_KEPT, f"too long: {sentence[:400]}"
            assert "\x1b" not in sentence, "a terminal would obey this"

    def _require_playable(self) -> None:
        """Old or new, whole, and everything of the club's."""
        root, found = self.box.root, self.box.configuration()
        assert found in (self.before, self.after) or self._is_between(found), "the configuration is of neither kind"
        require_club(self.box.club, found)
        assert (root / "videos/MATCH/club.mp4").read_bytes() == b"the club's own"
        for path in central_paths(found):
            assert digest_of((root / path).read_bytes())[7:15] in path, f"{path} is not whole"
        require_whole(root, {"1.0.0", "2.0.0"}, frozenset())

    def _is_between(self, found: dict[str, Any]) -> bool:
        """Of the new one what is there already: a video that did not come is not shown."""
        return set(central_paths(found)) < set(central_paths(self.before)) | set(central_paths(self.after))

    def _require_converged(self) -> None:
        """As if nothing had happened, and everything was handed over."""
        told = {c.type: (c.status, c.reason) for c in self.told.conditions} if hasattr(self, "told") else {}
        central = self.box.central
        if told:
            expected = {"Synced": ("True", "Converged"), "Connected": ("True", "Polling")}
            assert told | expected == told, f"not converged: {told}"
        self._require_playable()
        require_whole(self.box.root, {"2.0.0"}, frozenset())
        assert self.box.configuration() == self.after
        assert central.reports[-1].generation == central.generation
        assert [central.logs.get("logs"), len(central.playbacks)] == [central.logs["logs"], 20]
        assert central.backups and central.mirrors, "no backup, or no mirror, was left"
        alarms = [e for report in central.reports for e in report.events if e.reason in ALARMS]
        assert not alarms, f"an alarm: {alarms}"


FOREIGN: Final = frozenset(
    {
        "portal: a login as JSON",
        "portal: a list as JSON",
        "portal: an envelope that ends too soon",
        "length: shorter than it is",
        "length: of nothing",
        "encoding: a bomb that does not say so",
    }
)
"""Nobody can tell these from a blob but by its digest."""
MEANT: Final = frozenset(
    {("in the way: 400 with a problem", "analytics"), ("in the way: 404 with a problem", "trust")}
    | {("portal: 204", kind) for kind in UPLOADS}
)
"""What the control plane itself says so: a batch is none (it is put aside), there is no such root, it was kept."""
ALARMS: Final = frozenset({"TrustRefused", "InternalError", "ReleaseFailed", "StateDamaged", "StateLost"})


def is_slow(fault: str) -> bool:
    """Whether it is about time, and so wants little of it."""
    return fault.startswith(("silence", "drip", "flood", "length: in chunks with endless"))


def _resident() -> int:
    """Bytes that this process has in memory; the peak is measured from now on."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _peak() -> int:
    return _status("VmHWM")


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


@contextmanager
def update(tls: bool = False) -> Iterator[Update]:
    """An update in memory, its control plane, and its log."""
    memory = Path("/dev/shm")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(dir=memory if memory.is_dir() else None)))
        box = Box(folder / "template")
        authority = Authority(folder, "own") if tls else None
        box.ca = authority.ca_file if authority is not None else None
        context = authority.server_context() if authority is not None else None
        wire = stack.enter_context(Wire(lambda asked: answer_from(box.central, asked), context).serving())
        made = Update(folder, box, wire)
        logger = logging.getLogger()
        level = logger.level
        logger.addHandler(made.listener)
        logger.setLevel(logging.INFO)
        for noisy in ("httpx", "httpcore"):
            logging.getLogger(noisy).setLevel(logging.WARNING)  # as the command does
        try:
            yield made
        finally:
            logger.removeHandler(made.listener)
            logger.setLevel(level)


def _played(number: int) -> dict[str, Any]:
    at = f"2026-03-01T15:00:{number:02d}.000Z"
    played = {"video_filename": "but.mp4", "category": "MATCH", "played_at": at, "duration_played": 12.5}
    return played | {"video_duration": 30, "completed": False, "trigger_type": "manual", "session_id": "s"}
