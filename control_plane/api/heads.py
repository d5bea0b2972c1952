"""Every site's head in memory: loaded at start, refreshed when PostgreSQL says that something was published.

An unchanged poll is answered from here, without a query. The connection that listens may break and come back: after
each LISTEN the rows above our serial are read, so nothing that was published meanwhile is missed.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from typing import Final

from msgspec import Struct
from psycopg import Error as PostgresError

from control_plane.errors import DatabaseUnavailable
from control_plane.store import alerts, publications, reports, views
from control_plane.store.lookout import Lookout
from control_plane.store.pool import Connection, open_connection
from schemas.desired import SiteState
from schemas.names import Digest, PublicKeyLine, SiteId

HEARTBEAT_S: Final = 30.0
"""How often an idle connection is tried, so that a silently dropped one is noticed; also a safety net for news."""
RECONNECT_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
WAITS_PER_SITE: Final = 4
"""Above it the oldest wait of that site ends: a box that reconnects leaves waits behind that nobody reads."""
LOG = logging.getLogger(__name__)


class Head(Struct, kw_only=True):
    """What a site's poll needs. `told`: a gone, retired or suspended site whose box has accepted this very head."""

    site: SiteId
    etag: str
    envelope: bytes
    identity: PublicKeyLine | None
    state: SiteState
    gone: bool
    generation: int
    manifest: Digest
    told: bool = False

    @property
    def ended(self) -> bool:
        """Whether its box is told once and refused from then on."""
        return self.gone or self.state != "active"


class Heads:
    """The heads of all sites; `follow` keeps them fresh and must be running for `wait` to wake."""

    def __init__(self, conninfo: Callable[[], str], lookout: Lookout) -> None:
        """`lookout` hears of which sites there is news."""
        self._conninfo, self._lookout = conninfo, lookout
        lookout.tell = self._looked
        self._heads: dict[SiteId, Head] = {}
        self._waits: dict[SiteId, list[asyncio.Future[None]]] = {}
        self.serial = 0
        """Of the newest publication that was taken in."""
        self._closing = False
        self.loaded = False
        self.listening = False
        self._readers: list[asyncio.Future[None]] = []
        self.news = 0
        """Rises with every publication, report and alert that was heard of: what older ones say is stale."""
        self._newest: dict[SiteId, int] = {}

    def __len__(self) -> int:
        return len(self._heads)

    def get(self, site: SiteId) -> Head | None:
        """The head of a site, if it was ever published."""
        return self._heads.get(site)

    @property
    def waiting(self) -> int:
        """How many long polls are open."""
        return sum(map(len, self._waits.values()))

    async def wait(self, site: SiteId, etag: str, timeout_s: float) -> None:
        """Return when the site's head is no longer `etag`, after `timeout_s`, or when the server stops."""
        head = self._heads.get(site)
        if self._closing or head is None or head.etag != etag:
            return
        future = asyncio.get_running_loop().create_future()
        waits = self._waits.setdefault(site, [])
        if len(waits) >= WAITS_PER_SITE:
            _end(waits[:1])
        waits.append(future)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(future, timeout_s)
        finally:
            waits.remove(future)
            if not waits and self._waits.get(site) is waits:
                del self._waits[site]

    @property
    def closing(self) -> bool:
        """Whether the server is about to stop."""
        return self._closing

    async def wait_news(self, seen: int, timeout_s: float) -> int:
        """`news`, as soon as it is not `seen` any more; as it is after `timeout_s`, or when the server stops."""
        if self.news == seen and not self._closing:
            future = asyncio.get_running_loop().create_future()
            self._readers.append(future)
            try:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(future, timeout_s)
            finally:
                self._readers.remove(future)
        return self.news

    def news_of(self, sites: Collection[SiteId] | None) -> int:
        """As `news`, of these sites alone, and of no alert, which names none here; None: of all."""
        if sites is None:
            return self.news
        return max((self._newest.get(site, 0) for site in sites), default=0)

    def _looked(self, sites: Collection[SiteId] | None) -> None:
        self._tell(*(self._heads if sites is None else sites))

    def _tell(self, *sites: SiteId) -> None:
        self.news += 1
        self._newest |= dict.fromkeys(sites, self.news)
        _end(self._readers)

    def finish_waits(self) -> None:
        """End every long poll now and let none begin: the server is about to stop."""
        self._closing = True
        for waits in (*self._waits.values(), self._readers):
            _end(waits)

    def mark_told(self, site: SiteId, head_generation: int | None) -> None:
        """The box of an ended site has accepted this head: from now on it is refused."""
        head = self._heads.get(site)
        if head is not None and head.ended and (head_generation or 0) >= head.generation and not head.told:
            head.told = True
            _end(self._waits.get(site, ()))

    async def refresh(self, conn: Connection) -> None:
        """Take in what was published since our serial; everything when the database went back behind it."""
        current = await publications.current(conn)
        serial = current.serial if current else 0
        went_back = serial < self.serial
        rows = await publications.heads_changed_since(conn, 0 if went_back else self.serial)
        told = await views.told_sites(conn)
        if went_back:
            self._heads.clear()
            self._lookout.listens(True)
        for row in rows:
            self._lookout.heard(row.site)
            self._take(Head(**row._asdict(), told=told.get(row.site, 0) >= row.generation))
        for site, generation in told.items():
            self.mark_told(site, generation)
        self.serial, self.loaded = serial, True
        self._tell(*(row.site for row in rows))

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Follow the database in the background for as long as the context is open."""
        task = asyncio.create_task(self._follow(), name="heads")
        task.add_done_callback(self._stopped)
        try:
            yield
        finally:
            self.finish_waits()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _follow(self) -> None:
        failures = 0
        while True:
            try:
                conn = await open_connection(self._conninfo())
                async with conn:
                    await conn.execute(f"listen {publications.CHANNEL}")
                    await conn.execute(f"listen {reports.CHANNEL}")
                    await conn.execute(f"listen {alerts.CHANNEL}")
                    self._lookout.listens(True)
                    await self.refresh(conn)
                    self.listening, failures = True, 0
                    await self._listen(conn)
            except (DatabaseUnavailable, PostgresError, TimeoutError) as problem:
                if self.listening or failures == 0:
                    LOG.warning("cannot follow publications: %s; trying again", problem or "no answer in time")
                self.listening = False
                self._lookout.listens(False)
                await asyncio.sleep(RECONNECT_S[min(failures, len(RECONNECT_S) - 1)])
                failures += 1

    def _stopped(self, task: asyncio.Task[None]) -> None:
        self.listening = False
        self._lookout.listens(False)
        if not task.cancelled() and task.exception() is not None:
            LOG.error("publications are no longer followed: a bug; restart the server", exc_info=task.exception())

    async def _listen(self, conn: Connection) -> None:
        while True:
            notices = [n async for n in conn.notifies(timeout=HEARTBEAT_S, stop_after=1)]
            for notice in notices:
                if notice.channel == reports.CHANNEL:
                    await self._reported(conn, notice.payload)
            if any(n.channel == alerts.CHANNEL for n in notices):
                self._tell()
            if not notices or any(n.channel == publications.CHANNEL for n in notices):
                # A connection that was dropped without a word would let the query hang for a quarter of an hour.
                async with asyncio.timeout(HEARTBEAT_S):
                    await self.refresh(conn)

    async def _reported(self, conn: Connection, site: SiteId) -> None:
        self._lookout.heard(site)
        self._tell(site)
        head = self._heads.get(site)
        if head is not None and head.ended and not head.told:
            self.mark_told(site, (await views.told_sites(conn)).get(site))

    def _take(self, head: Head) -> None:
        self._heads[head.site] = head
        _end(self._waits.get(head.site, ()))


def _end(waits: Iterable[asyncio.Future[None]]) -> None:
    for future in waits:
        if not future.done():
            future.set_result(None)
