"""Waves in a fleet of ten thousand, half of which has the new release and half of which waits.

CPU time of a look at how it goes (every 15 seconds while a rollout is open), median of several. The floor reads the
reports of those that have it out of the database and decodes them: what cannot be left out. Beside it, what a commit
takes that begins the rollout, and one that changes a single site meanwhile.
"""

import asyncio
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from control_plane.app import Services
from control_plane.store import publications, reports
from control_plane.store.pool import connection
from control_plane.store.reports import Received
from schemas.status import Condition, Metrics, RunningRelease, StatusReport
from tests.benchmarks.fleets import Fleet, opened
from tests.benchmarks.measure import Row, row

SITES: Final = 10_000
LOOKS: Final = 9
BATCH: Final = 500
POLICY: Final = b"rollouts:\n  standard: {waves: [50%, 100%], soak: 1h}\n"


def measure(names: list[str]) -> list[Row]:
    """The one figure of this module."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as folder:
        Path(folder).chmod(0o755)
        return [found for found in asyncio.run(_measure(Path(folder))) if found.name in names]


async def _measure(folder: Path) -> list[Row]:
    fleet = Fleet(folder, SITES)
    fleet.files["groups/beta.yaml"] = fleet.files["groups/beta.yaml"].replace(b"release: 2.2.0\n", b"video_sets: []\n")
    fleet.commit(fleet.files)
    async with opened(folder, fleet) as services:
        await services.pipeline.ingest()
        await _report(services, "2.1.3")
        fleet.commit({"fleet.yaml": _rolled_out(fleet.files["fleet.yaml"])})
        begun_s = await _ingest(services)
        await _report(services, "2.2.0")
        await services.pipeline.roll()  # what is new is written down once
        looks, floors = [], []
        for _ in range(LOOKS):
            started = time.process_time()
            assert await services.pipeline.roll() == 0
            looks.append(time.process_time() - started)
            floors.append(await _floor_s(services))
        path = next(path for path in fleet.files if path.startswith("sites/"))
        fleet.commit({path: fleet.files[path].replace(b"name: ", b"name: Nouveau ", 1)})
        changed_s = await _ingest(services)
    note = (
        f"{SITES} sites, half have it; median of {LOOKS}, worst {max(looks) * 1e3:.0f} ms; the commit that begins it"
        f" {begun_s:.1f} s, one that changes a single site meanwhile {changed_s * 1e3:.0f} ms (wall, with the fetch)"
    )
    return [row("rollout-look-10k", statistics.median(looks) * 1e3, "ms", statistics.median(floors) * 1e3, note)]


async def _ingest(services: Services) -> float:
    """Wall seconds until it is published."""
    started = time.perf_counter()
    outcome = await services.pipeline.ingest()
    assert outcome.verdict == "published", outcome.problems
    return time.perf_counter() - started


def _rolled_out(fleet: bytes) -> bytes:
    return fleet.replace(b"release: 2.1.3", b"release: 2.2.0\n  rollout: standard", 1) + POLICY


async def _report(services: Services, version: str) -> None:
    """Every box says that it runs this release well."""
    now = services.clock()
    async with connection(services.pool) as conn:
        generations = {head.site: head.generation for head in await publications.all_heads(conn)}
        said = [Received(site, _said(generation, version, now), now) for site, generation in generations.items()]
        for start in range(0, len(said), BATCH):
            await reports.record(conn, said[start : start + BATCH])


def _said(generation: int, version: str, now: datetime) -> StatusReport:
    conditions = [
        Condition(type="Synced", status="True", reason="Converged", message="The box is as desired.", since=now),
        Condition(type="Degraded", status="False", reason="AsExpected", since=now),
        Condition(type="ReleaseHealthy", status="True", reason="Healthy", since=now),
    ]
    return StatusReport(
        run_id="b" * 32,
        sequence=int(now.timestamp() * 1000),
        at=now,
        agent_version="1.0.0",
        generation=generation,
        head_generation=generation,
        release=RunningRelease(version=version),
        conditions=conditions,
        metrics=Metrics(cpu_percent=12.5, temperature_celsius=52.0),
    )


async def _floor_s(services: Services) -> float:
    """CPU seconds to read what those that have it said."""
    async with connection(services.pool) as conn:
        started = time.process_time()
        rows = await conn.execute(
            "select r.body::text from reports r join rollout_sites m using (site) where m.wave is not null"
        )
        decoder = msgspec.json.Decoder(StatusReport)
        for (body,) in await rows.fetchall():
            decoder.decode(body)
        return time.process_time() - started
