"""The database itself: its version, its size, who is connected."""

from typing import NamedTuple

from control_plane.store.pool import APPLICATION_NAME, Connection


class DatabaseFacts(NamedTuple):
    """`control_planes`: how many hosts of ours are connected, by their addresses."""

    version: str
    size_bytes: int
    control_planes: int


async def facts(conn: Connection) -> DatabaseFacts:
    """What the database says of itself."""
    rows = await conn.execute(
        "select 'PostgreSQL ' || current_setting('server_version'), pg_database_size(current_database()),"
        " (select count(distinct coalesce(host(client_addr), 'local')) from pg_stat_activity"
        "  where application_name = %s and datname = current_database())",
        (APPLICATION_NAME,),
    )
    row = await rows.fetchone()
    assert row is not None
    return DatabaseFacts(*row)
