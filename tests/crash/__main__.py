"""`make test-crash`: every suite of crashes, whole; what was counted, as it stands in docs/measured.md.

    python -m tests.crash [--jobs CORES] [--suite NAME]… [--life NAME]… [--every N]

Exit status 0: no failure; 1: some, each named when it was found.
"""

import argparse
import os
import platform
import signal
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from tests.crash.disks import KERNELS
from tests.crash.suites import SUITES, Pace, Row, Suite, kernels
from tests.crash.trial import workshop

SAID_S: Final = 20.0
"""Between two words about a job that goes on."""


class Counted(NamedTuple):
    """A suite that ran (or could not: `why_not`): its rows, each with its failures."""

    suite: Suite
    rows: list[tuple[Row, int]]
    points: int
    why_not: str = ""

    @property
    def failures(self) -> int:
        """Of all rows."""
        return sum(failures for _, failures in self.rows)

    def __str__(self) -> str:
        if self.why_not:
            return f"{self.suite.name}: not run, {self.why_not}"
        return f"{self.suite.name}: {self.points:,} points, {self.failures} failures"

    def table(self) -> str:
        """In Markdown."""
        columns = (*self.suite.columns, "failures")
        rows = [(row.label, *row.cells, failures) for row, failures in self.rows]
        lines = [columns, ("---",) * len(columns), *rows]
        return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


class Run:
    """Suites, one job after the other, with a word about each: what came of it, and how long the rest may take."""

    def __init__(self, suites: list[Suite], pace: Pace) -> None:
        self._suites = suites
        self._pace = pace
        self._began_s = time.monotonic()
        self._done = 0.0
        self._all = sum(suite.share * len(suite.jobs) for suite in suites)

    def go(self) -> list[Counted]:
        """What was counted."""
        return [self._count(suite) for suite in self._suites if suite.jobs]

    def minutes(self) -> float:
        """Since it began."""
        return (time.monotonic() - self._began_s) / 60

    def _count(self, suite: Suite) -> Counted:
        if reason := suite.why_not():
            return Counted(suite, [], 0, reason)
        rows, points = [], 0
        for job in suite.jobs:
            tally = Tally(f"{suite.name}, {job.label}")
            rows.append((job.make(self._pace, tally), len(tally.failures)))
            points += tally.points
            self._done += suite.share
            left = self.minutes() * (self._all - self._done) / self._done
            _say(f"{tally}; {self.minutes():.0f} minutes gone, about {left:.0f} left")
        return Counted(suite, rows, points)


class Tally:
    """Hears of the points of a job, and tells what is wrong."""

    def __init__(self, label: str) -> None:
        self.points = 0
        self.failures: list[str] = []
        self._label = label
        self._said_s = time.monotonic()

    def __call__(self, said: str) -> None:
        self.points += 1
        if said:
            self.failures.append(said)
            print(f"FAILED {said}", flush=True)
        if time.monotonic() - self._said_s > SAID_S:
            self._said_s = time.monotonic()
            _say(f"{self} so far")

    def __str__(self) -> str:
        return f"{self._label}: {self.points:,} points, {len(self.failures)} failures"


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many points at once")
    parser.add_argument("--suite", action="append", choices=[suite.name for suite in SUITES], help="only this one")
    parser.add_argument("--life", action="append", help="only this one")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th point")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is mounted is unmounted before
    pace = Pace(given.jobs, given.every)
    run = Run(list(_chosen(given.suite, given.life)), pace)
    counted = run.go()
    took = f"{run.minutes():.0f} minutes with {pace.processes} processes"
    print(f"\n{datetime.now(UTC):%Y-%m-%d}, {surroundings()}; {took}.")
    if pace.every > 1:
        print(f"Only one in {pace.every} of the points in these tables was tried.")
    for one in counted:
        print(f"\n**{one.suite.name}**\n\n{one.table()}")
    print("", *(f"- {one}" for one in counted), sep="\n")
    return 1 if any(one.failures for one in counted) else 0


def surroundings() -> str:
    """The kernel, and what the disks are whose power is cut."""
    with workshop() as folder:
        found = [f"Linux {platform.release()}", f"kills and failing disks in {_file_system(folder)}"]
        for kernel in kernels():
            own = folder / kernel
            own.mkdir()
            machine = KERNELS[kernel](own)
            with machine.running(machine.empty):
                found.append(f"{kernel}: {machine.surroundings()}")
    return "; ".join(found)


def _chosen(suites: list[str] | None, lives: list[str] | None) -> Iterator[Suite]:
    for suite in SUITES:
        if suites is None or suite.name in suites:
            yield suite._replace(jobs=tuple(job for job in suite.jobs if lives is None or job.label in lives))


def _file_system(folder: Path) -> str:
    """The kind of the file system that holds this folder."""
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return max((mount for mount in mounts if str(folder).startswith(mount[1])), key=lambda mount: len(mount[1]))[2]


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
