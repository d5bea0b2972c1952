"""The releases that a box had: what ran from when until when, and what failed and why; pure."""

import re
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from control_plane.store.release_runs import ReleaseRun
from control_plane.web.words import Words
from schemas.status import Event

FAILURES: Final = ("ReleaseFailed",)
"""Reasons of events that say which release failed, and why."""
NEAR: Final = timedelta(minutes=15)
"""A failure that was told so long before or after a release was seen to run is of that run; one that names none (a test
that was cut off), of the run that ended so near to it."""
_NAMED: Final = re.compile(r"Release (\S+) failed, ")


class ReleaseRow(Struct, frozen=True, kw_only=True):
    """A release that ran, or that was tried and failed before a report said that it ran (`tried`)."""

    version: str
    link: str
    note: str
    since: datetime
    since_text: str
    until: str
    lasted: str
    failed: str
    tried: bool
    runs: bool


def release_rows(
    runs: Sequence[ReleaseRun], failures: Sequence[Event], now: datetime, words: Words, *, pages: Collection[str]
) -> list[ReleaseRow]:
    """What ran and what was tried, the newest first. `pages`: the versions that have a page for the reader."""
    told = [(named[1] if (named := _NAMED.match(event.message)) else "", event) for event in failures]
    rows, known = [], set()
    for run in runs:
        of_it = [event for version, event in told if _is_of(run, version, event.at)]
        known |= {event.number for event in of_it}
        rows.append(_ran(run, of_it[0].message if of_it else "", now, words))
    rows += [_tried(version, event, words) for version, event in told if version and event.number not in known]
    linked = [replace(row, link=f"/releases/{row.version}") if row.version in pages else row for row in rows]
    return sorted(linked, key=lambda row: row.since, reverse=True)


def _is_of(run: ReleaseRun, version: str, at: datetime) -> bool:
    if not version:
        return run.until is not None and abs(run.until - at) <= NEAR
    return version == run.version and run.since - NEAR <= at and (run.until is None or at <= run.until + NEAR)


def _ran(run: ReleaseRun, failed: str, now: datetime, words: Words) -> ReleaseRow:
    return ReleaseRow(
        version=run.version,
        link="",
        note=words("by.hand") if run.tree is None else "",
        since=run.since,
        since_text=words.instant(run.since),
        until=words.instant(run.until) if run.until else words("releases.runs"),
        lasted=words.span((run.until or now) - run.since),
        failed=failed,
        tried=False,
        runs=run.until is None,
    )


def _tried(version: str, event: Event, words: Words) -> ReleaseRow:
    return ReleaseRow(
        version=version,
        link="",
        note="",
        since=event.at,
        since_text=words.instant(event.at),
        until=words("releases.tried"),
        lasted="",
        failed=event.message,
        tried=True,
        runs=False,
    )
