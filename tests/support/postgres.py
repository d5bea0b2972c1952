"""Real PostgreSQL for tests: one server a session and version, a fresh migrated database a test."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from msgspec import Struct
from psycopg import sql
from psycopg.conninfo import make_conninfo

from control_plane.store.binaries import Programs, installed_programs
from control_plane.store.embedded import EmbeddedPostgres
from control_plane.store.migrate import migrate

# Nothing that a test writes has to outlive it.
_QUICK = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "max_connections": "100"}


class PostgresServer(Struct, frozen=True, kw_only=True):
    """A running server and its database `migrated`, which fresh databases are copied from."""

    conninfo: str
    major: int

    def execute(self, *statements: sql.Composed) -> None:
        """Run statements as the superuser, each in its own transaction."""
        with psycopg.connect(self.conninfo, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)

    def create_database(self, template: str = "migrated") -> str:
        """A connection string for a copy of `template`; some 50 ms (a copy by files is twice as quick as by log)."""
        name = f"t_{uuid4().hex}"
        statement = sql.SQL("create database {} template {} strategy file_copy")
        self.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return make_conninfo(self.conninfo, dbname=name)

    def drop_database(self, conninfo: str) -> None:
        """Drop it, whoever is still connected."""
        name = psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"]
        self.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(str(name))))


def newest_and_oldest() -> list[Programs]:
    """The two ends of what is installed: between them, SQL that both take is taken."""
    found = sorted(installed_programs(), key=lambda p: p.major)
    return list({p.major: p for p in (found[-1], found[0])}.values())


@pytest.fixture(scope="session", params=newest_and_oldest(), ids=lambda p: f"pg{p.major}")
def postgres(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A server of the newest and of the oldest version that are installed."""
    programs: Programs = request.param
    folder: Path = tmp_path_factory.mktemp(f"pg{programs.major}")
    server = EmbeddedPostgres(folder / "postgres", programs.folder, _QUICK)
    conninfo = asyncio.run(server.start())
    try:
        running = PostgresServer(conninfo=conninfo, major=programs.major)
        running.execute(sql.SQL("create database migrated").format())
        asyncio.run(_migrate(make_conninfo(conninfo, dbname="migrated")))
        yield running
    finally:
        asyncio.run(server.stop())


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The connection string of a fresh, migrated database."""
    conninfo = postgres.create_database()
    yield conninfo
    postgres.drop_database(conninfo)


async def _migrate(conninfo: str) -> None:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await migrate(connection)
