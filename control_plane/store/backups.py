"""Which blob is the newest backup of each club's configuration."""

from datetime import datetime
from typing import NamedTuple

from control_plane.store.pool import Connection
from schemas.names import Digest, SiteId


class StoredBackup(NamedTuple):
    """A backup as the object store has it."""

    digest: Digest
    size_bytes: int
    received_at: datetime


async def keep_backup(conn: Connection, site: SiteId, backup: StoredBackup) -> None:
    """Make this the newest backup of the site; the same one again keeps the time when it first came."""
    await conn.execute(
        "insert into backups (site, digest, size_bytes, received_at) values (%s, %s, %s, %s)"
        " on conflict (site) do update set digest = excluded.digest, size_bytes = excluded.size_bytes,"
        " received_at = excluded.received_at where backups.digest <> excluded.digest",
        (site, backup.digest, backup.size_bytes, backup.received_at),
    )


async def backup_of(conn: Connection, site: SiteId) -> StoredBackup | None:
    """The newest backup of the site."""
    rows = await conn.execute("select digest, size_bytes, received_at from backups where site = %s", (site,))
    row = await rows.fetchone()
    return StoredBackup(*row) if row else None
