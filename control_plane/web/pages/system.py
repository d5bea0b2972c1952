"""The control plane itself: versions, database, object store, Git remote, and what expires when."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Final

from control_plane import expiring
from control_plane.core.alerts import Expiring
from control_plane.errors import FleetError
from control_plane.objects import FolderStore
from control_plane.store import control_planes, databases, notices, publications, remotes
from control_plane.store.control_planes import ControlPlane
from control_plane.store.pool import connection
from control_plane.web.map_outlines import NoOutlines, Outlines
from control_plane.web.table import Cell, Facts, ListPage, Table, heads
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words
from schemas.trust import read_release_list, read_root

ROLES: Final = ("root", "release", "manifest")


async def show(room: Room, visit: Visit) -> Shown:
    """The page."""
    now, words = room.clock(), visit.words
    async with connection(room.pool) as conn:
        database = await databases.facts(conn)
        published = await publications.current(conn)
        remote = await remotes.last_look(conn)
        trust = await publications.newest_trust(conn)
        failing = await notices.failing(conn)
        ends = [*await expiring.of_fleet(conn), *([room.certificate] if room.certificate else [])]
        planes = await control_planes.known(conn)
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
        tables=[_expiring(ends, now, words), _planes(planes, now, words), _keys(trust, words)],
    )
    return Shown("list.html", page)


_NO = Cell(text="—")
GONE_AFTER: Final = timedelta(minutes=2)
"""A control plane says every 15 seconds that it is there."""


def _expiring(ends: Sequence[Expiring], now: datetime, words: Words) -> Table:
    """What ends when, the first first."""
    rows = []
    for one in sorted(ends, key=lambda one: one.at):
        left = one.at - now
        tone = "bad" if left <= timedelta(0) else "busy" if left <= one.warn else "good"
        said = words("system.expired") if left <= timedelta(0) else words("system.left", span=words.span(left))
        name = words.known(f"system.ends.{one.what}", one.what)
        rows.append([Cell(text=name), Cell(text=words.instant(one.at), at=one.at), Cell(text=said, tone=tone)])
    return Table(
        key="expiring",
        title=words("system.expiring"),
        heads=heads(words("system.what"), words("system.ends"), words("system.in")),
        rows=rows,
        none=words("system.expiring.none"),
    )


def _planes(planes: Sequence[ControlPlane], now: datetime, words: Words) -> Table:
    """Who serves, and who did within the last week."""
    rows = []
    for plane in planes:
        here = now - plane.seen_at <= GONE_AFTER
        seen = Cell(
            text=words("system.here") if here else words.ago(plane.seen_at, now), tone="good" if here else "quiet"
        )
        started = Cell(text=words.instant(plane.started_at), at=plane.started_at)
        rows.append([Cell(text=plane.host, note=plane.id), Cell(text=plane.version), started, seen])
    return Table(
        key="planes",
        title=words("system.processes"),
        heads=heads(words("system.host"), words("release.version"), words("system.started"), words("system.seen")),
        rows=rows,
        none=words("none"),
    )


def _keys(envelopes: tuple[bytes, bytes] | None, words: Words) -> Table:
    """Every key that the root names, and what it may sign; they hold as long as the root does."""
    rows = []
    if envelopes is not None:
        root = read_root(envelopes[0], None)
        until = Cell(text=words.instant(root.expires_at), at=root.expires_at)
        for key in root.keys:
            roles = [words(f"system.may.{role}") for role in ROLES if key in getattr(root.roles, role).keys]
            rows.append([Cell(text=key[:24], code=True), Cell(text=", ".join(roles)), until])
        for line in root.commit_signers:
            name = line.split(maxsplit=2)[2] if line.count(" ") > 1 else line[-16:]
            rows.append([Cell(text=name[:80], note=line.split()[0]), Cell(text=words("system.may.commit")), until])
    return Table(
        key="keys",
        title=words("system.keys"),
        heads=heads(words("system.key"), words("system.may"), words("system.ends")),
        rows=rows,
        none=words("none"),
    )


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
    for role in ROLES:
        keys = getattr(root.roles, role)
        said = words("system.role", n=len(keys.keys), threshold=keys.threshold)
        found.append((words(f"system.keys.{role}"), Cell(text=said)))
    signers = (
        words.count("system.signers", len(root.commit_signers)) if root.commit_signers else words("signature.free")
    )
    found.append((words("system.keys.commit"), Cell(text=signers)))
    return found
