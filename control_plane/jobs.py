"""Which pipeline function runs, and how often. A run that fails is one line in the log, and runs again in its time."""

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.interval import IntervalTrigger

from control_plane.errors import FleetError
from control_plane.monitoring.meters import Meters
from control_plane.notify import Notifier
from control_plane.pipeline import Clock, Outcome, Pipeline
from control_plane.store import retention
from control_plane.store.pool import Pool, connection
from control_plane.store.retention import Keep
from control_plane.watching import Watch

RENEW_EVERY_S: Final = 3600
TIDY_EVERY_S: Final = 3600
KEEP_EVERY_S: Final = 30
WATCH_EVERY_S: Final = 30
ROLL_EVERY_S: Final = 15
TELL_EVERY_S: Final = 30
_STUCK: Final = ("refused", "held")
"""Verdicts that are told once for each commit."""

logger = logging.getLogger(__name__)


@asynccontextmanager
async def running_jobs(jobs: "Jobs", *, poll_s: int) -> AsyncIterator[None]:
    """Every job runs now and then in its interval, none of them twice at a time, until the context is left."""
    scheduler = AsyncIOScheduler(timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": None})
    for job, every_s in (
        (jobs.poll, poll_s),
        (jobs.renew, RENEW_EVERY_S),
        (jobs.tidy, TIDY_EVERY_S),
        (jobs.keep, KEEP_EVERY_S),
        (jobs.watch, WATCH_EVERY_S),
        (jobs.roll, ROLL_EVERY_S),
        (jobs.tell, TELL_EVERY_S),
    ):
        jobs.meters.expect_job(job.__name__, every_s)
        scheduler.add_job(
            job, IntervalTrigger(seconds=every_s, timezone=UTC), next_run_time=datetime.now(UTC), max_instances=1
        )
    scheduler.start()
    try:
        yield
    finally:
        scheduler.shutdown(wait=False)


class Jobs:
    """The jobs themselves; a trouble that goes on is told when it begins, changes and ends, not at every run."""

    def __init__(
        self,
        pipeline: Pipeline,
        watch: Watch,
        notifier: Notifier,
        *,
        pool: Pool,
        clock: Clock,
        keep: Keep,
        meters: Meters,
    ) -> None:
        self._pipeline, self._watch, self._notifier = pipeline, watch, notifier
        self._pool, self._clock, self._keep = pool, clock, keep
        self.meters = meters
        self._troubles: dict[str, str] = {}
        self._refused = ""

    async def poll(self) -> None:
        """Look at the Git remote."""
        await self._run("poll", self._poll)

    async def renew(self) -> None:
        """Sign heads that grow old."""
        await self._run("renew", self._renew)

    async def tidy(self) -> None:
        """Make room for what boxes will tell, thin what they told, forget what has had its time."""
        await self._run("tidy", self._tidy)

    async def keep(self) -> None:
        """Write down what was parsed."""
        await self._run("keep", self._pipeline.keep_documents)

    async def watch(self) -> None:
        """Look at what should worry somebody."""
        await self._run("watch", self._look)

    async def roll(self) -> None:
        """Move rollouts on."""
        await self._run("roll", self._roll)

    async def tell(self) -> None:
        """Tell people of alerts."""
        await self._run("tell", self._notify)

    async def _notify(self) -> None:
        if told := await self._notifier.tell():
            logger.info("told", extra={"notices": told})

    async def _look(self) -> None:
        step = await self._watch.look()
        for one in step.news:
            told = {"alert": one.alert.firing.kind, "about": one.alert.firing.subject, "what": one.what}
            logger.info("alert", extra=told)

    async def _poll(self) -> None:
        outcome = await self._pipeline.ingest()
        if outcome.verdict == "published":
            logger.info("published", extra=_words(outcome))
        elif outcome.verdict in _STUCK and outcome.revision != self._refused:
            first = next((p for p in outcome.problems if ": error " in p or outcome.verdict == "held"), "")
            logger.warning(outcome.verdict, extra=_words(outcome) | {"problems": len(outcome.problems), "first": first})
        self._refused = outcome.revision if outcome.verdict in _STUCK else ""

    async def _renew(self) -> None:
        if renewed := await self._pipeline.renew():
            logger.info("renewed", extra={"heads": renewed})

    async def _roll(self) -> None:
        if moved := await self._pipeline.roll():
            logger.info("rolled", extra={"sites": moved})

    async def _tidy(self) -> None:
        async with connection(self._pool) as conn:
            kept = await retention.tidy(conn, self._clock(), self._keep)
        if any(kept):
            logger.info("tidied", extra=kept._asdict())

    async def _run(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        try:
            await self._timed(name, job)
        except FleetError as problem:
            if self._troubles.get(name) != str(problem):
                logger.error("failed", extra={"job": name, "reason": problem.reason, "why": str(problem)})
            self._troubles[name] = str(problem)
        else:
            if self._troubles.pop(name, None):
                logger.info("recovered", extra={"job": name})

    async def _timed(self, name: str, job: Callable[[], Awaitable[None]]) -> None:
        """Whatever keeps it from finishing is counted, a bug too."""
        began, finished = time.perf_counter(), False
        try:
            await job()
            finished = True
            self.meters.job_success.labels(name).set(self._clock().timestamp())
        finally:
            self.meters.job_duration.labels(name).observe(time.perf_counter() - began)
            if not finished:
                self.meters.job_failures.labels(name).inc()


def _words(outcome: Outcome) -> dict[str, object]:
    return {"revision": outcome.revision[:12], "sites": outcome.sites, "took_s": round(outcome.seconds, 3)}
