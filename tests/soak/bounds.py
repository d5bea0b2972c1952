"""By how much what a life holds may be above what it held earlier in it, and why. All else may not be above at all."""

from typing import Final

from tests.soak.counting import Allowance

_HEAP: Final = "caches of the interpreter and of libraries fill, and are not all full by the second quarter"
_PAGES: Final = "pages that the allocator cannot give back"

AT_WORK: Final = (
    Allowance("heap: blocks", 1_500, 0, _HEAP),
    Allowance("heap: objects", 300, 0, _HEAP),
    Allowance("resident MiB", 3, 0, _PAGES),
    Allowance("resident MiB of files", 1, 0, _PAGES),
    Allowance("C library: kB", 200, 0, _HEAP),
    Allowance("descriptors(: socket)?", 2, 0, "connections to the control plane are kept for two minutes"),
    Allowance("state.*: kB", 2, 0, "sentences and numbers that were told last are not all equally long"),
    Allowance("(of the box|videos|releases): kB", 1, 0, "names and numbers with another digit"),
)
"""A box with a network."""

ALONE: Final = (
    *AT_WORK[1:6],
    Allowance("heap: blocks", 1_500, 0.01, "measurements: hours of 90 days, by the lives of the machine"),
    Allowance("state.*: kB", 2, 0.05, "measurements: hours of 90 days, by the lives of the machine"),
    Allowance("of the box: files", 2, 0.01, "what was played: 64 MiB, in files of almost one size"),
    Allowance("of the box: kB", 100, 0.01, "what was played: 64 MiB"),
)
"""A box without one."""

BACK: Final = (
    Allowance("C library: kB", 1_500, 0, "what the first hand-over of so much has left behind"),
    Allowance("resident MiB", 6, 0, "what the first hand-over of so much has left behind"),
    *AT_WORK,
)
"""The same box with one again, beside what it was before."""

_PARTITIONS: Final = "partitions are dropped when all of their time is over"
CONTROL_PLANE: Final = (
    Allowance("heap: blocks", 4_000, 0, _HEAP),
    Allowance("heap: objects", 600, 0, _HEAP),
    Allowance("resident MiB", 0, 0, "also what threads and the web server's own allocator hold back", noted=True),
    Allowance("resident MiB of files", 8, 0, "the clone and the parsed documents, as far as they were read"),
    Allowance("C library: kB", 1_000, 0, _HEAP),
    Allowance("(threads|tasks)", 3, 0, "threads are made when there is work for them; a job may be under way"),
    Allowance("descriptors(: socket)?|connections to PostgreSQL", 8, 0, "the pool has 8 connections at most"),
    Allowance("descriptors.*", 24, 0, "the clone's packs are open, 32 at most, or have just been put together"),
    Allowance("clone.git: (files|folders)", 24, 0, "packs are put together when there are more than 50"),
    Allowance("clone.git: kB", 0, 0, "the history of the fleet's own repository", noted=True),
    Allowance("documents: kB", 0, 0, "until it has 256 MiB; then its older half goes", noted=True),
    Allowance("objects: folders", 0, 0, "256 at most: one for each first byte of a name", noted=True),
    Allowance("objects: .*", 4, 0.15, "films and backups of the last 30 days"),
    Allowance("rows: commits", 0, 0, "one for each commit, as in Git; some hundred bytes", noted=True),
    Allowance("rows: trust_documents", 0, 0, "one for each release; boxes walk through them", noted=True),
    Allowance("rows: metrics_days", 0, 0, "a row a site and day for `keep_metrics_s`, dropped by the year", noted=True),
    Allowance("rows: (metrics_.*|playbacks)|partitions", 12, 0.4, _PARTITIONS),
    Allowance("rows: (alerts|notices|deliveries|audit|activity)", 12, 0.1, "some of what happens now and then"),
    Allowance("rows: .*", 2, 0.05, "at the edge of the time for which it is kept"),
    Allowance("kB: .*", 128, 1, "pages of dead rows until PostgreSQL's own vacuum comes by"),
)
"""The server and its database."""
