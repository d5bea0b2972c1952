"""Many rows at once, the quickest way there is."""

from collections.abc import Iterable, Sequence
from typing import LiteralString

from control_plane.store.pool import Connection


async def copy_into(
    conn: Connection, statement: LiteralString, types: list[str], rows: Iterable[Sequence[object]]
) -> None:
    """Rows into the table that a `copy … from stdin (format binary)` names; `types` of its columns."""
    async with conn.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            await copy.write_row(row)
