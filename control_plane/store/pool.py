"""Connections to PostgreSQL: opened once, lent to the functions of this package, their failures told in our words."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from control_plane.errors import DatabaseUnavailable

Connection = AsyncConnection[tuple[Any, ...]]
Pool = AsyncConnectionPool[Connection]

CONNECT_S = 10
APPLICATION_NAME = "neopro-fleet"
"""By which the database tells our connections from others."""
LOAN_S = 10
RECONNECT_S = 4
"""For so long the pool tries by itself, ever less often; then whoever asks makes it try at once. Else a database that
comes back would wait for as long again as it was away."""


@asynccontextmanager
async def open_pool(conninfo: str, size: int = 8) -> AsyncIterator[Pool]:
    """A pool of at most `size` connections in autocommit, closed with the context; DatabaseUnavailable."""
    _require_readable(conninfo)
    pool: Pool = AsyncConnectionPool(
        conninfo,
        kwargs={"autocommit": True, "application_name": APPLICATION_NAME, "connect_timeout": CONNECT_S},
        min_size=1,
        max_size=size,
        timeout=LOAN_S,
        reconnect_timeout=RECONNECT_S,
        open=False,
        configure=_configure,
    )
    with _our_words():
        # A first connection by hand says at once and in its own words what the pool would retry and sum up as late.
        async with await AsyncConnection.connect(conninfo, connect_timeout=CONNECT_S):
            pass
        await pool.open(wait=True, timeout=CONNECT_S)
    try:
        yield pool
    finally:
        await pool.close(timeout=1)


@asynccontextmanager
async def connection(pool: Pool) -> AsyncIterator[Connection]:
    """Lends a connection in autocommit (`conn.transaction()` for more); what fails in it is DatabaseUnavailable."""
    with _our_words():
        async with pool.connection() as conn:
            yield conn


async def open_connection(conninfo: str) -> Connection:
    """A connection of one's own in autocommit, for LISTEN; the caller closes it. DatabaseUnavailable."""
    with _our_words():
        conn = await AsyncConnection.connect(conninfo, autocommit=True, connect_timeout=CONNECT_S)
        await _configure(conn)
        return conn


def _require_readable(conninfo: str) -> None:
    try:
        conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        # libpq's own message quotes the text, which may hold a password.
        raise DatabaseUnavailable(
            "cannot read database_url: it is neither postgresql://… nor a list of key=value"
        ) from None


async def _configure(conn: Connection) -> None:
    await conn.execute("set time zone 'UTC'")


_TROUBLE = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, PoolClosed, TooManyRequests)


@contextmanager
def _our_words() -> Iterator[None]:
    """Turns psycopg's operational errors into DatabaseUnavailable; a wrong statement stays the bug that it is."""
    try:
        yield
    except _TROUBLE as problem:
        why = " ".join(str(problem).split()) or type(problem).__name__
        raise DatabaseUnavailable(f"cannot use the database: {why}; check database_url and the server") from problem
