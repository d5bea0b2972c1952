"""What is counted of the fleet for those who measure it: alerts, notices, reports. Reads only, never by site."""

from datetime import datetime
from typing import Literal, NamedTuple

from control_plane.store.pool import Connection
from schemas.alerts import AlertKind, Severity
from schemas.names import DocumentId, Version
from schemas.rollouts import Outcome, Phase, RolloutKind


class OpenAlerts(NamedTuple):
    """So many open alerts of a kind."""

    kind: AlertKind
    severity: Severity
    silenced: bool
    number: int


class OpenRollout(NamedTuple):
    """So many sites of an open rollout at which it goes so; `waiting`: they do not have it yet."""

    number: int
    phase: Phase
    kind: RolloutKind
    version: Version
    policy: DocumentId
    outcome: Outcome | Literal["waiting"]
    sites: int


class Undelivered(NamedTuple):
    """Notices that a channel was not given yet; `failing`: of these, so many after a delivery that failed."""

    channel: str
    waiting: int
    failing: int


async def open_alerts(conn: Connection) -> list[OpenAlerts]:
    """How many alerts are open."""
    rows = await conn.execute(
        "select kind, severity, silenced, count(*) from alerts where cleared_at is null group by 1, 2, 3"
    )
    return [OpenAlerts(*row) for row in await rows.fetchall()]


async def open_rollouts(conn: Connection) -> list[OpenRollout]:
    """How far open rollouts have come."""
    rows = await conn.execute(
        "select r.number, r.phase, r.kind, r.version, r.policy,"
        " case when m.wave is null then 'waiting' else m.outcome end, count(*)"
        " from rollouts r join rollout_sites m on m.rollout = r.number where r.ended_at is null"
        " group by 1, 2, 3, 4, 5, 6 order by 1, 6"
    )
    return [OpenRollout(*row) for row in await rows.fetchall()]


async def undelivered(conn: Connection) -> list[Undelivered]:
    """What is still to be told, by channel."""
    rows = await conn.execute(
        "select channel, count(*), count(*) filter (where error <> '') from deliveries where sent_at is null"
        " group by 1 order by 1"
    )
    return [Undelivered(*row) for row in await rows.fetchall()]


async def login_failures(conn: Connection, since: datetime) -> int:
    """Logins since then that failed, or that were refused because too many had."""
    rows = await conn.execute(
        "select count(*) from audit where at > %s and act in ('login_failed', 'login_limited')", (since,)
    )
    row = await rows.fetchone()
    assert row is not None, "an aggregate has one row"
    return int(row[0])


async def last_report(conn: Connection) -> datetime | None:
    """When the newest report of any box came."""
    row = await (await conn.execute("select max(received_at) from reports")).fetchone()
    return row[0] if row else None
