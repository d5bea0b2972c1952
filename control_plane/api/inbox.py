"""Reports of boxes, written together: whatever came while one batch was being written goes into the next."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

import psycopg

from control_plane.errors import FleetError
from control_plane.store import reports
from control_plane.store.pool import Pool, connection
from schemas.names import SiteId
from schemas.status import StatusReport

BATCH: Final = 500
MAX_WAITING: Final = 20_000
"""Reports that may wait for the database; above it a box is asked to come again."""


class InboxFull(Exception):
    """More reports wait than the database takes; the box tries again."""


class Unstorable(Exception):
    """A report that PostgreSQL cannot hold: a NUL in a text, a number beyond 64 bits."""


class _Letter(NamedTuple):
    received: reports.Received
    kept: asyncio.Future[None]


class Inbox:
    """Keeps reports; `keep` returns when the report is on disk (or was known already)."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._letters: list[_Letter] = []
        self._writer: asyncio.Task[None] | None = None

    async def keep(self, site: SiteId, report: StatusReport, received_at: datetime) -> None:
        """Write the report; InboxFull, Unstorable, or DatabaseUnavailable when it was not kept."""
        if len(self._letters) >= MAX_WAITING:
            raise InboxFull("too many reports are waiting to be written")
        letter = _Letter(reports.Received(site, report, received_at), asyncio.get_running_loop().create_future())
        self._letters.append(letter)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all(), name="inbox")
        await letter.kept

    async def _write_all(self) -> None:
        while batch := self._next_batch():
            try:
                await self._write(batch)
            except BaseException:
                # Only a bug or the end of the server comes here; nobody may wait for ever.
                for letter in batch + self._letters:
                    letter.kept.cancel()
                self._letters.clear()
                raise

    def _next_batch(self) -> list[_Letter]:
        """The oldest letters, at most one a site, each site's in the order they came."""
        batch: dict[SiteId, _Letter] = {}
        later: list[_Letter] = []
        for letter in self._letters:
            site = letter.received.site
            if site in batch or len(batch) >= BATCH:
                later.append(letter)
            else:
                batch[site] = letter
        self._letters = later
        return list(batch.values())

    async def _write(self, batch: Sequence[_Letter]) -> None:
        try:
            async with connection(self._pool) as conn:
                await reports.record(conn, [letter.received for letter in batch])
        except psycopg.DataError as problem:
            await self._write_apart(batch, problem)
        except FleetError as problem:
            _answer(batch, problem)
        else:
            _answer(batch, None)

    async def _write_apart(self, batch: Sequence[_Letter], problem: psycopg.DataError) -> None:
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
