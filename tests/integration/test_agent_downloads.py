"""Several videos on their way at once: side by side, within one limit, each for itself, and stopped together."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler_agent.app import Agent
from reconciler_agent.download import BURST_S, Throttle
from reconciler_agent.draft import Draft
from reconciler_agent.errors import NetworkTrouble
from schemas.manifest import ManifestBandwidth
from schemas.names import Digest
from tests.support.agent_world import AgentWorld, clip, manifest_of
from tests.support.hurried_clock import HurriedClock
from tests.support.patience import PATIENCE_S

AT_ONCE = 3
DATA = [f"clip {number} ".encode() * 2000 for number in range(5)]
CLIPS = [clip(f"clip-{number}", data) for number, data in enumerate(DATA)]


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    made = AgentWorld(tmp_path)
    made.settings = replace(made.settings, downloads=AT_ONCE)
    for data in DATA:
        made.central.add(data)
    return made


def partials(world: AgentWorld) -> list[int]:
    """How much of each file that is on its way has come."""
    return sorted(p.stat().st_size for p in (world.root / "data/agent/partial").glob("content-*"))


def downloading() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("download")]


def test_as_many_as_may_be_are_on_their_way_at_once_and_no_more(world: AgentWorld) -> None:
    together = threading.Barrier(AT_ONCE)
    waiting, most, lock = [0], [0], threading.Lock()

    def meet(_: Digest) -> None:
        with lock:
            waiting[0] += 1
            most[0] = max(most[0], waiting[0])
        together.wait(PATIENCE_S)  # none goes on before all have begun
        with lock:
            waiting[0] -= 1

    world.central.on_download = meet
    world.central.publish(manifest_of(CLIPS[:AT_ONCE]))
    world.converge()

    assert most[0] == AT_ONCE
    assert [(world.root / file.path).read_bytes() for file, _ in CLIPS[:AT_ONCE]] == DATA[:AT_ONCE]

    together = threading.Barrier(1)
    world.central.publish(manifest_of(CLIPS))
    world.converge()
    assert most[0] == AT_ONCE
    assert world.conditions()["Synced"] == ("True", "Converged")
    assert downloading() == []


def test_one_that_fails_holds_up_no_other(world: AgentWorld) -> None:
    lost = world.central.blobs.pop(CLIPS[1][0].digest)
    world.central.publish(manifest_of(CLIPS))
    world.converge()

    assert [(world.root / file.path).exists() for file, _ in CLIPS] == [True, False, True, True, True]
    assert world.conditions()["Connected"][0] == "False"

    world.central.add(lost)
    world.converge()
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_same_bytes_under_two_names_are_fetched_once(world: AgentWorld) -> None:
    twin = clip("twin", DATA[0])
    world.central.publish(manifest_of([CLIPS[0], twin, CLIPS[1]]))
    world.converge()

    assert sorted(world.central.fetched) == sorted({CLIPS[0][0].digest, CLIPS[1][0].digest})
    assert (world.root / twin[0].path).read_bytes() == DATA[0]


def test_agent_that_is_stopped_ends_all_keeps_what_came_and_takes_it_up_in_its_next_life(world: AgentWorld) -> None:
    together = threading.Barrier(AT_ONCE)

    def stop(agent: Agent) -> None:
        together.wait(PATIENCE_S)
        agent.loop.stop()

    world.central.publish(manifest_of(CLIPS))
    with world.agent() as agent:
        world.central.on_download = lambda _digest: stop(agent)
        world.settle(agent)
        assert downloading() == []
    assert partials(world) == sorted(len(data) // 2 for data in DATA[:AT_ONCE])
    assert not list((world.root / "videos/ANNONCES").glob("*"))

    had: list[int] = []
    real = world.central.download

    def noted(digest: Digest, size_bytes: int, sink: Draft, on_bytes: Callable[[int], None] | None = None) -> None:
        had.append(sink.size_bytes)
        real(digest, size_bytes, sink, on_bytes)

    world.central.on_download = None
    world.central.download = noted  # type: ignore[method-assign]
    world.converge()
    assert world.conditions()["Synced"] == ("True", "Converged")
    assert [(world.root / file.path).read_bytes() for file, _ in CLIPS] == DATA
    assert partials(world) == []
    assert sorted(had) == [0, 0, *sorted(len(data) // 2 for data in DATA[:AT_ONCE])]


def test_network_that_breaks_under_all_of_them_keeps_what_came(world: AgentWorld) -> None:
    def cut(_: int) -> None:
        raise NetworkTrouble("cannot reach the control plane: the cable is out")

    real = world.central.download
    world.central.download = (  # type: ignore[method-assign]
        lambda digest, size_bytes, sink, _on_bytes=None: real(digest, size_bytes, sink, cut)
    )
    world.central.publish(manifest_of(CLIPS))
    world.converge()
    assert partials(world) == sorted(len(data) // 2 for data in DATA)
    assert world.conditions()["Connected"][0] == "False"


class Clock(HurriedClock):
    """A clock that nobody set."""

    def believed(self) -> None:
        return None


def test_one_limit_holds_for_all_threads_together() -> None:
    clock = Clock(factor=500.0)
    throttle, limit_bytes_s, threads, pieces = Throttle(clock), 10_000, 4, 50
    throttle.obey(ManifestBandwidth(limit_bytes_s=limit_bytes_s), None)
    began_s = clock.monotonic()

    def take() -> None:
        for _ in range(pieces):
            throttle.take(1000)

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(take) for _ in range(threads)]:
            done.result(PATIENCE_S)

    assert clock.monotonic() - began_s >= threads * pieces * 1000 / limit_bytes_s - BURST_S
