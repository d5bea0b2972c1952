"""Reports of boxes, written together: whatever came while a batch was being written goes into the next.

A report that comes alone is written at once; the more come, the larger the batches are, without a pause that somebody
would have to choose. While PostgreSQL is busy with one batch the next is made ready.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import psycopg

from control_plane.errors import FleetError
from control_plane.monitoring.meters import Meters
from control_plane.store import reports
from control_plane.store.pool import Pool, connection
from schemas.names import SiteId
from schemas.status import StatusReport

BATCH: Final = 500
WRITERS: Final = 2
MAX_WAITING: Final = 20_000
"""Reports that may wait for the database; above it a box is asked to come again."""


class InboxFull(Exception):
    """More reports wait than the database takes; the box tries again."""


class Unstorable(Exception):
    """A report that PostgreSQL cannot hold: a NUL in a text, a number beyond 64 bits, a row that fits in no table."""


class _Letter(NamedTuple):
    received: reports.Received
    kept: asyncio.Future[None]


class Inbox:
    """Keeps reports; `keep` returns when the report is on disk (or was known already)."""

    def __init__(self, pool: Pool, meters: Meters) -> None:
        self._pool, self._meters = pool, meters
        meters.reports_waiting.set_function(lambda: len(self._letters))
        self._letters: list[_Letter] = []
        self._writers: set[asyncio.Task[None]] = set()
        self._writing: set[SiteId] = set()

    async def keep(self, site: SiteId, report: StatusReport, received_at: datetime) -> None:
        """Write the report; InboxFull, Unstorable, or DatabaseUnavailable when it was not kept."""
        if len(self._letters) >= MAX_WAITING:
            self._meters.reports["unkept"].inc()
            raise InboxFull("too many reports are waiting to be written")
        letter = _Letter(reports.Received(site, report, received_at), asyncio.get_running_loop().create_future())
        self._letters.append(letter)
        if len(self._writers) < WRITERS:
            self._writers.add(asyncio.create_task(self._write_all(), name="inbox"))
        await letter.kept

    async def _write_all(self) -> None:
        writer = asyncio.current_task()
        assert writer is not None
        try:
            while batch := self._next_batch():
                await self._write_marked(batch)
        finally:
            # At once, not when the task is cleared away: the next letter must find that nobody writes.
            self._writers.discard(writer)

    async def _write_marked(self, batch: list[_Letter]) -> None:
        sites = {letter.received.site for letter in batch}
        self._writing |= sites
        try:
            await self._write(batch)
        except BaseException:
            # Only a bug or the end of the server comes here; nobody may wait for ever.
            for letter in batch + self._letters:
                letter.kept.cancel()
            self._letters.clear()
            raise
        finally:
            self._writing -= sites

    def _next_batch(self) -> list[_Letter]:
        """The oldest letters, at most one a site, each site's in the order they came: none while another is written."""
        batch: dict[SiteId, _Letter] = {}
        later: list[_Letter] = []
        for place, letter in enumerate(self._letters):
            if len(batch) >= BATCH:
                later += self._letters[place:]
                break
            site = letter.received.site
            if site in batch or site in self._writing:
                later.append(letter)
            else:
                batch[site] = letter
        self._letters = later
        return list(batch.values())

    async def _write(self, batch: Sequence[_Letter]) -> None:
        began = time.perf_counter()
        try:
            async with connection(self._pool) as conn:
                taken = await reports.record(conn, [letter.received for letter in batch])
        except (psycopg.DataError, psycopg.IntegrityError) as problem:
            await self._write_apart(batch, problem)
        except FleetError as problem:
            self._meters.reports["unkept"].inc(len(batch))
            _answer(batch, problem)
        else:
            self._count(taken, len(batch), time.perf_counter() - began)
            _answer(batch, None)

    def _count(self, taken: reports.Taken, size: int, seconds: float) -> None:
        meters = self._meters
        meters.batch_size.observe(size)
        meters.batch_duration.observe(seconds)
        meters.reports["kept"].inc(len(taken.news))
        meters.reports["duplicate"].inc(size - len(taken.news))
        meters.samples_in_time.inc(taken.samples)
        meters.samples_late.inc(taken.late_samples)
        for after_s in taken.reached_after_s:
            meters.convergence.observe(after_s)

    async def _write_apart(self, batch: Sequence[_Letter], problem: psycopg.Error) -> None:
        """One letter at a time, so that one that cannot be stored harms no other."""
        if len(batch) == 1:
            why = str(problem).splitlines()[0]
            _answer(batch, Unstorable(f"the report cannot be stored: {why}"))
            return
        for letter in batch:
            await self._write([letter])


def _answer(batch: Sequence[_Letter], problem: Exception | None) -> None:
    for letter in batch:
        if letter.kept.done():
            continue
        if problem is None:
            letter.kept.set_result(None)
        else:
            letter.kept.set_exception(problem)
