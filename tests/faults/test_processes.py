"""The agent's own process: told to end, or made to stand still, at every call by which it changes the box.

A life runs in a fork, as `neopro-agent run` lives: SIGTERM is caught, SIGSTOP cannot be.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from reconciler_agent.__main__ import end
from reconciler_agent.system_calls import Calls
from tests.crash.dying import counting, in_child
from tests.crash.lives import Update
from tests.crash.scenario import OLD_CLIPS
from tests.crash.trial import WRONG
from tests.support import trust_world
from tests.support.agent_world import AgentWorld, FastClock, application, clip, manifest_of
from tests.support.live_box import LiveBox
from tests.support.patience import PATIENCE_S, promised, wait_for

SAMPLE: Final = 4
SEED: Final = 20261126
HURRY: Final = 20.0
END_S: Final = 8.0
"""Longest from SIGTERM to the end: the step that is under way, and no other."""
STILL_S: Final = 1.5
"""Half a minute of the agent's: longer than a release may take to become healthy."""


class Hurried(FastClock):
    """Time that passes by itself, faster than it does."""

    def __init__(self) -> None:
        self._began_s = time.monotonic()
        super().__init__()

    @property
    def elapsed_s(self) -> float:
        return (time.monotonic() - self._began_s) * HURRY

    @elapsed_s.setter
    def elapsed_s(self, _: float) -> None:
        """It cannot be set."""

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds / HURRY)


class Lives:
    """Points of an update at which a signal comes, and what came of them."""

    def __init__(self, folder: Path) -> None:
        self.scenario = Update(folder)
        self.points, self.failures, self.longest_s = 0, list[str](), 0.0
        self.calls = len(self.scenario.calls())

    def try_all(self, points: list[int], point: Callable[[int], None]) -> None:
        """Each of these calls."""
        for number in points:
            self.points += 1
            self.scenario.reset()
            try:
                point(number)
            except WRONG as problem:
                self.failures.append(f"at call {number}: {type(problem).__name__}: {problem}"[:600])

    def end_at(self, number: int) -> None:
        """SIGTERM at this call: it ends soon, well, and leaves nothing that the next life does not take up."""
        sent = Path(self.scenario.outside)

        def told(count: int, *_: Any) -> None:
            if count == number:
                sent.write_text(repr(time.monotonic()))
                os.kill(os.getpid(), signal.SIGTERM)

        status = in_child(lambda: self._live(counting(told, lambda _: None)))
        assert status == 0, f"it ended with {status}"
        if not sent.exists():
            return self._uncount()
        took_s = time.monotonic() - float(sent.read_text())
        self.longest_s = max(self.longest_s, took_s)
        assert took_s < promised(END_S), f"it ended only after {took_s:.1f} s"
        self._require_sound()
        return None

    def stand_still_at(self, number: int) -> None:
        """SIGSTOP at this call, SIGCONT after every deadline: it goes on, and comes to its end in the same life."""
        pid = os.fork()
        if pid == 0:
            self._be(
                counting(lambda n, *_: os.kill(os.getpid(), signal.SIGSTOP) if n == number else None, lambda _: None)
            )
        _, status = os.waitpid(pid, os.WUNTRACED)
        if status == 0:
            return self._uncount()
        assert os.WIFSTOPPED(status), f"it ended with {status}"
        time.sleep(STILL_S)
        os.kill(pid, signal.SIGCONT)
        _, status = os.waitpid(pid, 0)
        assert status == 0, f"it ended with {status}"
        self.scenario.require_playable()
        assert self.scenario.look() == {"configuration": self.scenario.after, "version": self.scenario.ends_on}
        self._require_sound()
        return None

    def _uncount(self) -> None:
        """The box was as desired before that call: what is removed after a grace is not part of this life."""
        self.points -= 1

    def _require_sound(self) -> None:
        self.scenario.require_playable()
        assert in_child(self.scenario.update) == 0, "the next life failed"
        self.scenario.require_converged()
        self.scenario.require_rest()

    def _be(self, calls: Calls) -> None:
        """This process, until the update has come to its end."""
        status = 1
        try:
            self._live(calls)
            status = 0
        finally:
            os._exit(status)

    def _live(self, calls: Calls) -> None:
        """As the command lives, until the box is as desired or it is told to end."""
        scenario, world = self.scenario, self.scenario.world
        scenario.settings()
        world.settings, world.clock = scenario.settings(), Hurried()
        with world.agent(calls) as agent:
            for number in (signal.SIGTERM, signal.SIGALRM):
                signal.signal(number, lambda *_: end(agent.loop))
            self._end_when_converged(agent)
            signal.alarm(int(promised(PATIENCE_S)))  # a point that does not come to be must not hang
            agent.loop.run_forever()

    def _end_when_converged(self, agent: Any) -> None:
        take = self.scenario.world.central.report

        def report(said: Any) -> None:
            take(said)
            if said.generation == self.scenario.world.central.generation:
                agent.loop.stop()

        self.scenario.world.central.report = report  # type: ignore[method-assign]


@contextmanager
def lives() -> Iterator[Lives]:
    """In memory where there is such a file system."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="neopro-lives-") as folder:
        yield Lives(Path(folder))


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", ["SIGTERM", "SIGSTOP"])
def test_signal_at_any_call_ends_or_delays_the_agent_and_nothing_else(
    what: str, long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with lives() as tried:
        every = list(range(1, tried.calls + 1))
        chosen = every if long else sorted(random.Random(SEED).sample(every, SAMPLE))
        tried.try_all(chosen, tried.end_at if what == "SIGTERM" else tried.stand_still_at)
    with capsys.disabled():
        ended = f"; the longest took {tried.longest_s:.1f} s to end" if what == "SIGTERM" else ""
        print(f"\n{what}: {tried.points} points tried of {tried.calls} calls, {len(tried.failures)} failures{ended}")
    assert not tried.failures, "\n".join(tried.failures[:20])


# Two of them


def test_second_agent_on_a_box_is_refused_in_a_sentence_and_the_first_goes_on(tmp_path: Path) -> None:
    with LiveBox(tmp_path).switched_on() as box:
        box.run("identity")
        (box.folder / "root.json").write_bytes(trust_world.sign_root(trust_world.root()))
        with box.agent() as first:
            wait_for(lambda: list((box.folder / "state").glob("state-*")), "the first agent has begun")
            wait_for(lambda: box.run("once").returncode == 2, "the first agent holds the lock")
            before = box.contents()
            second = box.run("once")
            also = box.run("run")
            assert first.poll() is None
            assert box.contents() == before
    for refused in (second, also):
        assert refused.returncode == 2
        assert refused.stderr.startswith("neopro-agent: cannot lock")
        assert "another agent runs on it; stop that one first" in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1


def test_two_machines_with_one_identity_both_play_and_tell_themselves_apart(tmp_path: Path) -> None:
    """A card that was copied: neither harms the other, and whoever reads the reports can see that there are two."""
    first = AgentWorld(tmp_path / "first")
    for data in OLD_CLIPS.values():
        first.central.add(data)
    release = first.central.add_release("1.0.0", application("1.0.0"))
    first.central.publish(manifest_of([clip(n, d) for n, d in OLD_CLIPS.items()], release))
    first.converge()
    shutil.copytree(tmp_path / "first", tmp_path / "second", symlinks=True)
    second = AgentWorld.__new__(AgentWorld)
    second.__dict__.update(first.__dict__ | {"folder": tmp_path / "second", "root": tmp_path / "second/neopro"})
    second.settings = second.read_settings()
    first.central.publish(manifest_of([], release))
    with first.agent() as one, second.agent() as other:
        for _ in range(3):
            assert not first.settle(one).failures
            first.clock.sleep(400)
            assert not second.settle(other).failures
    told = first.central.reports[-4:]
    assert len({report.run_id for report in told}) == 2, "they cannot be told apart"
    for world in (first, second):
        assert world.active() == "1.0.0"
        assert not list((world.root / "videos/ANNONCES").glob("*.mp4"))
        assert world.club_video.read_bytes() == b"the club's own"
