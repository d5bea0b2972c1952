"""What was played, over HTTP: each event once, only by the box itself; and 3,000 of them under concurrent appends."""

import asyncio
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from litestar.exceptions import TooManyRequestsException

from control_plane.api.budget import DailyBudget
from control_plane.store.playbacks import playbacks_of
from reconciler_agent.analytics import DRAIN_S, SOURCES, SPOOL, Analytics, Spool
from reconciler_agent.client import Client
from reconciler_agent.durable import Disk
from schemas.analytics import MAX_BATCH_BYTES, Batch, Playback
from tests.support.agent_world import manifest_of
from tests.support.api import Api
from tests.support.published import NOW, Box, Wanted

pytestmark = pytest.mark.anyio
PATH = "/v1/sites/brest/analytics"
COUNT = 3_000
APPLICATION = """
import json, os, sys
path, count = sys.argv[1], int(sys.argv[2])
for number in range(count):
    try:
        with open(path) as file:
            entries = json.load(file)
    except FileNotFoundError:
        entries = []
    at = f"2026-03-01T{12 + number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}.000Z"
    entries.append({"video_filename": "but.mp4", "category": "MATCH", "played_at": at, "duration_played": 12.5,
        "video_duration": 30, "completed": False, "trigger_type": "manual", "session_id": str(number)})
    with open(path, "w") as file:
        json.dump(entries, file)
        file.flush()
        os.fsync(file.fileno())
"""


@pytest.fixture
async def box(api: Api) -> Box:
    found = Box("brest")
    await api.publish({"brest": Wanted(found.identity), "nantes": Wanted(Box("nantes").identity)})
    return found


def played(number: int = 0, **changed: Any) -> Playback:
    at = datetime(2026, 3, 1, 15, tzinfo=UTC) + timedelta(seconds=number)
    return Playback(**({"played_at": at, "video_filename": "but.mp4", "session_id": "s", "video_id": "but"} | changed))


async def leave(api: Api, box: Box, body: bytes, encoding: str = "identity", path: str = PATH) -> int:
    headers = box.headers(api.now) | {"Content-Encoding": encoding}
    return (await api.http.post(path, headers=headers, content=body)).status_code


def batch(*playbacks: Playback, kind: Any = "event") -> bytes:
    return msgspec.json.encode(Batch(kind=kind, playbacks=list(playbacks)))


async def kept(api: Api, kind: Any = "event", site: str = "brest") -> list[Playback]:
    async with api.connection() as conn:
        return await playbacks_of(conn, site, kind, 10_000)


@pytest.mark.parametrize("encoding", ["identity", "zstd"])
async def test_batch_is_kept_as_it_came_and_the_same_again_changes_nothing(api: Api, box: Box, encoding: str) -> None:
    given = [played(n, sponsor_id="decathlon", audience_estimate=n) for n in range(500)]
    body = zstandard.compress(batch(*given)) if encoding == "zstd" else batch(*given)
    assert [await leave(api, box, body, encoding) for _ in range(2)] == [204, 204]
    assert await kept(api) == given[::-1]
    assert await kept(api, "impression") == []


async def test_operators_read_what_was_played_newest_first_and_nobody_else_does(api: Api, box: Box) -> None:
    given = [played(n) for n in range(3)]
    await leave(api, box, batch(*given))
    await leave(api, box, batch(given[0], kind="impression"))
    reader = await api.operator("read")
    answers = [await api.http.get(PATH + query, headers=reader) for query in ("", "?limit=1", "?kind=impression")]
    found = [msgspec.json.decode(answer.content, type=list[Playback]) for answer in answers]
    assert found == [given[::-1], [given[2]], [given[0]]]
    wrong = [await api.http.get(PATH + query, headers=reader) for query in ("?kind=other", "?limit=0", "?limit=10001")]
    others = [await api.http.get(PATH, headers=h) for h in (box.headers(api.now), await api.operator("write"), {})]
    assert [a.status_code for a in (*wrong, *others)] == [400, 400, 400, 401, 403, 401]


async def test_same_file_time_session_and_duration_of_the_other_kind_is_another(api: Api, box: Box) -> None:
    assert await leave(api, box, batch(played())) == 204
    assert await leave(api, box, batch(played(), kind="impression")) == 204
    assert (len(await kept(api)), len(await kept(api, "impression"))) == (1, 1)


@pytest.mark.parametrize(
    ("changed", "counted"),
    [
        ({}, 1),
        ({"category": "other", "video_id": "other", "completed": True}, 1),
        ({"video_filename": "x.mp4"}, 2),
        ({"session_id": "t"}, 2),
        ({"session_id": None}, 2),
        ({"duration_played": 1.0}, 2),
        ({"duration_played": 0.0}, 1),
        ({"played_at": datetime(2026, 3, 1, 15, 0, 0, 1000, tzinfo=UTC)}, 2),
    ],
    ids=repr,
)
async def test_playback_is_the_same_by_kind_time_file_session_and_duration(
    api: Api, box: Box, changed: dict[str, Any], counted: int
) -> None:
    assert await leave(api, box, batch(played(), played(**changed))) == 204
    assert len(await kept(api)) == counted


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"", "identity", 400),
        (b"[]", "identity", 400),
        (b'{"kind":"event","playbacks":[]}', "identity", 400),
        (batch(*[played()] * 501), "identity", 400),
        (batch(played(), kind="other"), "identity", 400),
        (batch(played(video_filename="a\0b")), "identity", 400),
        (b'{"kind":"event","playbacks":[{"played_at":"2026-03-01T15:00:00Z","video_filename":"\\ud800"}]}', "zst", 415),
        (b'{"kind":"event","playbacks":[{"played_at":"2026-03-01T15:00:00Z","video_filename":"\\ud800"}]}', "", 400),
        (b'{"kind":"event","playbacks":[{"played_at":"2026-03-01T15:00:00","video_filename":"a"}]}', "identity", 400),
        (b"[" * 1_000_000, "identity", 400),
        (bytes(MAX_BATCH_BYTES + 1), "identity", 413),
        (zstandard.compress(bytes(MAX_BATCH_BYTES + 1)), "zstd", 413),
        (b"no zstd", "zstd", 400),
    ],
    ids=range(13),
)
async def test_body_that_is_no_batch_is_refused_whole(
    api: Api, box: Box, body: bytes, encoding: str, status: int
) -> None:
    assert await leave(api, box, body, encoding or "identity") == status
    assert await kept(api) == []


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999-12:00", "2026-03-01T12:00:00+18:10"]
)
async def test_time_at_the_end_of_the_calendar_is_kept_or_refused_and_never_an_error(
    api: Api, box: Box, at: str
) -> None:
    body = b'{"kind":"event","playbacks":[{"played_at":"%s","video_filename":"a"}]}' % at.encode()
    assert await leave(api, box, body) in (204, 400)


async def test_other_box_cannot_leave_anything(api: Api, box: Box) -> None:
    assert await leave(api, Box("brest"), batch(played())) == 401
    assert await leave(api, box, batch(played()), path="/v1/sites/nantes/analytics") == 403
    assert (await api.http.post(PATH, content=batch(played()))).status_code == 401
    assert await kept(api) == await kept(api, site="nantes") == []


def test_budget_is_spent_by_each_site_alone_and_comes_back_after_a_day() -> None:
    now = [NOW]
    budget = DailyBudget(lambda: now[0], 10, "things")
    budget.take("brest", 9)
    budget.take("nantes", 10)
    with pytest.raises(TooManyRequestsException, match="more than 10 things"):
        budget.take("brest", 2)
    budget.take("brest", 1)
    now[0] += timedelta(days=1)
    budget.take("brest", 10)


class Clock:
    """The wall clock stands at the server's; a drain is due whenever one is asked for."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead_s

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class Counting(Client):
    """Counts what is handed over."""

    batches = 0

    def analytics(self, packed: bytes) -> None:
        self.batches += 1
        super().analytics(packed)


async def test_3000_events_under_concurrent_appends_are_delivered_once(
    api: Api, box: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "neopro"
    (root / "data").mkdir(parents=True)
    async with api.serve() as url:
        batches = await asyncio.to_thread(drain_while_written, url, box, root)
    found = await kept(api)
    with capsys.disabled():
        print(f"\nanalytics: {len(found)} of {COUNT} events delivered, once each, in {batches} batches under appends")
    assert sorted(int(p.session_id or -1) for p in found) == list(range(COUNT))
    assert batches >= 3


def drain_while_written(url: str, box: Box, root: Path) -> int:
    """Drain while another process appends, then until nothing is left; in how many batches it was handed over."""
    clock = Clock()
    client = Counting(url=url, site=box.site, key=box.key, clock=clock)
    disk = Disk(root, "data/agent", "run")
    agent = Analytics(spool=Spool(disk, clock, pytest.fail), desk=client, clock=clock, allowed=True)
    source = root / SOURCES["event"]
    with subprocess.Popen([sys.executable, "-c", APPLICATION, str(source), str(COUNT)]) as application:
        while application.poll() is None:
            clock.ahead_s += DRAIN_S
            agent.drain(manifest_of([]), online=True)
        assert application.returncode == 0
    while source.exists() or disk.names(SPOOL):
        clock.ahead_s += DRAIN_S
        agent.drain(manifest_of([]), online=True)
    disk.close()
    client.close()
    return client.batches
