"""The jobs at work on a served world: news reach a held poll, trouble is told once, old events are forgotten."""

import logging
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from control_plane.core.compile import compile_commit
from control_plane.documents import DocumentCache
from control_plane.jobs import Jobs
from control_plane.monitoring.meters import Meters
from control_plane.notify import Notifier
from control_plane.store import reports
from control_plane.store.reports import Received
from control_plane.store.retention import Keep
from control_plane.store.sessions import Lasting
from control_plane.watching import Watch
from schemas.status import Event, StatusReport
from tests.support.patience import promised
from tests.support.world import ServedWorld, served_world

DAY = timedelta(days=1)
KEEP = Keep(events=DAY, conditions=DAY, metrics=DAY, playbacks=DAY, audit=DAY, sessions=Lasting(DAY, DAY))


@pytest.fixture
def served(tmp_path: Path, database: str) -> Iterator[ServedWorld]:
    with served_world(tmp_path, database) as world:
        yield world


@pytest.fixture
def jobs(served: ServedWorld) -> Jobs:
    world = served.world
    pool, clock = world.opened.pool, world.clock
    watch, meters = Watch(pool, clock), Meters()
    notifier = Notifier([], pool, clock, "", meters.notifications)
    return Jobs(world.pipeline, watch, notifier, pool=pool, clock=clock, keep=KEEP, meters=meters)


def test_a_published_commit_ends_a_held_poll_with_the_new_head(tmp_path: Path, database: str) -> None:
    with served_world(tmp_path, database, jobs=True) as served:
        url, headers = f"{served.url}/v1/sites/brest/head", served.world.headers("brest")
        with httpx.Client(trust_env=False, timeout=30) as http:
            etag = http.get(url, headers=headers).headers["etag"]
            served.world.commit({"sites/brest.yaml": served.world.site_file("brest", state="suspended")})
            held = http.get(url, headers=headers | {"If-None-Match": etag, "Prefer": "wait=20"})
        assert held.status_code == 200 and held.headers["etag"] != etag
        assert held.elapsed < timedelta(seconds=promised(5))


def test_a_trouble_is_told_when_it_begins_and_when_it_ends(
    served: ServedWorld, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    remote = served.world.remote
    away = remote.with_name("away.git")
    caplog.set_level(logging.INFO, "control_plane.jobs")
    remote.rename(away)
    served.run(jobs.poll())
    served.run(jobs.poll())
    away.rename(remote)
    served.run(jobs.poll())
    assert [record.message for record in caplog.records] == ["failed", "recovered"]


def counted(jobs: Jobs, name: str) -> float | None:
    return jobs.meters.registry.get_sample_value(name, {"task": "poll"})


def test_runs_of_a_job_are_counted_and_timed_also_those_that_end_by_a_bug(served: ServedWorld, jobs: Jobs) -> None:
    remote = served.world.remote
    away = remote.with_name("away.git")
    remote.rename(away)
    served.run(jobs.poll())
    assert counted(jobs, "neopro_job_failures_total") == 1.0
    assert counted(jobs, "neopro_job_last_success_timestamp_seconds") is None
    away.rename(remote)
    served.world.clock.offset = timedelta(hours=1)
    served.run(jobs.poll())
    assert counted(jobs, "neopro_job_failures_total") == 1.0
    assert counted(jobs, "neopro_job_duration_seconds_count") == 2.0
    since = counted(jobs, "neopro_job_last_success_timestamp_seconds")
    assert since is not None and served.world.clock().timestamp() - since < 60, "by the server's clock"

    async def bug() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        served.run(jobs._run("poll", bug))
    assert counted(jobs, "neopro_job_failures_total") == 2.0


def test_a_refused_commit_is_told_once_with_its_first_error(
    served: ServedWorld, jobs: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "control_plane.jobs")
    served.world.commit({"sites/brest.yaml": "nmae: Brest\n"})
    served.run(jobs.poll())
    served.run(jobs.poll())
    (record,) = caplog.records
    assert record.message == "refused" and vars(record)["first"].startswith("sites/brest.yaml:1:1: error")


def test_old_heads_are_renewed_and_old_events_forgotten(served: ServedWorld, jobs: Jobs) -> None:
    async def remaining() -> list[int]:
        async with served.world.connection() as conn:
            return [event.number for event in await reports.events_of(conn, "brest")]

    async def report(number: int, received_at: datetime) -> None:
        event = Event(number=number, at=received_at, reason="Applied")
        said = StatusReport(run_id="a" * 32, sequence=number, at=received_at, agent_version="1.0.0", events=[event])
        async with served.world.connection() as conn:
            await reports.record(conn, [Received("brest", said, received_at)])

    now = datetime.now(UTC)
    served.run(report(1, now - timedelta(days=2)))
    served.run(report(2, now))
    served.run(jobs.tidy())
    assert served.run(remaining()) == [2]

    url, headers = f"{served.url}/v1/sites/brest/head", served.world.headers("brest")
    etag = httpx.get(url, headers=headers, trust_env=False).headers["etag"]
    served.world.clock.offset = timedelta(days=2)
    served.run(jobs.renew())
    served.world.clock.offset = timedelta()
    wait = {"If-None-Match": etag, "Prefer": "wait=10"}
    assert httpx.get(url, headers=headers | wait, trust_env=False, timeout=20).status_code == 200


def test_what_was_parsed_is_written_down_for_the_next_start(served: ServedWorld, jobs: Jobs) -> None:
    world = served.world
    served.run(jobs.poll())
    served.run(jobs.keep())
    tree = served.run(world.opened.git.tree(served.run(world.opened.git.fetch())))
    trust = {entry.blob: tree.blobs[entry.blob] for entry in tree.entries if entry.path.startswith("trust/")}
    with closing(DocumentCache(world.opened.settings.data_dir / "documents")) as documents:
        assert not compile_commit(tree.entries, trust, None, documents).has_errors
