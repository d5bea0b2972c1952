"""Reports, tokens and looks at the remote on real PostgreSQL."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from control_plane.store import remotes, reports, tokens
from control_plane.store.pool import Connection, connection, open_connection, open_pool
from control_plane.store.reports import Received
from schemas.status import Condition, Event, StatusReport
from tests.support.patience import PATIENCE_S

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RUN = "a" * 32


@pytest.fixture
async def conn(database: str) -> AsyncIterator[Connection]:
    async with open_pool(database, 2) as pool, connection(pool) as lent:
        yield lent


def report(sequence: int, **changes: Any) -> StatusReport:
    usual = StatusReport(
        run_id=RUN,
        sequence=sequence,
        at=NOW,
        agent_version="1.0.0",
        generation=5,
        head_generation=6,
        conditions=[Condition(type="Synced", status="True", reason="Converged", since=NOW)],
        events=[Event(number=sequence, at=NOW, reason="Applied", message=f"éà {sequence}")],
    )
    return msgspec.structs.replace(usual, **changes)


async def test_a_report_reads_back_without_its_events_which_stand_apart(conn: Connection) -> None:
    assert (await reports.record(conn, [Received("brest", report(1), NOW)])).news == {"brest"}
    stored = await reports.report_of(conn, "brest")
    assert stored == ("brest", NOW, report(1, events=[]))
    assert await reports.all_reports(conn) == {"brest": stored}
    assert await reports.events_of(conn, "brest") == report(1).events


@pytest.mark.parametrize(
    ("second", "kept"),
    [
        (report(2), 1),
        (report(3, generation=9), 3),
        (report(1, run_id="b" * 32), 1),
    ],
    ids=["repeated", "later", "another run"],
)
async def test_a_report_counts_when_it_is_later_or_of_another_run(
    conn: Connection, second: StatusReport, kept: int
) -> None:
    await reports.record(conn, [Received("brest", report(2), NOW)])
    news = (await reports.record(conn, [Received("brest", second, NOW + timedelta(seconds=1))])).news
    stored = await reports.report_of(conn, "brest")
    assert stored is not None
    assert (second == report(2)) == (news == set())
    assert stored.report.sequence == (2 if news == set() else kept)


async def test_a_repeated_report_keeps_each_event_once(conn: Connection) -> None:
    for _ in range(2):
        await reports.record(conn, [Received("brest", report(1), NOW)])
    await reports.record(conn, [Received("brest", report(2, events=[*report(1).events, *report(2).events]), NOW)])
    assert [event.number for event in await reports.events_of(conn, "brest")] == [2, 1]


async def test_a_batch_notifies_each_site_that_brought_news(conn: Connection, database: str) -> None:
    await reports.record(conn, [Received("nantes", report(1), NOW)])
    listener = await open_connection(database)
    await listener.execute("listen neopro_reported")
    await reports.record(conn, [Received(site, report(1), NOW) for site in ("brest", "nantes", "vannes")])
    heard = [n.payload async for n in listener.notifies(timeout=PATIENCE_S, stop_after=2)]
    await listener.close()
    assert heard == ["brest", "vannes"]


async def test_old_events_are_pruned_by_when_they_were_received(conn: Connection) -> None:
    await reports.record(conn, [Received("brest", report(1), NOW - timedelta(days=9))])
    await reports.record(conn, [Received("brest", report(2), NOW)])
    assert await reports.prune_events(conn, NOW - timedelta(days=8)) == 1
    assert [event.number for event in await reports.events_of(conn, "brest")] == [2]


async def test_a_token_is_found_until_it_expires_or_is_revoked(conn: Connection) -> None:
    text = await tokens.add_token(conn, "ada", ["read", "write"], now=NOW, expires_at=NOW + timedelta(days=30))
    found = await tokens.find_token(conn, text, NOW)
    assert found is not None and (found.name, found.scopes) == ("ada", ["read", "write"])
    assert await tokens.find_token(conn, text, NOW + timedelta(days=30)) is None
    assert await tokens.revoke_token(conn, "ada", NOW) == 1
    assert await tokens.find_token(conn, text, NOW) is None
    assert await tokens.revoke_token(conn, "ada", NOW) == 0


async def test_a_token_is_kept_only_as_a_hash(conn: Connection) -> None:
    text = await tokens.add_token(conn, "ada", ["read"], now=NOW, expires_at=NOW + timedelta(days=30))
    rows = await conn.execute("select t::text from tokens t")
    dumped = str(await rows.fetchall())
    assert "ada" in dumped and text.removeprefix("neopro_") not in dumped
    assert text.startswith("neopro_") and len(text) == 50


@pytest.mark.parametrize("text", ["", "neopro_", "neopro_" + "a" * 43, "other_" + "a" * 44])
async def test_a_token_that_was_never_made_is_not_found(conn: Connection, text: str) -> None:
    await tokens.add_token(conn, "ada", ["read"], now=NOW, expires_at=NOW + timedelta(days=30))
    assert await tokens.find_token(conn, text, NOW) is None


async def test_a_use_is_noted_at_most_once_a_minute(conn: Connection) -> None:
    text = await tokens.add_token(conn, "ada", ["read"], now=NOW, expires_at=NOW + timedelta(days=30))
    noted = []
    for seconds in (0, 59, 61):
        await tokens.find_token(conn, text, NOW + timedelta(seconds=seconds))
        noted.append((await tokens.list_tokens(conn))[0].last_used_at)
    assert noted == [NOW, NOW, NOW + timedelta(seconds=61)]


async def test_a_trouble_with_the_remote_keeps_its_beginning_until_it_is_over(conn: Connection) -> None:
    minute = timedelta(minutes=1)
    assert await remotes.last_look(conn) is None
    await remotes.record_look(conn, NOW, "c" * 40, "")
    await remotes.record_look(conn, NOW + minute, None, "away")
    await remotes.record_look(conn, NOW + 2 * minute, None, "still away")
    assert await remotes.last_look(conn) == (NOW + 2 * minute, "c" * 40, "still away", NOW + minute, NOW)
    await remotes.record_look(conn, NOW + 3 * minute, "d" * 40, "")
    assert await remotes.last_look(conn) == (NOW + 3 * minute, "d" * 40, "", None, NOW + 3 * minute)
