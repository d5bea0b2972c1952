"""Migrations on real PostgreSQL: once, in order, never edited, never by an older program."""

import asyncio
from pathlib import Path

import pytest

from control_plane.errors import DatabaseUnavailable
from control_plane.store.migrate import MIGRATIONS, migrate, read_migrations
from control_plane.store.pool import open_connection
from tests.support.postgres import PostgresServer

pytestmark = [pytest.mark.anyio, pytest.mark.every_postgres]


@pytest.fixture
def empty(postgres: PostgresServer, request: pytest.FixtureRequest) -> str:
    """The connection string of a database without any table."""
    conninfo = postgres.create_database("template0")
    request.addfinalizer(lambda: postgres.drop_database(conninfo))
    return conninfo


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "0001_first.sql").write_text("create table a (x int);\ncreate table b (x int);")
    return tmp_path


async def run(conninfo: str, folder: Path = MIGRATIONS) -> list[str]:
    conn = await open_connection(conninfo)
    async with conn:
        return await migrate(conn, folder)


async def test_an_empty_database_gets_every_migration_once(empty: str) -> None:
    names = [f"{m.number:04d}_{m.name}" for m in read_migrations()]
    assert await run(empty) == names
    assert await run(empty) == []


async def test_a_new_migration_is_applied_after_the_old_ones(empty: str, folder: Path) -> None:
    await run(empty, folder)
    (folder / "0002_second.sql").write_text("alter table a add y int;")
    assert await run(empty, folder) == ["0002_second"]


async def test_an_edited_migration_is_refused(empty: str, folder: Path) -> None:
    await run(empty, folder)
    (folder / "0001_first.sql").write_text("create table a (x bigint);")
    with pytest.raises(DatabaseUnavailable, match="migration 0001_first was applied with other contents"):
        await run(empty, folder)


async def test_a_database_of_a_newer_program_is_refused(empty: str, folder: Path) -> None:
    (folder / "0002_second.sql").write_text("create table c (x int);")
    await run(empty, folder)
    (folder / "0002_second.sql").unlink()
    with pytest.raises(DatabaseUnavailable, match="its schema is at 2 and this program knows 1"):
        await run(empty, folder)


async def test_a_migration_that_fails_leaves_nothing(empty: str, folder: Path) -> None:
    (folder / "0002_broken.sql").write_text("create table c (x int); select 1 / 0;")
    with pytest.raises(Exception, match="division by zero"):
        await run(empty, folder)
    conn = await open_connection(empty)
    async with conn:
        rows = await conn.execute("select count(*) from pg_tables where schemaname = 'public'")
        assert await rows.fetchone() == (0,)


async def test_several_programs_that_start_at_once_migrate_once(empty: str) -> None:
    applied = await asyncio.gather(*(run(empty) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(read_migrations())]


async def test_a_gap_in_the_numbers_is_a_bug_of_the_program(tmp_path: Path) -> None:
    (tmp_path / "0002_second.sql").write_text("select 1;")
    with pytest.raises(AssertionError, match="without a gap"):
        read_migrations(tmp_path)


async def test_what_was_played_before_there_were_months_is_all_there_after(empty: str, tmp_path: Path) -> None:
    before = tmp_path / "before"
    before.mkdir()
    for file in sorted(MIGRATIONS.glob("000[1-7]_*.sql")):
        (before / file.name).write_bytes(file.read_bytes())
    await run(empty, before)
    async with await open_connection(empty) as conn:
        await conn.execute(
            "insert into playbacks select 'brest', kind, at, 'a.mp4', '', n, now(), null, null, '{}'"
            " from generate_series(1, 50) n, unnest(array['event', 'impression']) kind, unnest(array["
            "'1970-01-01Z'::timestamptz, '2999-12-31Z', now(), now() - interval '40 days', now() - interval '1 year'"
            ", date_trunc('month', now()), date_trunc('month', now()) - interval '1 microsecond']) at"
        )
    await run(empty)
    async with await open_connection(empty) as conn:
        rows = await conn.execute("select tableoid::regclass::text, count(*) from playbacks group by 1 order by 1")
        counts = dict(await rows.fetchall())
        again = "insert into playbacks select * from playbacks on conflict do nothing"
        assert (await conn.execute(again)).rowcount == 0
    assert sum(counts.values()) == 50 * 2 * 7
    assert counts["playbacks_other"] == 50 * 2 * 2
    assert len(counts) >= 4
