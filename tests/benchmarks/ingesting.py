"""Reports a second: from the bytes of a request's body to the commit that holds them, beside PostgreSQL alone.

A report as a box at rest sends it every five minutes: five conditions, figures, five samples of a minute. The floor
puts the very same rows into tables of the same shape, in the same batches and as many transactions, by the quickest way
that there is (COPY, and COPY and merge), out of rows that were made before the clock was started.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import psycopg

from control_plane.api.inbox import BATCH, Inbox
from control_plane.monitoring.meters import Meters
from control_plane.store import partitions
from control_plane.store.binaries import installed_programs
from control_plane.store.embedded import EmbeddedPostgres
from control_plane.store.migrate import migrate
from control_plane.store.pool import connection, open_pool
from schemas.status import Boot, Condition, History, Link, Metrics, RunningRelease, Sample, StatusReport
from tests.benchmarks.measure import Row, row
from tests.support.published import NOW

SITES: Final = 10_000
ROUNDS: Final = 3
"""Of reports of every site, after a first one that makes the rows."""
KINDS: Final = ("Synced", "Progressing", "Degraded", "Connected", "ReleaseHealthy")
EVERY: Final = timedelta(minutes=5)
_DECODER: Final = msgspec.json.Decoder(StatusReport)


def measure(names: list[str]) -> list[Row]:
    """The one figure of this module."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as folder:
        Path(folder).chmod(0o755)
        rows = [asyncio.run(_measure(Path(folder)))]
    return [r for r in rows if r.name in names]


async def _measure(folder: Path) -> Row:
    programs = max(installed_programs(), key=lambda found: found.major)
    server = EmbeddedPostgres(folder / "postgres", programs.folder)
    conninfo = await server.start()
    try:
        async with open_pool(conninfo, 4) as pool:
            async with connection(pool) as conn:
                await migrate(conn)
                await partitions.make(conn, NOW)
            ours, floors = [], []
            inbox = Inbox(pool, Meters())
            for turn in range(ROUNDS + 1):
                bodies = [_body(f"club-{number:05d}", turn) for number in range(SITES)]
                ours.append(SITES / await _tell(inbox, bodies, NOW + turn * EVERY))
                floors.append(SITES / await _put_bare(conninfo, turn))
            kept = await _count(conninfo, "metrics_minutes")
        assert kept == (ROUNDS + 1) * SITES * 5, kept
    finally:
        await server.stop()
    note = (
        f"{SITES} sites, a report each with 5 samples, at most {BATCH} a batch, fsync on, PostgreSQL {programs.major};"
        " floor: the same rows by COPY and merge, alone"
    )
    return row("ingest-reports", statistics.median(ours[1:]), "reports/s", statistics.median(floors[1:]), note)


async def _tell(inbox: Inbox, bodies: Sequence[tuple[str, bytes]], now: datetime) -> float:
    """Seconds until every report was kept, with as many requests under way as fill two batches."""
    waiting = iter(bodies)

    async def send() -> None:
        for site, body in waiting:
            await inbox.keep(site, _DECODER.decode(body), now)

    started = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(2 * BATCH)))
    return time.perf_counter() - started


def _report(site: str, turn: int) -> StatusReport:
    at = NOW + turn * EVERY
    samples = [
        Sample(
            boot=0,
            uptime_s=86_400 + 300 * turn + 60 * minute,
            span_s=60,
            cpu_percent=3.1,
            memory_percent=41.2,
            temperature_celsius=55.1,
            disk_percent=63.2,
            signal_dbm=-56,
            restarts=0,
            strain=[],
        )
        for minute in range(1, 6)
    ]
    return StatusReport(
        run_id=f"{hash(site) & 0xFFFFFFFF:032x}",
        sequence=turn + 1,
        at=at,
        agent_version="1.0.0",
        generation=1_700_000_000_000,
        head_generation=1_700_000_000_000,
        release=RunningRelease(version="2.4.1", tree="sha256:" + "a" * 64),
        conditions=[
            Condition(type=kind, status="True", reason="Converged", message="The box is as desired.", since=NOW)
            for kind in KINDS
        ],
        metrics=Metrics(
            cpu_percent=3.1,
            memory_percent=41.2,
            temperature_celsius=55.1,
            disk_total_bytes=31_000_000_000,
            disk_free_bytes=11_000_000_000,
            uptime_s=86_400,
            agent_memory_bytes=44_000_000,
            strain=[],
            past_strain=[],
            link=Link(interface="wlan0", kind="wifi", signal_dbm=-56),
            service_restarts={"neopro-app": 0, "neopro-admin": 0},
        ),
        history=History(boots=[Boot(id=f"life of {site}", started_at=NOW - timedelta(days=1))], samples=samples),
    )


def _body(site: str, turn: int) -> tuple[str, bytes]:
    return site, msgspec.json.encode(_report(site, turn))


_BARE: Final = """
create table if not exists bare_reports (like reports including all);
create table if not exists bare_boots (like boots including all);
create table if not exists bare_minutes (like metrics_minutes including all);
create temp table new_reports (like reports) on commit delete rows;
create temp table new_boots (like boots) on commit delete rows;
"""
_MERGES: Final = (
    "insert into bare_reports select * from new_reports on conflict (site) do update set sequence = excluded.sequence,"
    " run_id = excluded.run_id, received_at = excluded.received_at, generation = excluded.generation,"
    " head_generation = excluded.head_generation, body = excluded.body, told = excluded.told, runs = excluded.runs",
    "insert into bare_boots select * from new_boots on conflict (site, boot) do update set"
    " started_at = excluded.started_at, certain = excluded.certain, last_at = excluded.last_at,"
    " sampled_s = excluded.sampled_s, turned_s = excluded.turned_s",
)


async def _put_bare(conninfo: str, turn: int) -> float:
    """Seconds for the rows that the server just wrote, read back and put into tables of their own."""
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as conn:
        await conn.execute("set time zone 'UTC'")
        await conn.execute(_BARE.encode())
        batches = [await _rows(conn, turn, place) for place in range(0, SITES, BATCH)]
        started = time.perf_counter()
        for texts in batches:
            async with conn.transaction():
                for table, text in zip(("new_reports", "new_boots", "bare_minutes"), texts, strict=True):
                    async with conn.cursor() as cursor, cursor.copy(f"copy {table} from stdin".encode()) as copy:
                        await copy.write(text)
                for merge in _MERGES:
                    await conn.execute(merge.encode())
        return time.perf_counter() - started


async def _rows(conn: psycopg.AsyncConnection[Any], turn: int, first: int) -> list[bytes]:
    """The rows of one batch as COPY takes them."""
    sites = f"site between 'club-{first:05d}' and 'club-{first + BATCH - 1:05d}'"
    since = (NOW + (turn - 1) * EVERY).isoformat()
    texts = []
    for query in (
        f"select * from reports where {sites}",
        f"select * from boots where {sites}",
        f"select * from metrics_minutes where {sites} and at >= '{since}'",
    ):
        async with conn.cursor() as cursor, cursor.copy(f"copy ({query}) to stdout".encode()) as copy:
            texts.append(b"".join([bytes(chunk) async for chunk in copy]))
    return texts


async def _count(conninfo: str, table: str) -> int:
    async with await psycopg.AsyncConnection.connect(conninfo) as conn:
        row = await (await conn.execute(f"select count(*) from {table}".encode())).fetchone()
    assert row is not None
    return int(row[0])
