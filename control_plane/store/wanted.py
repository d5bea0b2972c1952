"""What a site's manifest wants, and since when it has wanted each of its files. Reads only."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from control_plane.store import library, publications
from control_plane.store.pool import Connection
from control_plane.store.views import SiteView
from schemas.desired import VideoSet
from schemas.manifest import SiteManifest
from schemas.names import Digest, DocumentId, PublicKeyLine, SiteId

LOOK_BACK: Final = 20
"""So many manifests at most are looked through, each once: some 2 MB of a site with hundreds of videos."""


class Since(Struct, frozen=True, kw_only=True):
    """A file has been wanted since `at`; unless `certain`, since then at least."""

    at: datetime
    certain: bool


class Wants(NamedTuple):
    """What a site's manifest wants, since when it has wanted each of its files, and the site's video sets."""

    manifest: SiteManifest
    since: Mapping[Digest, Since]
    sets: Mapping[DocumentId, VideoSet]


class _File(Struct):
    digest: Digest


class _Files(Struct):
    """Of a manifest only what is needed here."""

    content: list[_File] = []


_FILES: Final = msgspec.json.Decoder(_Files)


async def manifest_of(conn: Connection, digest: Digest) -> SiteManifest | None:
    """A manifest that was published."""
    body = await publications.manifest_body(conn, digest)
    return None if body is None else msgspec.json.decode(body, type=SiteManifest)


async def wants_of(conn: Connection, view: SiteView) -> Wants | None:
    """What a site's newest manifest wants; None where it is not known any more."""
    manifest = await manifest_of(conn, view.manifest)
    if manifest is None:
        return None
    sets = await library.documents_named(conn, "video-sets", view.facts.get("video_sets", ()), VideoSet)
    return Wants(manifest, await wanted_since(conn, view.site), sets)


async def wanted_since(conn: Connection, site: SiteId) -> dict[Digest, Since]:
    """Since when the files of the newest manifest have been wanted without a break."""
    rows = await conn.execute(
        "select g.published_at, m.body from generations g join manifests m on m.digest = g.manifest"
        " where g.site = %s order by g.generation desc limit %s",
        (site, LOOK_BACK + 1),
    )
    found = await rows.fetchall()
    history = [(at, {file.digest for file in _FILES.decode(body).content}) for at, body in found[:LOOK_BACK]]
    if not history:
        return {}
    wanted: dict[Digest, Since] = {}
    still, since = history[0][1], history[0][0]
    for at, names in history:
        left = still - names
        wanted |= {digest: Since(at=since, certain=True) for digest in left}
        still, since = still & names, at
    return wanted | {digest: Since(at=since, certain=len(found) <= LOOK_BACK) for digest in still}


async def identity_of(conn: Connection, site: SiteId) -> PublicKeyLine | None:
    """The public key of the box that may speak for a site."""
    row = await (await conn.execute("select identity from sites where site = %s", (site,))).fetchone()
    return row[0] if row else None
