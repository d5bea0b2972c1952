"""The database's schema: numbered .sql files, applied once, in order, in one transaction, and never edited after."""

from pathlib import Path
from typing import Final, NamedTuple

from control_plane.errors import DatabaseUnavailable
from control_plane.store.pool import Connection
from schemas.names import digest_of

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 0x6E656F_0001


class Migration(NamedTuple):
    """A file `NNNN_name.sql`; `checksum` is the digest of its bytes."""

    number: int
    name: str
    checksum: str
    sql: str


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The migrations of `folder`, which are numbered 1, 2, 3 …"""
    found = []
    for file in sorted(folder.glob("*.sql")):
        number, _, name = file.stem.partition("_")
        data = file.read_bytes()
        found.append(Migration(int(number), name, digest_of(data), data.decode()))
    assert [m.number for m in found] == list(range(1, len(found) + 1)), "migrations are numbered without a gap"
    return found


async def migrate(conn: Connection, folder: Path = MIGRATIONS) -> list[str]:
    """Bring the schema up to date and say what was applied; DatabaseUnavailable if it is not of this program's line.

    Several control planes may start at once: an advisory lock lets one of them through, the others find it done. All
    or nothing: PostgreSQL's DDL is transactional.
    """
    known = read_migrations(folder)
    async with conn.transaction():
        await conn.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        applied = await _applied(conn)
        _require_same_line(known, applied)
        pending = known[len(applied) :]
        for migration in pending:
            await conn.execute(migration.sql.encode())
            await conn.execute(
                "insert into migrations (number, name, checksum) values (%s, %s, %s)",
                (migration.number, migration.name, migration.checksum),
            )
    return [f"{m.number:04d}_{m.name}" for m in pending]


async def _applied(conn: Connection) -> list[tuple[int, str, str]]:
    await conn.execute(
        "create table if not exists migrations ("
        " number integer primary key, name text not null, checksum text not null,"
        " applied_at timestamptz not null default now())"
    )
    rows = await conn.execute("select number, name, checksum from migrations order by number")
    return [(number, name, checksum) for number, name, checksum in await rows.fetchall()]


def _require_same_line(known: list[Migration], applied: list[tuple[int, str, str]]) -> None:
    if len(applied) > len(known):
        raise DatabaseUnavailable(
            f"cannot use the database: its schema is at {applied[-1][0]} and this program knows {len(known)}; "
            "start the newer program"
        )
    for ours, (number, name, checksum) in zip(known, applied, strict=False):
        if (ours.number, ours.checksum) != (number, checksum):
            raise DatabaseUnavailable(
                f"cannot use the database: migration {number:04d}_{name} was applied with other contents; "
                "never edit a migration that was applied, add a new one"
            )
