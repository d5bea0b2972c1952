"""The documents of the published commit but its sites: what pages show without a clone of the repository.

Groups, videos, video sets, releases, agents, operations and `fleet.yaml`, each as its kind wrote it. They change in the
publishing transaction, so that no page ever shows a library that is not the one being served.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, TypeVar

import msgspec

from control_plane.store.pool import Connection
from schemas.desired import KINDS, SINGLES, Document, Fleet, RolloutPolicy
from schemas.names import DocumentId

Entry = tuple[str, Document]
"""The Git object id of a document's bytes, and the document."""
Name = tuple[str, DocumentId]
"""Folder and id; `fleet.yaml` has an empty folder and its path as id."""
T = TypeVar("T")
_FLEET: Final = ("", "fleet.yaml")


async def replace(conn: Connection, documents: Mapping[Name, Entry], now: datetime) -> None:
    """Keep these and no others; only those with another Git object id are written. `now`: when new ones came."""
    rows = await conn.execute("select folder, id, blob from library")
    known = {(folder, name): blob for folder, name, blob in await rows.fetchall()}
    gone = [name for name in known if name not in documents]
    new = [name for name, (blob, _) in documents.items() if known.get(name) != blob]
    await conn.execute(
        "delete from library using unnest(%s::text[], %s::text[]) as old (folder, id)"
        " where library.folder = old.folder and library.id = old.id",
        ([folder for folder, _ in gone], [name for _, name in gone]),
    )
    async with conn.cursor() as cursor:
        await cursor.executemany(
            "insert into library (folder, id, blob, body, seen_at) values (%s, %s, %s, %s::jsonb, %s)"
            " on conflict (folder, id) do update set blob = excluded.blob, body = excluded.body",
            [(*name, documents[name][0], msgspec.json.encode(documents[name][1]).decode(), now) for name in new],
        )


async def documents_of(conn: Connection, folder: str, kind: type[T]) -> dict[DocumentId, T]:
    """The documents of a folder, which are of that kind, by id."""
    assert KINDS[folder] is kind
    rows = await conn.execute("select id, body::text from library where folder = %s order by id", (folder,))
    decoder = msgspec.json.Decoder(kind)
    return {name: decoder.decode(body) for name, body in await rows.fetchall()}


async def documents_named(
    conn: Connection, folder: str, names: Collection[DocumentId], kind: type[T]
) -> dict[DocumentId, T]:
    """Those documents of a folder that have these ids."""
    assert KINDS[folder] is kind
    rows = await conn.execute(
        "select id, body::text from library where folder = %s and id = any(%s)", (folder, list(names))
    )
    decoder = msgspec.json.Decoder(kind)
    return {name: decoder.decode(body) for name, body in await rows.fetchall()}


async def document_of(conn: Connection, folder: str, name: str, kind: type[T]) -> T | None:
    """One document."""
    assert KINDS.get(folder, SINGLES.get(name)) is kind
    rows = await conn.execute("select body::text from library where folder = %s and id = %s", (folder, name))
    row = await rows.fetchone()
    return msgspec.json.decode(row[0], type=kind) if row else None


async def fleet_document(conn: Connection) -> Fleet | None:
    """`fleet.yaml`; None before the first publication."""
    return await document_of(conn, *_FLEET, Fleet)


async def policies(conn: Connection) -> Mapping[DocumentId, RolloutPolicy]:
    """Of rollouts, by name."""
    fleet = await fleet_document(conn)
    return {} if fleet is None else fleet.rollouts


async def ids(conn: Connection, folder: str) -> list[DocumentId]:
    """The ids of a folder."""
    rows = await conn.execute("select id from library where folder = %s order by id", (folder,))
    return [name for (name,) in await rows.fetchall()]


async def came_since(conn: Connection, folder: str, since: datetime) -> dict[DocumentId, datetime]:
    """The documents of a folder that came since then, and when; not those with which the fleet began."""
    rows = await conn.execute(
        "select l.id, l.seen_at from library l join library fleet on fleet.folder = '' and fleet.id = 'fleet.yaml'"
        " where l.folder = %s and l.seen_at > greatest(%s, fleet.seen_at)",
        (folder, since),
    )
    return dict(await rows.fetchall())
