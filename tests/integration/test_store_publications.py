"""Publications on real PostgreSQL: what is served, who may write, what a reader in memory is told."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import psycopg
import pytest

from control_plane.core.number import Mark
from control_plane.errors import DatabaseUnavailable, Superseded
from control_plane.store import publications
from control_plane.store.news import News, SignedHead
from control_plane.store.pool import Connection, Pool, connection, open_connection, open_pool
from control_plane.store.publications import CommitLook, Published, TrustRow
from schemas.names import digest_of
from tests.support.patience import PATIENCE_S

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BODY = b'{"schema":1}'
KEY = "ed25519:" + "A" * 43 + "="


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with open_pool(database, 4) as opened:
        yield opened


def commit(number: int) -> CommitLook:
    return CommitLook(revision=f"{number:040x}", author="Ada <a@b>", subject=f"Commit {number}", committed_at=NOW)


def mark(generation: int, **changes: Any) -> Mark:
    usual = Mark(
        generation=generation,
        manifest=digest_of(BODY),
        state="active",
        identity=KEY,
        name="Brest",
        release="1.0.0",
        agent=None,
        facts=b'{"club":"Brest"}',
    )
    return msgspec.structs.replace(usual, **changes)


def signed(text: str, issued_at: datetime = NOW) -> SignedHead:
    return SignedHead(
        envelope=text.encode(),
        issued_at=issued_at,
        expires_at=issued_at + timedelta(days=7),
        root_version=1,
        release_list="sha256:" + "1" * 64,
    )


async def publish(conn: Connection, base: Published | None, number: int, **changes: Any) -> Published:
    told = {key: changes.pop(key) for key in ("heads", "rows", "bodies") if key in changes}
    news = News(**{"heads": {}, "bodies": {digest_of(BODY): BODY}} | told)
    usual: dict[str, Any] = {"now": NOW, "trust": [], "revoked": []}
    return await publications.publish(conn, base, commit(number), news, **usual | changes)


async def test_published_heads_read_back_as_they_were_written(pool: Pool) -> None:
    heads = {"brest": (mark(7), signed("head")), "nantes": (mark(8, identity=None, state="suspended"), signed("other"))}
    async with connection(pool) as conn:
        published = await publish(conn, None, 1, heads=heads)
        assert await publications.current(conn) == published == Published(commit(1).revision, 1, NOW)
        assert await publications.marks(conn) == {site: m for site, (m, _) in heads.items()}
        brest, nantes = sorted(await publications.all_heads(conn))
        assert brest == ("brest", publications.etag(7, b"head"), b"head", KEY, "active", False, 7, digest_of(BODY))
        assert (nantes.identity, nantes.state) == (None, "suspended")
        assert await publications.manifest_body(conn, digest_of(BODY)) == BODY


async def test_a_second_publication_on_the_same_base_is_superseded_and_leaves_nothing(pool: Pool) -> None:
    async with connection(pool) as conn:
        first = await publish(conn, None, 1, heads={"brest": (mark(7), signed("one"))})
        with pytest.raises(Superseded):
            await publish(conn, None, 2, heads={"brest": (mark(9), signed("two"))})
        assert await publications.current(conn) == first
        rows = await conn.execute("select count(*) from commits where revision = %s", (commit(2).revision,))
        assert await rows.fetchone() == (0,)


async def test_two_publishers_at_once_end_with_one_publication(pool: Pool) -> None:
    async def attempt(number: int) -> Published:
        async with connection(pool) as conn:
            return await publish(conn, None, number, heads={"brest": (mark(number), signed(str(number)))})

    results = await asyncio.gather(attempt(1), attempt(2), attempt(3), return_exceptions=True)
    assert sorted(type(r).__name__ for r in results) == ["Published", "Superseded", "Superseded"]


async def test_a_reader_gets_only_the_heads_that_were_written_since(pool: Pool) -> None:
    async with connection(pool) as conn:
        heads = {"brest": (mark(7), signed("b")), "nantes": (mark(7), signed("n")), "vannes": (mark(7), signed("v"))}
        first = await publish(conn, None, 1, heads=heads)
        second = await publish(
            conn, first, 2, heads={"nantes": (mark(8), signed("n2"))}, rows={"vannes": mark(7, name="RC Vannes")}
        )
        changed = await publications.heads_changed_since(conn, first.serial)
        assert {(h.site, h.generation) for h in changed} == {("nantes", 8), ("vannes", 7)}
        assert await publications.heads_changed_since(conn, second.serial) == []
        assert (await publications.marks(conn))["vannes"].name == "RC Vannes"


async def test_publishing_notifies_listeners_with_the_serial(pool: Pool, database: str) -> None:
    listener = await open_connection(database)
    await listener.execute("listen neopro_published")
    async with connection(pool) as conn:
        await publish(conn, None, 1)
    notices = [n.payload async for n in listener.notifies(timeout=PATIENCE_S, stop_after=1)]
    await listener.close()
    assert notices == ["1"]


async def test_revoked_identities_leave_the_heads_and_come_back_when_they_are_freed(pool: Pool) -> None:
    async def identity() -> str | None:
        return (await publications.all_heads(conn))[0].identity

    async with connection(pool) as conn:
        first = await publish(conn, None, 1, heads={"brest": (mark(7), signed("one"))}, revoked=[KEY])
        assert await identity() is None
        second = await publish(conn, first, 2, revoked=[])
        assert await identity() == KEY
        assert [h.site for h in await publications.heads_changed_since(conn, first.serial)] == ["brest"]
        third = await publications.refuse(conn, second, commit(3), [KEY], now=NOW)
        assert await identity() is None
        assert third is not None and third.serial == second.serial + 1 and third.revision == second.revision


async def test_a_refused_commit_frees_no_identity_and_keeps_its_problems(pool: Pool) -> None:
    async with connection(pool) as conn:
        first = await publish(conn, None, 1, heads={"brest": (mark(7), signed("one"))}, revoked=[KEY])
        look = msgspec.structs.replace(commit(2), problems=["a.yaml:1:1: error X: no"])
        assert await publications.refuse(conn, first, look, [], now=NOW) == first
        assert (await publications.all_heads(conn))[0].identity is None
        row = await conn.execute("select verdict, problems from commits where revision = %s", (look.revision,))
        assert await row.fetchone() == ("refused", ["a.yaml:1:1: error X: no"])


async def test_outdated_heads_are_those_that_are_old_or_name_other_trust(pool: Pool) -> None:
    old = signed("old", NOW - timedelta(days=2))
    other = msgspec.structs.replace(signed("other"), root_version=2)
    async with connection(pool) as conn:
        base = await publish(
            conn,
            None,
            1,
            heads={"brest": (mark(7), old), "nantes": (mark(7), signed("new")), "vannes": (mark(7), other)},
        )
        found = await publications.outdated_heads(conn, 1, signed("").release_list, NOW - timedelta(days=1), 10)
        assert [word.site for word in found] == ["brest", "vannes"]
        renewed = await publications.replace_heads(conn, base, {w.site: signed("again") for w in found})
        assert renewed.serial == base.serial + 1
        assert await publications.outdated_heads(conn, 1, signed("").release_list, NOW - timedelta(days=1), 10) == []
        changed = await publications.heads_changed_since(conn, base.serial)
        assert {(h.site, h.envelope, h.generation) for h in changed} == {
            ("brest", b"again", 7),
            ("vannes", b"again", 7),
        }


async def test_renewal_on_an_old_base_is_superseded(pool: Pool) -> None:
    async with connection(pool) as conn:
        base = await publish(conn, None, 1, heads={"brest": (mark(7), signed("one"))})
        await publish(conn, base, 2)
        with pytest.raises(Superseded):
            await publications.replace_heads(conn, base, {"brest": signed("stale")})
        assert (await publications.all_heads(conn))[0].envelope == b"one"


async def test_trust_documents_are_found_by_version_and_the_newest_of_each_kind(pool: Pool) -> None:
    documents = [TrustRow("root", 9, b"r9"), TrustRow("root", 10, b"r10"), TrustRow("release-list", 2, b"l2")]
    async with connection(pool) as conn:
        assert await publications.newest_trust(conn) is None
        await publish(conn, None, 1, trust=documents)
        assert await publications.newest_trust(conn) == (b"r10", b"l2")
        assert await publications.trust_document(conn, "root", 9) == b"r9"
        assert await publications.trust_document(conn, "release-list", 9) is None


async def test_a_lost_connection_is_told_as_database_unavailable_and_the_next_loan_works(pool: Pool) -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot use the database"):
        async with connection(pool) as conn:
            await conn.execute("select pg_terminate_backend(pg_backend_pid())")
    async with connection(pool) as conn:
        assert await publications.current(conn) is None


async def test_a_wrong_statement_stays_the_bug_that_it_is(pool: Pool) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable):
        async with connection(pool) as conn:
            await conn.execute("select * from nothing_of_the_kind")


async def test_a_server_that_is_not_there_is_one_sentence_without_the_password() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        async with open_pool("postgresql://neopro:hunter2@127.0.0.1:1/x"):
            pass
    assert "cannot use the database" in str(caught.value) and "hunter2" not in str(caught.value)


async def test_an_unreadable_conninfo_is_refused_without_being_quoted() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        async with open_pool("hunter2 and so on"):
            pass
    assert "database_url" in str(caught.value) and "hunter2" not in str(caught.value)
