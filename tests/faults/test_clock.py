"""A box whose clock is wrong, and may even be believed: at every phase of an update, by every amount.

The clock of the machine jumps; the monotonic one goes on. Nothing but the hours may depend on the first.
"""

import itertools
import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from reconciler_agent.app import Agent
from reconciler_agent.core.report import Round
from schemas.manifest import ManifestMaintenance, ManifestOperation, ManifestWindow
from tests.crash.whole import require_club
from tests.support.agent_world import AgentWorld, application, clip, manifest_of
from tests.support.trust_world import DAY, NOW

SAMPLE: Final = 24
SEED: Final = 20261126
YEAR: Final = timedelta(days=365)
JUMPS: Final = {
    "to 1970": -(NOW - NOW.replace(year=1970)),
    "to 2038": NOW.replace(year=2038, month=1, day=20) - NOW,
    "ten years on": 10 * YEAR,
    "ten years back": -10 * YEAR,
    "a year on": YEAR,
    "a year back": -YEAR,
    "a week on": 8 * DAY,
    "two days back": -2 * DAY,
    "a day on": DAY,
    "a day back": -DAY,
    "an hour on": timedelta(hours=1),
    "an hour back": -timedelta(hours=1),
    "a second back": -timedelta(seconds=1),
}
BELIEFS: Final = {
    "unsynchronised": (False, False),
    "synchronised before": (True, False),
    "synchronised after": (False, True),
    "synchronised": (True, True),
}
"""Whether the clock is believed before the jump, and after it."""
PHASES: Final = ("before the first round", "between rounds", "in a download", "in a restart", "while it is tested",
                 "before the report")  # fmt: skip
SHOWN: Final = clip("shown", b"shown " * 200, until=(NOW + 30 * DAY).date())
COMING: Final = clip("coming", b"coming " * 300)
NIGHTLY: Final = ManifestMaintenance(
    windows=[ManifestWindow(kind="weekly", days=["mon"], from_="03:00", to="05:00")], max_deferral_s=3 * 86_400
)
HELD_BACK: Final = 2 * DAY
"""How far a head may be from a clock that is believed: more, and it is refused as from the future."""


def believes(jump: str, belief: str) -> bool:
    """Whether the box must take the jumped time for true, and so refuse what is not of that time."""
    return BELIEFS[belief][1] and not -DAY <= JUMPS[jump] < 7 * DAY - timedelta(hours=1)


class Box(AgentWorld):
    """A box with a release and a film of a campaign; `jump` is what its clock does at a phase."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        journal = folder / "journalctl"
        journal.write_text("#!/bin/sh\necho it was well\n")
        journal.chmod(0o755)
        for _, data in ((SHOWN, b"shown " * 200), (COMING, b"coming " * 300)):
            self.central.add(data)
        self.first = self.central.add_release("1.0.0", application("1.0.0"))
        self.second = self.central.add_release("2.0.0", application("2.0.0"))
        self.central.publish(manifest_of([SHOWN], self.first))
        self.before: set[str] = set()

    def publish(self, **more: Any) -> None:
        """The update."""
        logs = ManifestOperation(id="logs", action="fetch_logs", not_after=self.clock.now() - self.clock.off + DAY)
        self.central.publish(manifest_of([SHOWN, COMING], self.second, operations=[logs], **more))

    def jumping(self, phase: str, jump: Callable[[], None]) -> None:
        """Let the clock jump at this phase, once."""
        once = itertools.count()

        def act(*_: object) -> None:
            if next(once) == 0:
                jump()

        match phase:
            case "before the first round" | "between rounds":
                jump()
            case "in a download":
                self.central.on_download = act
            case "in a restart":
                self._before(self.units, "restart", act)
            case "while it is tested":
                self._before(self.units, "state", lambda: act() if self.active() == "2.0.0" else None)
            case "before the report":
                self._before(self.central, "report", act)

    def _before(self, where: Any, name: str, act: Callable[[], object]) -> None:
        real = getattr(where, name)

        def made(*arguments: Any) -> Any:
            act()
            return real(*arguments)

        setattr(where, name, made)

    def alarms(self) -> list[str]:
        """Reasons of events that somebody would be called for."""
        numbered = {e.number: e for report in self.central.reports for e in report.events}
        return [f"{e.reason}: {e.message}" for e in numbered.values() if e.severity != "info"]

    def require_playable(self) -> None:
        """Whole, and everything of the club's."""
        require_club(self.club, self.configuration())
        assert self.club_video.read_bytes() == b"the club's own"
        assert self.active() in ("1.0.0", "2.0.0")
        for path in (p for p in (SHOWN[0].path, COMING[0].path) if p in json.dumps(self.configuration())):
            assert (self.root / path).exists(), f"{path} is shown and not there"


class Table:
    """Points, and what came of them."""

    def __init__(self) -> None:
        self.points = 0
        self.failures: list[str] = []

    def try_point(self, jump: str, belief: str, phase: str) -> None:
        """A box, its update, and a clock that jumps in it; then the clock is right again."""
        self.points += 1
        memory = Path("/dev/shm")
        with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
            try:
                self._try(Box(Path(folder)), jump, belief, phase)
            except Exception as problem:  # noqa: BLE001 (whatever it is, it is counted)
                what = f"{jump}, {belief}, {phase}"
                self.failures.append(f"{what}: {type(problem).__name__}: {problem}"[:1200])

    def _try(self, box: Box, jump: str, belief: str, phase: str) -> None:
        before, after = BELIEFS[belief]
        box.clock.reliable = before
        box.converge()
        assert box.conditions()["Synced"] == ("True", "Converged")
        box.publish()

        def act() -> None:
            box.clock.off, box.clock.reliable = JUMPS[jump], after

        with box.agent() as agent:
            if phase == "between rounds":
                box.clock.sleep(60)
                agent.loop.reconcile_once(None)
            box.jumping(phase, act)
            self._rounds(box, agent)
            box.require_playable()
            self._require(
                box, believed=believes(jump, belief), late=phase not in ("before the first round", "between rounds")
            )
            box.clock.off, box.clock.reliable = timedelta(), True
            self._rounds(box, agent)
            self._require_converged(box)
        box.converge()
        self._require_converged(box)

    def _rounds(self, box: Box, agent: Agent) -> Round:
        """Four minutes."""
        for _ in range(3):
            box.settle(agent)
            box.clock.sleep(60)
        return box.settle(agent)

    def _require(self, box: Box, *, believed: bool, late: bool) -> None:
        """On a clock that is not believed all goes on as ever; one that is believed may make the news too old."""
        if not believed:
            assert not box.alarms(), box.alarms()
            self._require_converged(box)
        elif not late:
            assert box.active() == "1.0.0", "what is too old, or from the future, was taken"

    def _require_converged(self, box: Box) -> None:
        box.require_playable()
        told = box.conditions()
        assert (told["Synced"], told["Degraded"][0]) == (("True", "Converged"), "False"), told
        assert box.active() == "2.0.0"
        assert {SHOWN[0].path, COMING[0].path} <= {str(p.relative_to(box.root)) for p in box.root.rglob("videos/*/*")}
        assert box.central.reports[-1].generation == box.central.generation


def points() -> list[tuple[str, str, str]]:
    """Every jump, belief and phase."""
    return list(itertools.product(JUMPS, BELIEFS, PHASES))


@pytest.mark.timeout(1800)
def test_clock_that_jumps_at_any_phase_does_no_harm_and_is_overcome(
    long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = Table()
    for point in points() if long else random.Random(SEED).sample(points(), SAMPLE):
        tried.try_point(*point)
    with capsys.disabled():
        print(f"\nclocks: {tried.points} points tried of {len(points())}, {len(tried.failures)} failures")
    assert not tried.failures, "\n".join(tried.failures[:20])
