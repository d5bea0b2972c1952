"""The web application on a real database and a real folder of blobs, published to by hand: no Git, no compiler.

async with open_api(tmp_path, database) as api:
    box = Box("brest")
    await api.publish({"brest": Wanted(box.identity)})
    answer = await api.http.get("/v1/sites/brest/head", headers=box.headers(api.now))
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest
from litestar import Litestar

from control_plane import serving
from control_plane.api.app import make_api
from control_plane.api.heads import Heads
from control_plane.monitoring.meters import Meters
from control_plane.objects import FolderStore
from control_plane.openid import open_provider
from control_plane.settings import Settings
from control_plane.store import publications, reports, tokens
from control_plane.store.pool import Connection, Pool, connection, open_pool
from control_plane.store.publications import Published
from schemas.names import Digest, SiteId, digest_of
from schemas.status import StatusReport
from tests.support.published import NOW, Box, Wanted, publish

PATIENCE_S = 20.0


class Api:
    """What `open_api` yields. `now` is the server's clock and may be set."""

    def __init__(self, settings: Settings, pool: Pool, objects: FolderStore) -> None:
        self.settings, self.pool, self.objects = settings, pool, objects
        self.now = NOW
        self.app = self._application()
        self.http = self.client()

    def _application(self) -> Litestar:
        return make_api(
            settings=self.settings,
            pool=self.pool,
            objects=self.objects,
            clock=lambda: self.now,
            meters=Meters(),
            provider=open_provider(self.settings, lambda: self.now),
        )

    @property
    def heads(self) -> Heads:
        """What the running application serves from."""
        heads: Heads = self.app.state.heads
        return heads

    def client(self, peer: str = "127.0.0.1", base: str = "http://127.0.0.1:8470") -> httpx.AsyncClient:
        """A client that comes from `peer` and calls the server by the name in `base`."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=cast(Any, self.app), client=(peer, 5000)), base_url=base
        )

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection to the database."""
        async with connection(self.pool) as conn:
            yield conn

    async def publish(self, sites: Mapping[SiteId, Wanted], **how: Any) -> Published:
        """Publish, and wait until the server serves it."""
        async with self.connection() as conn:
            published = await publish(conn, sites, **{"now": self.now, **how})
        await self.settled()
        return published

    async def settled(self) -> None:
        """Wait until the server has taken in what is published."""
        async with self.connection() as conn:
            wanted = await publications.current(conn)
        serial = wanted.serial if wanted else 0
        await until(lambda: self.heads.loaded and self.heads.serial >= serial)

    async def report(self, site: SiteId, report: StatusReport, at: datetime | None = None) -> None:
        """Keep a report as if the box had sent it at `at`."""
        async with self.connection() as conn:
            await reports.record(conn, [reports.Received(site, report, at or self.now)])

    async def send(self, box: Box, report: StatusReport) -> httpx.Response:
        """Send a report as the box does."""
        body = msgspec.json.encode(report)
        return await self.http.post(f"/v1/sites/{box.site}/status", headers=box.headers(self.now), content=body)

    async def head(self, box: Box, **headers: str) -> httpx.Response:
        """Ask for the box's own head."""
        return await self.http.get(f"/v1/sites/{box.site}/head", headers=box.headers(self.now) | headers)

    async def operator(self, *scopes: tokens.Scope, lifetime: timedelta = timedelta(days=1)) -> dict[str, str]:
        """The headers of an operator's fresh token."""
        async with self.connection() as conn:
            text = await tokens.add_token(conn, "ada", scopes, now=self.now, expires_at=self.now + lifetime)
        return {"Authorization": f"Bearer {text}"}

    async def put(self, data: bytes) -> Digest:
        """Put bytes into the object store."""
        file = self.settings.data_dir / "staged"
        file.write_bytes(data)
        await self.objects.put(digest_of(data), file)
        return digest_of(data)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """A real server of a second application on the same database; its URL."""
        async with contextlib.AsyncExitStack() as stack:
            app = self._application()
            listener = stack.enter_context(contextlib.closing(serving.bind("127.0.0.1", 0)))
            stop = asyncio.Event()
            port = listener.getsockname()[1]
            task = asyncio.create_task(serving.serve(app, app.lifespan(), listener, stop))
            try:
                await until(lambda: hasattr(app.state, "heads") and app.state.heads.listening)
                yield f"http://127.0.0.1:{port}"
            finally:
                stop.set()
                await task


@asynccontextmanager
async def open_api(folder: Path, database: str, **settings: Any) -> AsyncIterator[Api]:
    """An application that runs and listens, on an empty database."""
    chosen = Settings(**{"data_dir": folder, "database_url": database, **settings})
    async with open_pool(database) as pool:
        api = Api(chosen, pool, FolderStore(folder / "objects"))
        async with api.app.lifespan(), api.http:
            await until(lambda: api.heads.listening)
            yield api


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    """The application on a database of its own, with the settings that it has by itself."""
    async with open_api(tmp_path, database) as opened:
        yield opened


async def until(condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Return when the condition holds; fail when it does not in time."""
    async with asyncio.timeout(patience_s):
        while not condition():
            await asyncio.sleep(0.005)


def boxes(*sites: SiteId) -> Sequence[Box]:
    """A box for each site."""
    return [Box(site) for site in sites]
