"""The control plane itself: versions, database, object store, Git remote, and what expires when."""

from datetime import datetime
from importlib.metadata import version

from control_plane.errors import FleetError
from control_plane.objects import FolderStore
from control_plane.store import databases, notices, publications, remotes
from control_plane.store.pool import connection
from control_plane.web.map_outlines import NoOutlines, Outlines
from control_plane.web.table import Cell, Facts, ListPage
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words
from schemas.trust import read_release_list, read_root


async def show(room: Room, visit: Visit) -> Shown:
    """The page."""
    now, words = room.clock(), visit.words
    async with connection(room.pool) as conn:
        database = await databases.facts(conn)
        published = await publications.current(conn)
        remote = await remotes.last_look(conn)
        trust = await publications.newest_trust(conn)
        failing = await notices.failing(conn)
    objects = await _objects(room, words)
    commit = (
        Cell(text=published.revision[:12], code=True, note=words.ago(published.published_at, now)) if published else _NO
    )
    server = [
        (words("system.version"), Cell(text=version("neopro-fleet"))),
        (words("fleet.published"), commit),
        (words("system.database"), Cell(text=database.version, note=words.size(database.size_bytes))),
        (words("system.planes"), Cell(text=words.number(database.control_planes))),
        (words("system.objects"), objects),
        (words("system.remote"), _remote(remote, now, words)),
        (words("system.outlines"), _outlines(room.outlines, words)),
        *((words("system.channel", name=one.channel), _failing(one, now, words)) for one in failing),
    ]
    page = ListPage(
        title=words("nav.system"),
        facts=[
            Facts(key="server", title=words("system.server"), facts=server),
            Facts(key="trust", title=words("system.trust"), facts=_trust(trust, words)),
        ],
    )
    return Shown("list.html", page)


_NO = Cell(text="—")


async def _objects(room: Room, words: Words) -> Cell:
    kind = words("system.objects.folder") if isinstance(room.objects, FolderStore) else "S3"
    try:
        await room.objects.check()
    except FleetError as problem:
        return Cell(text=kind, note=problem.reason, tone="bad")
    return Cell(text=kind, note=words("system.works"), tone="good")


def _outlines(found: Outlines | NoOutlines, words: Words) -> Cell:
    if isinstance(found, NoOutlines):
        note = words(f"system.outlines.{found.why}", path=found.path)
        return Cell(text=words("system.outlines.none"), note=note)
    return Cell(text=words("system.outlines.there"))


def _failing(one: notices.Failing, now: datetime, words: Words) -> Cell:
    said = words("system.channel.failing", n=words.number(one.waiting), ago=words.ago(one.since, now))
    return Cell(text=said, note=one.error, tone="bad")


def _remote(look: remotes.RemoteLook | None, now: datetime, words: Words) -> Cell:
    if look is None:
        return _NO
    if look.error:
        return Cell(text=words("remote.away"), note=look.error, tone="bad")
    return Cell(text=words("system.works"), note=words.ago(look.looked_at, now), tone="good")


def _trust(envelopes: tuple[bytes, bytes] | None, words: Words) -> list[tuple[str, Cell]]:
    if envelopes is None:
        return [(words("system.root"), _NO)]
    root = read_root(envelopes[0], None)
    allowed = read_release_list(envelopes[1], root)
    until = {"root": (root.version, root.expires_at), "list": (allowed.version, allowed.expires_at)}
    found = [
        (words(f"system.{name}"), Cell(text=words("system.until", n=number, instant=words.instant(at))))
        for name, (number, at) in until.items()
    ]
    for role in ("root", "release", "manifest"):
        keys = getattr(root.roles, role)
        said = words("system.role", n=len(keys.keys), threshold=keys.threshold)
        found.append((words(f"system.keys.{role}"), Cell(text=said, note=", ".join(key[:16] for key in keys.keys))))
    return found
