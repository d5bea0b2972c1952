"""Identities that nobody may speak by any more, from `revoked.yaml`; their sites' rows are read anew by who serves."""

from collections.abc import Sequence

from control_plane.store.pool import Connection
from schemas.names import PublicKeyLine


async def replace(conn: Connection, revoked: Sequence[PublicKeyLine], serial: int) -> None:
    """Exactly these identities are revoked; the sites of those that no longer are get the serial, too."""
    freed = await conn.execute(
        "delete from revoked_identities where not identity = any(%s) returning identity", (list(revoked),)
    )
    await _touch(conn, [identity for (identity,) in await freed.fetchall()], serial)
    await add(conn, revoked, serial)


async def add(conn: Connection, revoked: Sequence[PublicKeyLine], serial: int) -> bool:
    """Revoke these too; whether any of them is new."""
    added = await conn.execute(
        "insert into revoked_identities (identity) select unnest(%s::text[]) on conflict do nothing returning identity",
        (list(revoked),),
    )
    new = [identity for (identity,) in await added.fetchall()]
    await _touch(conn, new, serial)
    return bool(new)


async def _touch(conn: Connection, identities: list[PublicKeyLine], serial: int) -> None:
    if identities:
        await conn.execute("update sites set serial = %s where identity = any(%s)", (serial, identities))
