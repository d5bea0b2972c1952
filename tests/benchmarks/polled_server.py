"""`python -m tests.benchmarks.polled_server ours|bare FOLDER SITES`: a server that boxes poll, in a process of its own.

It says `ready URL` once it serves, with what each box asks for in `FOLDER/polls.json`; each line on its standard input
publishes something new for all; it ends when that is closed. `bare` is Litestar on the same granian, which answers 304
and knows nothing.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from litestar import Litestar, get
from litestar.params import FromPath
from litestar.response.base import ASGIResponse

from control_plane import serving
from control_plane.store.binaries import installed_programs
from control_plane.store.embedded import EmbeddedPostgres
from control_plane.store.migrate import migrate
from control_plane.store.pool import connection, open_pool
from tests.support.api import Api, FolderStore, Settings, until
from tests.support.published import Box, Wanted, manifest

ETAG = '"c3f1a6b2d4e5"'
Serving = tuple[str, Callable[[], Awaitable[None]]]


async def main(kind: str, folder: Path, sites: int) -> None:
    """Serve until nobody listens any more."""
    boxes = [Box(f"site-{number:05}") for number in range(sites)]
    async with (ours if kind == "ours" else bare)(folder, boxes) as (url, publish):
        print("ready", url, flush=True)
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            await publish()
            print("published", flush=True)


@asynccontextmanager
async def ours(folder: Path, boxes: list[Box]) -> AsyncIterator[Serving]:
    """The application on a real PostgreSQL, with a head for each box."""
    programs = max(installed_programs(), key=lambda found: found.major)
    server = EmbeddedPostgres(folder / "postgres", programs.folder)
    conninfo = await server.start()
    try:
        async with open_pool(conninfo, 4) as pool:
            async with connection(pool) as conn:
                await migrate(conn)
            api = Api(Settings(data_dir=folder, database_url=conninfo), pool, FolderStore(folder / "objects"))
            api.now = datetime.now(UTC)
            async with api.app.lifespan():
                await until(lambda: api.heads.listening)
                number = 0

                async def publish() -> None:
                    nonlocal number
                    number += 1
                    about = manifest(config={"number": number})
                    later = api.now + timedelta(seconds=number)
                    await api.publish({b.site: Wanted(b.identity, about) for b in boxes}, now=later)

                await publish()
                async with api.serve() as url:
                    polls = {b.site: (b.token(api.now), head.etag) for b in boxes if (head := api.heads.get(b.site))}
                    (folder / "polls.json").write_bytes(msgspec.json.encode(polls))
                    yield url, publish
    finally:
        await server.stop()


@asynccontextmanager
async def bare(folder: Path, boxes: list[Box]) -> AsyncIterator[Serving]:
    """What Litestar and granian take for a 304 whatever it is for."""

    @get("/v1/sites/{site:str}/head")
    async def head(site: FromPath[str]) -> ASGIResponse:
        return ASGIResponse(status_code=304, headers=[("ETag", ETAG)])

    async def nothing() -> None:
        return None

    now = datetime.now(UTC)
    (folder / "polls.json").write_bytes(msgspec.json.encode({b.site: (b.token(now), ETAG) for b in boxes}))
    listener, stop = serving.bind("127.0.0.1", 0), asyncio.Event()
    app = Litestar(route_handlers=[head], openapi_config=None, logging_config=None)
    with contextlib.closing(listener):
        port = listener.getsockname()[1]
        task = asyncio.create_task(serving.serve(app, app.lifespan(), listener, stop))
        try:
            yield f"http://127.0.0.1:{port}", nothing
        finally:
            stop.set()
            await task


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))
