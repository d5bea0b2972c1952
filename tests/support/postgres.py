"""Real PostgreSQL for tests: one server a session and version, a fresh migrated database a test."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
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
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 4 << 30
_LEFT_S = 86_400.0


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
        """A connection string for a copy of `template`, by files: quicker than by log."""
        name = f"t_{uuid4().hex}"
        statement = sql.SQL("create database {} template {} strategy file_copy")
        self.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
        return make_conninfo(self.conninfo, dbname=name)

    def drop_database(self, conninfo: str) -> None:
        """Drop it, whoever is still connected."""
        name = psycopg.conninfo.conninfo_to_dict(conninfo)["dbname"]
        self.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(str(name))))


@cache
def newest_and_oldest() -> list[Programs]:
    """The two ends of what is installed: between them, SQL that both take is taken. Asks every one what it is."""
    found = sorted(installed_programs(), key=lambda p: p.major)
    return list({p.major: p for p in (found[-1], found[0])}.values())


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark."""
    config.addinivalue_line("markers", "every_postgres: exercises SQL of ours: on the oldest PostgreSQL as well")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Everything runs on the newest version; `every_postgres`, and with `--long` all, on the oldest as well."""
    if "postgres" in metafunc.fixturenames:
        both = metafunc.config.getoption("--long") or metafunc.definition.get_closest_marker("every_postgres")
        versions = newest_and_oldest() if both else newest_and_oldest()[:1]
        metafunc.parametrize("postgres", versions, ids=lambda p: f"pg{p.major}", indirect=True)


@pytest.fixture(scope="session")
def postgres_servers() -> Iterator[Callable[[Programs], PostgresServer]]:
    """A server of any version: started when it is first asked for, once a session (and a worker of pytest-xdist)."""
    running: dict[int, PostgresServer] = {}
    with ExitStack() as stack:

        def server_of(programs: Programs) -> PostgresServer:
            if programs.major not in running:
                folder = stack.enter_context(_quick_folder(f"neopro-tests-pg{programs.major}-"))
                running[programs.major] = stack.enter_context(_running_server(programs, folder))
            return running[programs.major]

        yield server_of


@contextmanager
def _quick_folder(prefix: str) -> Iterator[Path]:
    """A folder in memory where there is room: a database is copied there in 20 ms instead of 120 (ext4, November 2026).

    What a run that was killed left there goes a day later.
    """
    in_memory = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES
    for left in _MEMORY.glob(f"{prefix}*") if in_memory else ():
        if left.stat().st_mtime < time.time() - _LEFT_S:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=_MEMORY if in_memory else None) as folder:
        yield Path(folder)


@contextmanager
def _running_server(programs: Programs, folder: Path) -> Iterator[PostgresServer]:
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
def postgres(request: pytest.FixtureRequest, postgres_servers: Callable[[Programs], PostgresServer]) -> PostgresServer:
    """A server of the newest version, or of each that the test is for."""
    return postgres_servers(request.param)


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """The connection string of a fresh, migrated database."""
    conninfo = postgres.create_database()
    yield conninfo
    postgres.drop_database(conninfo)


async def _migrate(conninfo: str) -> None:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await migrate(connection)
