"""The box's own application, as broken as a network can be: the agent asks it, and is never kept up by it."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from reconciler_agent import box_app
from reconciler_agent.box_app import BoxApp
from tests.faults.faults import FAULTS
from tests.faults.network import is_slow
from tests.faults.wire import Asked, Line, Reply, Wire, be_honest
from tests.support.hurried_clock import HurriedClock
from tests.support.patience import promised

SAMPLE: Final = 40
SEED: Final = 20261126
WITHIN_S: Final = 0.3
LIMIT_S: Final = 6.0
KINDS: Final = ("health page", "handshake", "events", "message")
SCORE: Final = '42["score-update",{"homeScore":0,"awayScore":0}]'
PHASE: Final = '42["phase-change",{"phase":"neutral"}]'
RELOAD: Final = '42["action",{"type":"reload-config"}]'


def kind_of(asked: Asked) -> str:
    """What was asked for."""
    if asked.path == "/":
        return "health page"
    if asked.method == "POST":
        return "message"
    return "events" if "sid=" in asked.path else "handshake"


def answer(asked: Asked) -> Reply:
    """What a well application says."""
    said = {
        "health page": '{"status": "ok", "connections": 1}',
        "handshake": '0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}',
        "events": "\x1e".join(('40{"sid":"y"}', SCORE, PHASE, RELOAD)),
        "message": "ok",
    }
    return Reply(200, {"Content-Type": "text/plain; charset=UTF-8"}, said[kind_of(asked)].encode())


@contextmanager
def application() -> Iterator[Wire]:
    """It serves."""
    wire = Wire(answer)
    with wire.serving():
        yield wire


@contextmanager
def asking(wire: Wire) -> Iterator[BoxApp]:
    """The agent's side of it, with connections of its own."""
    app = BoxApp(wire.url, HurriedClock(1.0))
    try:
        yield app
    finally:
        app.close()


def try_point(fault: str, kind: str) -> str:
    """What is wrong when this request goes wrong so; empty where nothing is."""
    with application() as wire:

        def meet(line: Line) -> None:
            line.last = kind_of(line.asked) == kind
            (FAULTS[fault] if line.last else be_honest)(line)

        wire.act = meet
        started_s = time.monotonic()
        with asking(wire) as app:
            state, notice = app.state(), app.notify()
        took_s = time.monotonic() - started_s
        if took_s > promised(LIMIT_S):
            return f"it took {took_s:.1f} s"
        if state is not None and state.match:
            return "a match was seen where none is"
        wire.act = be_honest
        with asking(wire) as app:
            after = app.state()
            well = after is not None and not after.match and after.connections == 1
            return "" if well and app.notify() == "told" else f"then it was not well: {state}, {notice}, {after}"


@pytest.mark.timeout(3600)
def test_application_that_answers_anything_keeps_the_agent_up_for_moments_only(
    long: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    points = [(fault, kind) for fault in FAULTS for kind in KINDS]
    failures = []
    tried = points if long else random.Random(SEED).sample(points, SAMPLE)
    for fault, kind in tried:
        monkeypatch.setattr(box_app, "STATE_S", WITHIN_S if is_slow(fault) else 30.0)
        monkeypatch.setattr(box_app, "NOTICE_S", WITHIN_S if is_slow(fault) else 30.0)
        if problem := try_point(fault, kind):
            failures.append(f"{kind}: {fault}: {problem}")
    with capsys.disabled():
        print(f"\nscreen: {len(tried)} points tried of {len(points)}, {len(failures)} failures")
    assert not failures, "\n".join(failures[:20])
