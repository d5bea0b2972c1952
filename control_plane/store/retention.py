"""How long what is remembered is kept, and the round that makes room for what comes and drops what has had its time."""

from datetime import datetime, timedelta
from typing import NamedTuple

from control_plane.store import (
    activity,
    alerts,
    attempts,
    audit,
    conditions,
    generations,
    partitions,
    playbacks,
    refusals,
    release_runs,
    reports,
    rollouts,
    sessions,
)
from control_plane.store.pool import Connection
from control_plane.store.sessions import Lasting


class Keep(NamedTuple):
    """For how long. Minutes of measurements last a day and hours 90 days, whatever is set here for their days."""

    events: timedelta
    conditions: timedelta
    metrics: timedelta
    playbacks: timedelta
    audit: timedelta
    sessions: Lasting


class Kept(NamedTuple):
    """What a round did; all zero: nothing was to be done."""

    made: int
    """Partitions."""
    thinned: int
    """Days of minutes."""
    dropped: int
    """Partitions."""
    pruned: int
    """Rows."""


async def tidy(conn: Connection, now: datetime, keep: Keep) -> Kept:
    """Make partitions ahead, thin and drop what is over, prune the rest; may be cut off anywhere and run again."""
    made = await partitions.make(conn, now)
    thinned = await partitions.drop(conn, partitions.MINUTES, now)
    dropped = await partitions.drop(conn, partitions.HOURS, now)
    dropped += await partitions.drop(conn, partitions.DAYS, now, keep.metrics)
    dropped += await partitions.drop(conn, partitions.PLAYBACKS, now, keep.playbacks)
    pruned = await reports.prune_events(conn, now - keep.events)
    pruned += await alerts.prune_alerts(conn, now - keep.events)
    pruned += await refusals.prune(conn, now - keep.events)
    pruned += await conditions.prune(conn, now - keep.conditions)
    pruned += await release_runs.prune(conn, now - keep.conditions)
    pruned += await rollouts.prune(conn, now - keep.conditions)
    pruned += await generations.prune(conn, now - keep.conditions)
    pruned += await activity.prune(conn, now - keep.metrics)
    pruned += await playbacks.prune(conn, now - keep.playbacks)
    pruned += await audit.prune_audit(conn, now - keep.audit)
    pruned += await sessions.prune_sessions(conn, keep.sessions, now)
    pruned += await attempts.prune_attempts(conn, now)
    return Kept(made, thinned, dropped, pruned)
