"""Server time of the two pages that a large team looks at most, with 10,000 sites and 90 days of history.

The server is asked ten times a second, by one reader after the other, while boxes report as 10,000 boxes do, one each
five minutes: a new look at the fleet is there every second or two, and the first page after it pays for what is made of
it. What a browser is spared by its tag (304) is not counted on. The floor is the same bytes, ready made, from a server
that knows nothing else.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
from litestar import Litestar, Response, get

from control_plane import serving
from control_plane.api.inbox import Inbox
from control_plane.store.binaries import installed_programs
from control_plane.store.embedded import EmbeddedPostgres
from control_plane.store.migrate import migrate
from control_plane.store.pool import connection, open_pool
from schemas.status import Condition, Metrics, StatusReport
from tests.benchmarks.measure import Row, row
from tests.support.api import Api, FolderStore, Settings, until
from tests.support.memory_generator import COMMITS, remember, site_of

SITES: Final = 10_000
DAYS: Final = 90
ASKED: Final = 400
"""Times that a page is asked for."""
EVERY_S: Final = 0.1
REPORTS_S: Final = SITES / 300
"""Reports a second."""
PAGES: Final = {"page-overview-10k": "/", "page-sites-10k": "/sites?region=Region+4&sort=-temperature&page=2"}


def measure(names: list[str]) -> list[Row]:
    """The figures of this module."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as folder:
        Path(folder).chmod(0o755)
        return asyncio.run(_measure(Path(folder), names))


async def _measure(folder: Path, names: list[str]) -> list[Row]:
    programs = max(installed_programs(), key=lambda found: found.major)
    server = EmbeddedPostgres(folder / "postgres", programs.folder)
    conninfo = await server.start()
    began = datetime.now(UTC)
    try:
        async with open_pool(conninfo, 8) as pool:
            async with connection(pool) as conn:
                await migrate(conn)
                await remember(conn, SITES, DAYS, began)
            api = Api(Settings(data_dir=folder, database_url=conninfo), pool, FolderStore(folder / "objects"))
            api.now = began
            async with api.app.lifespan(), api.serve() as url, httpx.AsyncClient(base_url=url, timeout=60) as reader:
                return [await _page(api, reader, name) for name in names]
    finally:
        await server.stop()


async def _page(api: Api, reader: httpx.AsyncClient, name: str) -> Row:
    first, body = await _ask(reader, PAGES[name])
    reporting = asyncio.create_task(_report(api))
    try:
        took = sorted([(await _ask(reader, PAGES[name]))[0] async for _ in _paced()])
    finally:
        reporting.cancel()
    async with _static(body) as bare:
        floor = sorted([(await _ask(bare, "/"))[0] async for _ in _paced()])
    note = (
        f"95th percentile of {ASKED}, {SITES} sites, {DAYS} days, {REPORTS_S:.0f} reports/s meanwhile;"
        f" {len(body)} bytes, median {statistics.median(took):.1f}, worst {took[-1]:.1f}, first of all {first:.0f};"
        " floor: the same bytes, ready made"
    )
    return row(name, _percentile(took), "ms", _percentile(floor), note)


async def _paced() -> AsyncIterator[int]:
    began = time.monotonic()
    for number in range(ASKED):
        await asyncio.sleep(max(0.0, began + number * EVERY_S - time.monotonic()))
        yield number


def _percentile(sorted_ms: Sequence[float]) -> float:
    return sorted_ms[int(0.95 * len(sorted_ms))]


async def _ask(reader: httpx.AsyncClient, path: str) -> tuple[float, bytes]:
    """Milliseconds until the whole page was there, and the page."""
    started = time.perf_counter()
    answer = await reader.get(path)
    took = time.perf_counter() - started
    assert answer.status_code == 200, answer.text
    return took * 1000, answer.content


async def _report(api: Api) -> None:
    """What boxes tell, each in its turn; time goes on."""
    inbox, began = Inbox(api.pool), time.monotonic()
    started_at, number = api.now, 0
    while True:
        api.now = started_at + timedelta(seconds=time.monotonic() - began)
        due = int((time.monotonic() - began) * REPORTS_S)
        batch = range(number, due)
        await asyncio.gather(*(inbox.keep(site_of(n % SITES + 1), _said(n, api.now), api.now) for n in batch))
        number = max(number, due)
        await asyncio.sleep(0.2)


def _said(number: int, now: datetime) -> StatusReport:
    well = Condition(type="Synced", status="True", reason="Converged", message="The box is as desired.", since=now)
    return StatusReport(
        run_id="b" * 32,
        sequence=number + 1,
        at=now,
        agent_version="1.0.0",
        generation=COMMITS,
        head_generation=COMMITS,
        conditions=[well],
        metrics=Metrics(cpu_percent=number % 100, temperature_celsius=40 + number % 30),
    )


@asynccontextmanager
async def _static(body: bytes) -> AsyncIterator[httpx.AsyncClient]:
    @get("/", media_type="text/html")
    async def answer() -> Response[bytes]:
        return Response(body)

    listener, stop = serving.bind("127.0.0.1", 0), asyncio.Event()
    app = Litestar(route_handlers=[answer], openapi_config=None, logging_config=None)
    with listener:
        task = asyncio.create_task(serving.serve(app, app.lifespan(), listener, stop))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
            await until(lambda: listener.fileno() >= 0)
            try:
                yield client
            finally:
                stop.set()
                await task
