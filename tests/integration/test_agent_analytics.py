"""What was played, drained on a box of files: cut off anywhere, offline, damaged, late; delivered, and once."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from reconciler_agent.analytics import DRAIN_S, MAX_SENT, QUARANTINE, SOURCES, SPOOL, Analytics, Spool
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AccessDenied, NetworkTrouble
from reconciler_agent.system_calls import SYSTEM, Calls
from schemas.analytics import Kind
from tests.support.agent_world import AgentWorld, Central, FastClock, clip, manifest_of
from tests.support.cut_off import Killed, Recorder

pytestmark = pytest.mark.usefixtures("process_life")

PUB = clip("pub", b"pub", sponsor_id="decathlon")
MANIFEST = manifest_of([PUB])


def entry(number: int, **changed: Any) -> dict[str, Any]:
    at = f"2026-03-01T15:{number // 60 % 60:02d}:{number % 60:02d}.{number // 3600:03d}Z"
    played = {"video_filename": "but.mp4", "category": "MATCH", "played_at": at, "duration_played": 12.5}
    return played | {"video_duration": 30, "completed": False, "trigger_type": "manual", "session_id": "s"} | changed


class Box:
    """A box's root, its control plane, and a clock that passes when somebody waits."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.central, self.clock = Central(), FastClock()
        self.said: list[tuple[str, str, str]] = []
        self.runs = itertools.count()
        (root / "data").mkdir(parents=True)

    def put(self, kind: Kind, content: object) -> Path:
        path = self.root / SOURCES[kind]
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    def append(self, kind: Kind, entries: list[object]) -> None:
        """As the application does."""
        path = self.root / SOURCES[kind]
        self.put(kind, [*(json.loads(path.read_bytes()) if path.exists() else []), *entries])

    @contextmanager
    def agent(self, calls: Calls = SYSTEM, allowed: bool = True) -> Iterator[Analytics]:
        disk = Disk(self.root, "data/agent", f"run{next(self.runs)}", calls=calls)
        try:
            disk.recover()
            spool = Spool(disk, self.clock, lambda *said: self.said.append(said))
            yield Analytics(spool=spool, desk=self.central, clock=self.clock, allowed=allowed)
        finally:
            disk.close()

    def drain(self, online: bool = True, **options: Any) -> None:
        """A new agent's first round."""
        with self.agent(**options) as agent:
            agent.drain(MANIFEST, online=online)

    def files(self, folder: str) -> list[str]:
        found = self.root / folder
        return sorted(path.name for path in found.iterdir()) if found.is_dir() else []


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path / "neopro")


def test_what_was_played_is_handed_over_once_with_its_ids_and_leaves_nothing_behind(box: Box) -> None:
    pub = PUB[0].path.rpartition("/")[2]
    box.put("event", [entry(1), entry(2, video_filename=pub)])
    box.put("impression", [entry(1, event_type="start", period="before", audience_estimate=80)])
    box.drain()
    assert [(b.kind, len(b.playbacks)) for b in box.central.batches] == [("event", 2), ("impression", 1)]
    club, ours = box.central.batches[0].playbacks
    assert (club.video_id, ours.video_id, ours.sponsor_id) == (None, "pub", "decathlon")
    assert box.central.batches[1].playbacks[0].audience_estimate == 80
    assert (box.files(SPOOL), box.files(QUARANTINE), box.files("data")) == ([], [], ["agent"])


def test_kill_before_or_after_any_call_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    points = 0
    for after in (False, True):
        for last in itertools.count(1):
            box = Box(tmp_path / f"{after}{last}")
            box.put("event", [*(entry(n) for n in range(503)), {"strange": True}])
            box.put("impression", [entry(n) for n in range(3)])
            recorder = Recorder(last, after)
            with suppress(Killed):
                box.drain(calls=recorder.calls)
            box.append("event", [entry(n) for n in range(600, 605)])
            box.drain()
            assert len(box.central.playbacks) == 503 + 3 + 5, (last, after)
            assert box.files(SPOOL) == [], (last, after)
            if recorder.count < last:
                break
            points += 1
    print(f"analytics: killed before and after {points // 2} calls: {points} points, 0 events lost, 0 counted twice")
    assert points > 100


@pytest.mark.parametrize("content", [None, b"", b"[]", b"[]\n", b"[ ]"])
def test_round_with_nothing_played_changes_nothing(box: Box, content: bytes | None) -> None:
    if content is not None:
        box.put("event", content)
    recorder = Recorder()
    box.drain(calls=recorder.calls)
    assert (recorder.count, box.central.batches) == (0, [])


def test_next_drain_waits_five_minutes(box: Box) -> None:
    with box.agent() as agent:
        agent.drain(MANIFEST, online=True)
        box.put("event", [entry(1)])
        agent.drain(MANIFEST, online=True)
        assert box.central.batches == []
        box.clock.sleep(DRAIN_S)
        agent.drain(MANIFEST, online=True)
    assert len(box.central.playbacks) == 1


def test_write_that_began_before_the_file_was_taken_is_waited_for(box: Box) -> None:
    whole = json.dumps([entry(1), entry(2)])
    path = box.put("event", whole[:40].encode())
    with path.open("r+") as late:
        sleep = box.clock.sleep

        def finish(seconds: float) -> None:
            sleep(seconds)
            if not path.exists():
                late.seek(0)
                late.write(whole)
                late.flush()

        box.clock.sleep = finish  # type: ignore[method-assign]
        box.drain()
    assert len(box.central.playbacks) == 2
    assert (box.said, box.files(QUARANTINE)) == ([], [])


@pytest.mark.parametrize("content", [b"[{]}]", bytes(100), b'{"an": "object"}', b'[{"cut": "o'])
def test_damaged_file_goes_to_quarantine_with_a_word_and_the_rest_is_handed_over(box: Box, content: bytes) -> None:
    box.put("event", content)
    box.put("impression", [entry(1)])
    box.drain()
    assert [b.kind for b in box.central.batches] == ["impression"]
    (name,) = box.files(QUARANTINE)
    assert (box.root / QUARANTINE / name).read_bytes() == content
    assert [said[:2] for said in box.said] == [("warning", "AnalyticsUnreadable")]
    assert name in box.said[0][2]


def test_entries_that_are_none_are_kept_aside_and_the_others_count(box: Box) -> None:
    box.put("event", [entry(1), {"strange": 1}, entry(2)])
    box.drain()
    assert len(box.central.playbacks) == 2
    (name,) = box.files(QUARANTINE)
    assert json.loads((box.root / QUARANTINE / name).read_text()) == [{"strange": 1}]
    assert [said[1] for said in box.said] == ["AnalyticsUnreadable"]


def test_quarantine_is_bounded(box: Box) -> None:
    for _ in range(25):
        box.put("event", b"damaged")
        box.drain()
    assert len(box.files(QUARANTINE)) == 20
    assert len(box.said) == 25


def test_link_in_the_place_of_the_file_is_left_alone(box: Box, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(json.dumps([entry(1)]))
    (box.root / SOURCES["event"]).symlink_to(secret)
    box.drain()
    assert (box.central.batches, secret.exists(), (box.root / SOURCES["event"]).is_symlink()) == ([], True, True)


def test_offline_a_small_file_stays_and_a_large_one_waits_in_the_spool_for_the_network(box: Box) -> None:
    source = box.put("event", [entry(1)])
    box.drain(online=False)
    assert source.exists()
    box.put("event", [entry(n) for n in range(1000)])
    box.drain(online=False)
    assert not source.exists()
    assert len(box.files(SPOOL)) == 2
    box.drain(online=True)
    assert (len(box.central.playbacks), box.files(SPOOL)) == (1000, [])


@pytest.mark.parametrize("problem", [NetworkTrouble("cannot", retry_after_s=900), AccessDenied("cannot")])
def test_hand_over_that_fails_is_tried_again_later_and_loses_nothing(box: Box, problem: Exception) -> None:
    tries = []

    def refuse(packed: bytes) -> None:
        tries.append(packed)
        raise problem

    box.put("event", [entry(n) for n in range(1000)])
    box.central.analytics, keep = refuse, box.central.analytics  # type: ignore[method-assign]
    with box.agent() as agent:
        agent.drain(MANIFEST, online=True)
        agent.drain(MANIFEST, online=True)
        assert len(tries) == 1
        box.central.analytics = keep  # type: ignore[method-assign]
        for _ in range(4):
            box.clock.sleep(DRAIN_S)
            agent.drain(MANIFEST, online=True)
    assert (len(box.central.playbacks), box.files(SPOOL)) == (1000, [])


def test_batch_that_is_never_taken_goes_to_quarantine_and_holds_nobody_up(box: Box) -> None:
    box.put("event", [entry(1)])
    box.central.refuses_analytics = True
    box.drain()
    assert (len(box.files(QUARANTINE)), box.files(SPOOL)) == (1, [])
    box.central.refuses_analytics = False
    box.put("event", [entry(2)])
    box.drain()
    assert [p.played_at.second for p in box.central.playbacks] == [2]


def test_backlog_goes_over_several_rounds_without_waiting_five_minutes(box: Box) -> None:
    box.put("event", [entry(n) for n in range(500 * MAX_SENT + 1)])
    with box.agent() as agent:
        agent.drain(MANIFEST, online=True)
        assert len(box.central.batches) == MAX_SENT
        agent.drain(MANIFEST, online=True)
    assert len(box.central.batches) == MAX_SENT + 1


def test_spool_that_is_too_full_keeps_the_first_and_the_newest_and_says_what_went(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler_agent.core.analytics.MAX_WAITING_FILES", 25)
    box.put("event", [entry(n) for n in range(500 * 30)])
    box.drain(online=False)
    assert len(box.files(SPOOL)) == 25
    assert box.said == [
        (
            "error",
            "AnalyticsDropped",
            "2500 events and impressions in 5 batches were dropped, from 00000001-event-020.batch on: too many waited"
            " for the control plane.",
        )
    ]
    with box.agent() as agent:
        agent.drain(MANIFEST, online=True)
        agent.drain(MANIFEST, online=True)
    assert len(box.central.playbacks) == 500 * 25


def test_site_that_switched_telemetry_off_keeps_its_files(box: Box) -> None:
    source = box.put("event", [entry(1)])
    box.drain(allowed=False)
    assert (source.exists(), box.central.batches) == (True, [])


def test_agent_drains_in_its_rounds(tmp_path: Path) -> None:
    world = AgentWorld(tmp_path)
    world.central.add(b"pub")
    world.central.publish(MANIFEST)
    world.converge()
    (world.root / SOURCES["event"]).write_text(json.dumps([entry(1)]))
    world.converge()
    assert len(world.central.playbacks) == 1
