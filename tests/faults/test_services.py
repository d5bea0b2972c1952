"""Releases whose processes do anything but serve, under a supervisor that restarts them, or that is not there."""

import random
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

from reconciler_agent.app import Agent
from tests.faults.services import GONE_BACK_FROM, KEPT, SICK, UNITS, Box
from tests.support.patience import promised, wait_for

SAMPLE: Final = 3
SEED: Final = 20261126
LIMIT_S: Final = 40.0
"""For a failing release, from its activation until the old one is in force again: its test takes four seconds."""


class Tried:
    """Points, and what came of them."""

    def __init__(self) -> None:
        self.points = 0
        self.failures: list[str] = []

    def try_point(self, what: str, point: Callable[[Box], None]) -> None:
        """A fresh box, supervised, with release 1.0.0 in force."""
        self.points += 1
        with TemporaryDirectory(prefix="neopro-services-") as folder:
            try:
                point(Box(Path(folder)))
            except Exception as problem:  # noqa: BLE001 (whatever it is, it is counted)
                self.failures.append(f"{what}: {type(problem).__name__}: {problem}"[:1200])


def start(box: Box, agent: Agent) -> None:
    """Bring release 1.0.0 into force."""
    box.release("1.0.0")
    box.settle_for(agent, lambda: good(agent) == "1.0.0", "release 1.0.0 is good")
    assert [box.serving(unit) for unit in UNITS] == ["1.0.0", "1.0.0"]


def good(agent: Agent) -> str:
    known = agent.store.state.releases
    return known.good.version if known.good is not None and known.attempt is None else ""


def is_back(agent: Agent) -> bool:
    known = agent.store.state.releases
    return known.bad is not None and known.attempt is None


def require_back(box: Box, agent: Agent) -> None:
    """The old release plays, the bad one is known and left alone, and a better one is taken."""
    known = agent.store.state.releases
    assert not known.held, "it was held"
    assert (known.bad and known.bad.target.version, good(agent), box.active()) == ("2.0.0", "1.0.0", "1.0.0")
    wait_for(lambda: [box.serving(unit) for unit in UNITS] == ["1.0.0", "1.0.0"], "the old processes serve")
    asked = len(box.services.restarted)
    for _ in range(3):
        box.settle(agent)
    assert len(box.services.restarted) == asked, "the bad release was tried again, or the good one was disturbed"
    told = box.conditions()
    assert (told["Degraded"][0], told["Synced"][0]) == ("True", "False"), told
    box.release("2.0.1")
    box.settle_for(agent, lambda: good(agent) == "2.0.1", "a better release is taken")
    assert [box.serving(unit) for unit in UNITS] == ["2.0.1", "2.0.1"]
    box.settle(agent)
    assert box.conditions()["Synced"] == ("True", "Converged")


def failing(behaviour: str, who: str) -> Callable[[Box], None]:
    """A release that fails its test is gone back from."""

    def point(box: Box) -> None:
        with box.supervised(), box.agent() as agent:
            start(box, agent)
            box.release("2.0.0", behaviour, who, **SICK)
            box.settle_for(agent, lambda: is_back(agent), "gone back", promised(LIMIT_S))
            require_back(box, agent)

    return point


def kept(behaviour: str, who: str) -> Callable[[Box], None]:
    """A release that is odd and well is kept."""

    def point(box: Box) -> None:
        with box.supervised(), box.agent() as agent:
            start(box, agent)
            box.release("2.0.0", behaviour, who)
            box.settle_for(agent, lambda: good(agent) == "2.0.0", "release 2.0.0 is good")
            assert agent.store.state.releases.bad is None
            box.release("2.0.1")
            box.settle_for(agent, lambda: good(agent) == "2.0.1", "and the one after it")
            assert [box.serving(unit) for unit in UNITS] == ["2.0.1", "2.0.1"]

    return point


def dying_after_its_test(box: Box) -> None:
    """It stood its test: it stays, is started again by its supervisor, and is told to be unwell while it is."""
    with box.supervised(), box.agent() as agent:
        start(box, agent)
        box.release("2.0.0", "dies after its test", within_s=20)
        box.settle_for(agent, lambda: good(agent) == "2.0.0", "release 2.0.0 is good")
        asked = len(box.services.restarted)
        wait_for(lambda: not box.serving("neopro-app"), "it dies")
        wait_for(lambda: box.serving("neopro-app") == "2.0.0", "its supervisor starts it")
        for _ in range(3):
            box.settle(agent)
        assert (good(agent), agent.store.state.releases.bad) == ("2.0.0", None)
        assert len(box.services.restarted) - asked <= 1, "the agent joins in"


def without_supervisor_before_the_switch(box: Box) -> None:
    """Nobody can restart anything: nothing is switched, and nothing is held against the release."""
    with box.agent() as agent:
        with box.supervised():
            start(box, agent)
        box.release("2.0.0")
        for _ in range(3):
            box.settle(agent)
        known = agent.store.state.releases
        assert (box.active(), known.bad, known.held, known.attempt) == ("1.0.0", None, False, None)
        assert box.conditions()["Degraded"] == ("True", "ServiceFailed")
        with box.supervised():
            box.settle_for(agent, lambda: good(agent) == "2.0.0", "it is back")
            assert [box.serving(unit) for unit in UNITS] == ["2.0.0", "2.0.0"]


def supervisor_that_ends_in_the_test(box: Box) -> None:
    """The test fails and so does the way back, until there is a supervisor again: then what plays is found well."""
    with box.agent() as agent:
        with box.supervised():
            start(box, agent)
            box.release("2.0.0", "hangs before it listens", within_s=8, settle_s=2)
            agent.loop.reconcile_once(box.central.envelope)
            assert agent.store.state.releases.attempt is not None
        box.settle_for(agent, lambda: agent.store.state.releases.held, "held", promised(LIMIT_S))
        with box.supervised():
            box.settle_for(agent, lambda: not agent.store.state.releases.held, "no longer held")
            require_back(box, agent)


def supervisor_that_stands_still(box: Box) -> None:
    """It takes a request and never answers: no round hangs for longer than the limit, and all goes on afterwards."""
    with box.supervised() as supervisor, box.agent() as agent:
        start(box, agent)
        box.release("2.0.0")
        supervisor.send_signal(signal.SIGSTOP)
        try:
            box.settle(agent)
            assert (box.active(), agent.store.state.releases.bad) == ("1.0.0", None)
        finally:
            supervisor.send_signal(signal.SIGCONT)
        box.settle_for(agent, lambda: good(agent) == "2.0.0", "it goes on")


def points() -> dict[str, Callable[[Box], None]]:
    """Every behaviour on either unit, and what becomes of the supervisor."""
    found = {f"{who} {behaviour}": failing(behaviour, who) for behaviour in GONE_BACK_FROM for who in UNITS}
    found |= {f"{who} {behaviour}": kept(behaviour, who) for behaviour in KEPT for who in UNITS}
    return found | {
        "neopro-app dies after its test": dying_after_its_test,
        "no supervisor before the switch": without_supervisor_before_the_switch,
        "supervisor ends in the test": supervisor_that_ends_in_the_test,
        "supervisor stands still": supervisor_that_stands_still,
    }


@pytest.mark.timeout(3600)
def test_services_that_do_anything_but_serve_are_gone_back_from_and_the_box_plays(
    long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    tried, table = Tried(), points()
    chosen = list(table) if long else random.Random(SEED).sample(sorted(table), SAMPLE)
    with ThreadPoolExecutor(SAMPLE) as pool:  # a point is a box of its own, and little but waiting
        list(pool.map(lambda what: tried.try_point(what, table[what]), chosen))
    with capsys.disabled():
        print(f"\nservices: {tried.points} points tried of {len(table)}, {len(tried.failures)} failures")
    assert not tried.failures, "\n".join(tried.failures)
