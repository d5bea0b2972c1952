"""`python -m tests.soak.plane SETTINGS [LEAK]`: the whole control plane in a process, told on stdin what to do next.

    ingest        looks at the remote, as the job does, without waiting for its time
    jobs          every other job, once
    clock SECONDS puts its clock so far forward
    sweep         as `neopro gc` does
    count         what its heap holds, and its tasks
    kinds         its objects by type

Each is answered by one line of JSON. All else is as `neopro serve` has it, its jobs by their own time too.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from control_plane.app import THREADS, Running, make_jobs, make_sweeper, running_server
from control_plane.errors import FleetError
from control_plane.jobs import Jobs
from control_plane.logs import log_to_stderr
from control_plane.settings import Settings
from tests.soak import heap
from tests.soak.seeds import PLANE_SEEDS

GRACE = timedelta(days=30)


class Plane:
    """A control plane that runs, and what may be asked of it."""

    def __init__(self, running: Running, jobs: Jobs, clock: "Forward") -> None:
        self._running, self._jobs, self._clock = running, jobs, clock
        self._sweeper = make_sweeper(running.services)

    async def ingest(self) -> str:
        """The verdict, or what kept it from looking."""
        try:
            return (await self._running.services.pipeline.ingest()).verdict
        except FleetError as problem:
            return problem.reason

    async def jobs(self) -> int:
        """As they would have run by now."""
        jobs = self._jobs
        for job in (jobs.renew, jobs.tidy, jobs.keep, jobs.watch, jobs.roll, jobs.tell):
            await job()
        self._running.application.state.uploads.forget_old()
        return 0

    async def clock(self, seconds: str) -> int:
        """Put it forward."""
        self._clock.offset = timedelta(seconds=float(seconds))
        return 0

    async def sweep(self) -> int:
        """How many blobs were deleted."""
        return (await self._sweeper.sweep(GRACE, dry_run=False)).swept

    async def count(self) -> dict[str, float]:
        """Of the interpreter."""
        return heap.figures() | {"tasks": len(asyncio.all_tasks())}

    async def kinds(self) -> dict[str, int]:
        """Objects by type."""
        return dict(heap.kinds())


class Forward:
    """The real clock, put forward by `offset`."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset


async def live(settings: Settings) -> None:
    """Serve until stdin ends."""
    clock = Forward()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(THREADS))
    asked = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(asked), sys.stdin)
    async with running_server(settings, clock) as running:
        plane = Plane(running, make_jobs(running.services), clock)
        say({"url": running.url})
        while words := (await asked.readline()).decode().split():
            command: Callable[..., Awaitable[Any]] = getattr(plane, words[0])
            say(await command(*words[1:]))


def say(answer: object) -> None:
    """A line of JSON."""
    print(msgspec.json.encode(answer).decode(), flush=True)


if __name__ == "__main__":
    log_to_stderr("warning")
    if sys.argv[2:]:
        PLANE_SEEDS[sys.argv[2]]()
    asyncio.run(live(Settings.load(Path(sys.argv[1]), {})))
