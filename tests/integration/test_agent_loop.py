"""The agent on a box of files: it converges, heals, goes back, holds, and leaves alone what is not its own."""

import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler_agent.app import open_files
from reconciler_agent.errors import AlreadyRunning
from reconciler_agent.loop import Loop
from reconciler_agent.observe import SystemClock
from schemas.manifest import ListRef, SiteManifest, encode_canonical
from schemas.names import Digest, digest_of
from tests.support import trust_world
from tests.support.agent_world import AgentWorld, application, manifest_of
from tests.support.box_of_clips import (
    A,
    B,
    C,
    delete_video,
    edit_release_keeping_its_times,
    reasons,
    snapshot,
    world_of_clips,
)
from tests.support.patience import PATIENCE_S, promised


@pytest.fixture
def world(tmp_path: Path) -> AgentWorld:
    return world_of_clips(tmp_path)


def test_first_head_makes_the_box_as_desired(world: AgentWorld) -> None:
    release = world.central.add_release("1.0.0", application("1.0.0"))
    world.central.publish(manifest_of([A, B], release, config={"liveScoreEnabled": False}))

    world.converge()

    last = world.central.reports[-1]
    assert world.conditions()["Synced"] == ("True", "Converged")
    assert (last.generation, last.head_generation) == (world.central.generation,) * 2
    assert last.release is not None and (last.release.version, last.release.tree) == ("1.0.0", release.tree)
    assert world.active() == "1.0.0"
    assert (world.root / A[0].path).read_bytes() == b"a" * 1000
    assert (world.root / A[0].path).stat().st_mode & 0o777 == 0o644
    assert world.configuration()["liveScoreEnabled"] is False
    assert world.units.calls == [("restart", "neopro-app"), ("restart", "neopro-admin")]
    assert world.tv.notices == 1


def test_second_round_writes_restarts_and_notifies_nothing(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A, B], world.central.add_release("1.0.0", application("1.0.0"))))
    with world.agent() as agent:
        world.settle(agent)
        before, calls, notices = snapshot(world.folder), list(world.units.calls), world.tv.notices
        world.clock.sleep(600)
        world.settle(agent)

        assert snapshot(world.folder) == before
    assert (world.units.calls, world.tv.notices) == (calls, notices)


def test_agent_started_anew_on_a_converged_box_writes_nothing(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A, B], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    before, calls, notices = snapshot(world.folder), list(world.units.calls), world.tv.notices

    world.converge()

    assert snapshot(world.folder) == before
    assert (world.units.calls, world.tv.notices) == (calls, notices)


def test_hour_without_news_writes_one_checkpoint(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    with world.agent() as agent:
        world.settle(agent)
        box = snapshot(world.root)
        states = [snapshot(world.folder / "state")]
        for _ in range(125):
            world.clock.sleep(60)
            world.settle(agent)
            if snapshot(world.folder / "state") != states[-1]:
                states.append(snapshot(world.folder / "state"))

        assert len(states) == 3
        assert snapshot(world.root) == box


def test_box_that_missed_ten_commits_goes_straight_to_the_newest(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    world.converge()
    for number in range(9):
        world.central.publish(manifest_of([B], config={"version": str(number)}))
    world.central.publish(manifest_of([C]))
    world.central.fetched.clear()

    world.converge()

    assert world.central.fetched == [C[0].digest]
    assert world.central.reports[-1].generation == world.central.generation


def test_head_of_an_older_generation_is_refused_and_told(world: AgentWorld) -> None:
    old = world.central.publish(manifest_of([A]))
    world.central.publish(manifest_of([B]))
    world.converge()
    world.central.envelope = old

    world.converge()

    assert world.conditions()["Degraded"] == ("True", "TrustRefused")
    assert B[0].path in json.dumps(world.configuration())
    assert "TrustRefused" in reasons(world)


def test_match_holds_what_is_visible_until_it_is_over(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.tv.match = True
    world.central.publish(manifest_of([B], world.central.add_release("2.0.0", application("2.0.0"))))

    world.converge()
    assert (world.root / B[0].path).exists()
    assert (world.active(), world.tv.notices) == ("1.0.0", 1)
    assert {waiting.reason for waiting in world.central.reports[-1].waiting} == {"MatchInProgress"}
    assert world.conditions()["Synced"] == ("False", "MatchInProgress")

    world.tv.match = False
    world.converge()
    assert (world.active(), world.tv.notices) == ("2.0.0", 2)
    assert world.central.reports[-1].generation == world.central.generation


@pytest.mark.parametrize("state", ["suspended", "retired"])
def test_site_that_is_not_active_is_left_as_it_is(world: AgentWorld, state: str) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    before = snapshot(world.root / "videos")
    world.central.publish(manifest_of([]), state=state)
    delete_video(world)
    before.pop(str(Path(A[0].path).relative_to("videos")))

    world.converge()

    assert snapshot(world.root / "videos").keys() == before.keys()
    assert world.active() == "1.0.0"
    assert world.central.reports[-1].head_generation == world.central.generation
    assert world.conditions()["Synced"] == ("False", state.capitalize())


def test_lost_state_is_told_and_nothing_is_fetched_again(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    for name in ("state-a", "state-b"):
        (world.folder / "state" / name).write_bytes(b"")
    world.central.fetched.clear()
    world.units.calls.clear()

    world.converge()

    assert "StateLost" in reasons(world)
    assert (world.central.fetched, world.units.calls) == ([], [])
    assert world.conditions()["Synced"] == ("True", "Converged")


def test_screen_that_did_not_hear_is_told_later(world: AgentWorld) -> None:
    world.tv.hears = False
    world.central.publish(manifest_of([A]))
    world.converge()
    assert world.central.reports[-1].waiting[0].reason == "ScreenNotTold"
    assert world.central.reports[-1].generation is None

    world.tv.hears = True
    world.converge()

    assert world.tv.notices == 1
    assert world.central.reports[-1].generation == world.central.generation


def test_events_wait_in_the_outbox_while_offline(world: AgentWorld) -> None:
    world.central.publish(manifest_of([], world.central.add_release("1.0.0", application("1.0.0"))))
    world.converge()
    world.central.offline = True
    edit_release_keeping_its_times(world)
    world.converge()
    sent = len(world.central.reports)
    world.central.offline = False
    world.converge()

    numbers = [e.number for report in world.central.reports for e in report.events]
    assert len(world.central.reports) > sent
    assert numbers == sorted(set(numbers))


def test_sequence_rises_within_a_run_and_runs_differ(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    world.converge()
    world.central.publish(manifest_of([B]))
    world.converge()

    runs: dict[str, list[int]] = {}
    for report in world.central.reports:
        runs.setdefault(report.run_id, []).append(report.sequence)
    assert len(runs) == 2
    assert all(sequences == list(range(1, len(sequences) + 1)) for sequences in runs.values())


def test_second_agent_on_a_box_is_refused(world: AgentWorld) -> None:
    world.central.publish(manifest_of([]))
    with world.agent(), pytest.raises(AlreadyRunning), open_files(world.settings):
        pass


def test_root_that_was_rotated_is_followed(world: AgentWorld) -> None:
    world.central.publish(manifest_of([A]))
    world.converge()
    second = trust_world.root(2, manifest=trust_world.role(trust_world.MANIFEST2))
    world.central.roots[2] = trust_world.sign_root(second)
    body = manifest_of([B])
    world.central.publish(body)
    document = {"root_version": 2, "generation": world.central.generation}
    world.central.envelope = resigned(world, body, **document)

    world.converge()

    assert B[0].path in json.dumps(world.configuration())


def resigned(world: AgentWorld, manifest: SiteManifest, **head: Any) -> bytes:
    """The newest head, signed by the new manifest key."""
    newest = max(world.central.lists)
    given = {
        "manifest": world.central.add(encode_canonical(manifest)),
        "release_list": ListRef(version=newest, sha256=digest_of(world.central.lists[newest])),
    }
    return trust_world.head(trust_world.MANIFEST2, **(given | head))


# Living


class Life:
    """An agent that runs in a thread, on the real clock."""

    def __init__(self, world: AgentWorld) -> None:
        world.clock = SystemClock("trusted")  # type: ignore[assignment]
        self.world = world
        self.loop: Loop | None = None
        self.problem: BaseException | None = None
        self.thread = threading.Thread(target=self._live, daemon=True)

    def _live(self) -> None:
        try:
            with self.world.agent() as agent:
                self.loop = agent.loop
                agent.loop.run_forever()
        except BaseException as problem:  # noqa: BLE001 (told by the test)
            self.problem = problem

    def __enter__(self) -> "Life":
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.loop is not None:
            self.loop.stop()
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()

    def until(self, condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert self.problem is None, self.problem
            assert time.monotonic() < deadline, "it did not come to that"
            time.sleep(0.01)


class HeldPoll:
    """Makes a Central hold its head requests until there is news, as the real one does."""

    def __init__(self, world: AgentWorld) -> None:
        self.news = threading.Event()
        real, central = world.central.head, world.central

        def head(etag: str = "", wait_s: float = 0.0) -> Any:
            answer = real(etag)
            deadline = time.monotonic() + wait_s
            while answer is None and time.monotonic() < deadline:
                self.news.wait(1.0)
                self.news.clear()
                answer = real(etag)
            return answer

        central.head = head  # type: ignore[method-assign]


def reached(world: AgentWorld) -> bool:
    return bool(world.central.reports) and world.central.reports[-1].generation == world.central.generation


def test_running_agent_takes_news_at_once(world: AgentWorld) -> None:
    held = HeldPoll(world)
    world.central.publish(manifest_of([A]), **fresh())
    with Life(world) as life:
        life.until(lambda: reached(world))
        started = time.monotonic()
        world.central.publish(manifest_of([B]), **fresh())
        held.news.set()
        life.until(lambda: reached(world))

    assert time.monotonic() - started < promised(6)
    assert B[0].path in json.dumps(world.configuration())


def test_bug_in_a_round_is_reported_and_the_loop_lives_on(world: AgentWorld) -> None:
    HeldPoll(world)
    world.central.publish(manifest_of([A]), **fresh())
    bugs = 2

    def state() -> Any:
        nonlocal bugs
        bugs -= 1
        if bugs >= 0:
            raise ZeroDivisionError("a bug")
        return None

    world.tv.state = state  # type: ignore[method-assign]
    with Life(world) as life:
        life.until(lambda: world.central.reports and world.conditions()["Degraded"] == ("True", "InternalError"))
        life.until(lambda: reached(world))

    assert world.conditions()["Degraded"] == ("False", "AsExpected")


def test_long_download_gives_way_to_news(world: AgentWorld) -> None:
    held = HeldPoll(world)
    world.central.publish(manifest_of([A, B]), **fresh())
    newer: list[bytes] = []

    def news_comes(_digest: Digest) -> None:
        if not newer:
            newer.append(world.central.publish(manifest_of([C]), **fresh()))
            held.news.set()
            time.sleep(0.5)

    world.central.on_download = news_comes
    with Life(world) as life:
        life.until(lambda: reached(world))

    assert C[0].digest in world.central.fetched
    assert B[0].digest not in world.central.fetched


def fresh() -> dict[str, Any]:
    """Dates and generations that a head has today."""
    now = SystemClock("trusted").now()
    return {"issued_at": now, "expires_at": now + timedelta(days=7)}
