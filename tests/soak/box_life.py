"""The life of a box, day by day: at work for nine weeks, and alone for half a year.

The agent is a process of its own (`tests.soak.box`); what it asks and what surrounds it is here: a control plane on a
real socket that signs, and goes wrong; services, the screen, whoever works on the box.
"""

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pyrage
from cryptography.hazmat.primitives import serialization

from schemas.manifest import ManifestBackup, ManifestOperation, ReleaseTarget, SiteManifest
from schemas.names import digest_of
from tests.faults.boxes import KEY
from tests.faults.faults import FAULTS
from tests.faults.wire import Line, Wire, answer_from, be_honest
from tests.soak.counting import Figures, descriptors, each_file, folder, process
from tests.support.agent_world import Central, clip, manifest_of
from tests.support.live_box import SICK, LiveBox, application
from tests.support.trust_world import NOW, SITE

HOUR: Final = 3600.0
DAY: Final = 24 * HOUR
HOLD_S: Final = 1.05
"""A poll is held for so long, in real time: shorter, and the agent would ask less often."""
PATIENCE_S: Final = 120.0
RECOVERY: Final = pyrage.x25519.Identity.generate()
TROUBLES: Final = (
    "cut: reset in the middle of the body",
    "in the way: 503 with a problem",
    "portal: a page as JSON",
    "cut: closed in the headers",
)
OWN: Final = {
    "state": "state",
    "of the box": "neopro/data/agent",
    "videos": "neopro/videos",
    "releases": "neopro/releases",
}
PLAYED: Final = 200
PLAYED_ALONE: Final = 1_000
"""Events, between two drains: offline a file is taken when it is large."""


class ControlPlane:
    """Of one site, on a real socket: polls are held, and everything may be made to go wrong."""

    def __init__(self) -> None:
        self.central = Central()
        self.wire = Wire(lambda asked: answer_from(self.central, asked))
        self.wire.act = self._answer
        self.trouble: Callable[[Line], None] | None = None
        self._news = threading.Condition()
        self.polls = self.reports = 0

    def tell(self) -> None:
        """Let those that are held look again."""
        with self._news:
            self._news.notify_all()

    @contextmanager
    def unwell(self, trouble: Callable[[Line], None]) -> Iterator[None]:
        """Every request meets this."""
        self.trouble = trouble
        self.tell()
        try:
            yield
        finally:
            self.trouble = None

    def _answer(self, line: Line) -> None:
        is_poll = line.asked.path.endswith("/head")
        self.polls, self.reports = self.polls + is_poll, self.reports + line.asked.path.endswith("/status")
        if is_poll and self.trouble is None:
            self._hold(line)
        if self.trouble is not None:
            line.last = True
            self.trouble(line)
            return
        be_honest(line)

    def _hold(self, line: Line) -> None:
        """While it is the head that the box has."""
        known, held = line.asked.headers.get("if-none-match"), self.central.envelope
        assert held is not None
        if known == f'"{digest_of(held)[7:23]}"':
            with self._news:
                self._news.wait_for(lambda: self.central.envelope != held or self.trouble is not None, HOLD_S)


class BoxLife:
    """A box and everything around it. `turn` is a period after which all is as it was, but for what may grow."""

    def __init__(self, at: Path, box: LiveBox, plane: ControlPlane) -> None:
        self._folder, self._box, self.plane = at, box, plane
        self.central = plane.central
        self._numbers = itertools.count(1)
        self._release: ReleaseTarget | None = None
        self._passed_s = 0.0
        self._process: subprocess.Popen[str] | None = None
        self.days = 0

    @property
    def now(self) -> datetime:
        """By the box's clock, which is right."""
        return NOW + timedelta(seconds=self._passed_s)

    # The agent

    def tell(self, *words: str) -> Any:
        """Tell the agent's process; what it answers."""
        assert self._process is not None and self._process.stdin and self._process.stdout
        self._process.stdin.write(" ".join(words) + "\n")
        self._process.stdin.flush()
        said = self._process.stdout.readline()
        assert said, "the agent has ended"
        answer = msgspec.json.decode(said)
        self._passed_s = answer["passed_s"]
        return answer["value"]

    def pass_time(self, hours: float) -> None:
        """Let rounds go on; everything of the past is forgotten here."""
        self.tell("pass", str(hours * HOUR))
        self.tell("state")  # is answered when the time has passed
        for kept in (self.central.reports, self.central.batches, self.central.mirrors, self.central.backups):
            kept.clear()
        self.central.logs.clear()
        self.plane.wire.asked.clear()
        self._box.services.calls.clear()

    def publish(self, **changed: Any) -> None:
        """Another film beside the one that stays; the agent has heard of it when this returns."""
        number = next(self._numbers)
        films = {"stays": b"a film that stays" * 200, f"film-{number}": f"film {number}".encode() * 300}
        for film in films.values():
            self.central.add(film)
        wanted = manifest_of([clip(n, d) for n, d in films.items()], self._release, **changed)
        envelope = self._sign(wanted)
        self.plane.tell()
        self.tell("hear", digest_of(envelope))

    def _sign(self, wanted: SiteManifest) -> bytes:
        return self.central.publish(
            msgspec.structs.replace(wanted, backup=ManifestBackup(recipient=str(RECOVERY.to_public()))),
            issued_at=self.now,
            expires_at=self.now + timedelta(days=7),
        )

    # What happens to a box

    def day_at_work(self) -> None:
        """A day of everything, which ends as it began."""
        self.days += 1
        self.publish()
        self.pass_time(2)
        self.edit()
        self.play()
        self.pass_time(2)
        self.publish(operations=self._operations())
        self.pass_time(2)
        self.harm()
        self.pass_time(1)
        self.publish()
        for trouble in TROUBLES:
            with self.plane.unwell(FAULTS[trouble]):
                self.pass_time(1)
        with self.plane.unwell(hang_up):
            self.play()
            self.pass_time(2)
        if self.days % 2 == 0:
            self._update()
        if self.days % 4 == 1:
            self.tell("again")
        if self.days % 4 == 3:
            self.tell("reboot")
        self.pass_time(3)
        left_s = self.days * DAY - self._passed_s
        self.pass_time(left_s / HOUR)

    def day_alone(self) -> None:
        """A day without any network: the club plays and edits, services end and are sick; the box is switched off."""
        self.days += 1
        self.edit()
        self._box.services.running.discard("neopro-admin")
        for hour in range(20):
            self.play(PLAYED_ALONE)
            with self._sick() if hour == 10 else nullcontext():
                self.pass_time(1)
        if self.days % 7 == 0:
            self.tell("reboot")
        self.pass_time((self.days * DAY - self._passed_s) / HOUR)

    @contextmanager
    def _sick(self) -> Iterator[None]:
        """The application runs, and does not answer as it should."""
        loaded, self._box._loaded = self._box._loaded, SICK
        try:
            yield
        finally:
            self._box._loaded = loaded

    def come_back(self) -> None:
        """Two days with the network again, without anything else."""
        self.days += 2
        self.publish()
        self.pass_time((self.days * DAY - self._passed_s) / HOUR)

    def hour(self) -> None:
        """A short time in which a little of everything happens."""
        self.publish()
        self.edit()
        self.play()
        self.pass_time(0.5)
        with self.plane.unwell(FAULTS[TROUBLES[1]]):
            self.pass_time(0.5)
        self.pass_time(0.2)

    def _operations(self) -> list[ManifestOperation]:
        """One of each kind, under names that were never used."""
        until = self.now + timedelta(hours=30)
        kinds: dict[str, dict[str, Any]] = {
            "logs": {"action": "fetch_logs"},
            "test": {"action": "self_test"},
            "start": {"action": "restart_service", "service": "neopro-kiosk"},
            "retry": {"action": "retry"},
            "late": {"action": "reboot", "not_after": self.now - timedelta(hours=1)},
        }
        return [
            ManifestOperation(**{"id": f"{name}-{self.days}", "not_after": until} | given)  # type: ignore[arg-type]
            for name, given in kinds.items()
        ]

    def _update(self) -> None:
        """To the next release; every second of them is sick, and the box goes back."""
        number = self.days // 2
        sick = number % 2 == 0
        version = f"1.{number}.0"
        good = self._release
        files = application(version, sick=sick, server__each__py=f"{number}\n".encode() * 99)
        del self.central.allowed[:-2]
        self._release = self.central.add_release(version, files)
        self.publish()
        self.pass_time(1)
        assert self._box.active() == version if not sick else self._box.active() != version, self.tell("state")
        if sick:
            self._release = good
            self.publish()
            self.pass_time(1)

    def edit(self) -> None:
        """The club adds a category of its own, or takes it away again; it counts its edits."""
        path = self._box.root / "data/configuration.json"
        found = json.loads(path.read_bytes())
        kept = [one for one in found["categories"] if one["id"] != "edited"]
        if len(kept) == len(found["categories"]):
            kept.append({"id": "edited", "name": f"Edited on day {self.days}", "videos": []})
        path.write_text(json.dumps(found | {"categories": kept}))

    def play(self, many: int = PLAYED) -> None:
        """The application counts what it played."""
        path = self._box.root / "data/analytics_buffer.json"
        known = json.loads(path.read_bytes()) if path.exists() else []
        played = [
            {"video_filename": "but.mp4", "category": "MATCH", "duration_played": 12.5, "session_id": "s",
             "played_at": (self.now + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.000Z")}
            for number in range(many)
        ]  # fmt: skip
        path.write_text(json.dumps(known + played))

    def harm(self) -> None:
        """A video goes, a file of the release is changed, a service ends."""
        for film in (self._box.root / "videos").rglob("stays-*.mp4"):
            film.unlink()
        (self._box.root / "server/shared.py").write_bytes(b"somebody was here")
        self._box.services.running.discard("neopro-admin")

    # Counting

    def count(self) -> Figures:
        """Everything that the agent holds in memory and on disk."""
        assert self._process is not None
        figures: dict[str, float] = dict(self.tell("count"))
        figures |= {**descriptors(self._process.pid, {"box": self._folder}), **process(self._process.pid)}
        for name, path in OWN.items():
            figures |= folder(name, self._folder / path)
        return {**figures, **each_file("state", self._folder / "state")}

    @contextmanager
    def living(self, seed: str = "") -> Iterator["BoxLife"]:
        """The agent's process runs, and the box has its first release."""
        words = [sys.executable, "-m", "tests.soak.box", str(self._box.conf), *([seed] if seed else [])]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as self._process:
            try:
                self._release = self.central.add_release("1.0.0", application("1.0.0"))
                self._sign(manifest_of([clip("stays", b"a film that stays" * 200)], self._release))
                self.central.add(b"a film that stays" * 200)
                assert self.central.envelope is not None
                self.tell("hear", digest_of(self.central.envelope))
                self.pass_time(0.2)
                assert self._box.active() == "1.0.0", self.tell("state")
                yield self
                self._process.stdin.close()  # type: ignore[union-attr]
                assert self._process.wait(PATIENCE_S) == 0
            finally:
                self._process.kill()


def hang_up(line: Line) -> None:
    """Nobody is there."""
    line.reset()


@contextmanager
def box_life(at: Path, seed: str = "", heal_s: int = 60, report_s: int = 300) -> Iterator[BoxLife]:
    """A box in `at`, with an agent that has converged once; seconds between two of its rounds, and of its reports."""
    plane = ControlPlane()
    with (
        LiveBox(at, SITE, heal_s=str(heal_s), report_s=str(report_s)).switched_on() as box,
        plane.wire.serving() as wire,
    ):
        box.write(url=wire.url)
        (at / "root.json").write_bytes(plane.central.root)
        key = at / "etc/site.key"
        key.parent.mkdir()
        key.touch(0o600)
        key.write_bytes(
            KEY.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        journal = at / "journalctl"
        journal.write_text("#!/bin/sh\necho it was well\n")
        journal.chmod(0o755)
        with BoxLife(at, box, plane).living(seed) as life:
            yield life
