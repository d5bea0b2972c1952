"""The library: each video with its facts, the sets that hold it, where it is wanted and where it is."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from control_plane.errors import NotFound
from control_plane.store import library
from control_plane.store.pool import connection
from control_plane.store.views import Fleet, SiteView
from control_plane.web.table import Cell, Column, Facts, ListPage, Table, heads, sites_table
from control_plane.web.visit import Download, Room, Shown, Visit
from control_plane.web.words import Words
from schemas.desired import Video, VideoItem, VideoSet
from schemas.names import DocumentId

SOON: Final = timedelta(days=14)
MAX_THUMBNAIL_BYTES: Final = 256 * 1024
Sets = Mapping[DocumentId, VideoSet]


class Spread(NamedTuple):
    """Of a video: the sets that hold it, its last day if it has one, the sites that want it, those that have it."""

    sets: Sequence[DocumentId]
    until: date | None
    wanted: Sequence[SiteView]
    there: int


async def show(room: Room, visit: Visit) -> Shown:
    """Every video: what expires soon first, then what nobody wants, then by name."""
    async with connection(room.pool) as conn:
        videos = await library.documents_of(conn, "videos", Video)
        sets = await library.documents_of(conn, "video-sets", VideoSet)
    fleet, words, today = await room.lookout.fleet(), visit.words, room.clock().date()
    spread = spread_of(videos, sets, fleet)
    ordered = sorted(videos, key=lambda name: _order(spread[name], today, videos[name].name))
    table = Table(
        key="videos",
        title=words("nav.library"),
        heads=heads(
            words("video.name"),
            words("video.facts"),
            words("video.sets"),
            words("video.there") + ">",
            words("video.until"),
        ),
        rows=[_row((name, videos[name]), spread[name], sets, today, words) for name in ordered],
        none=words("library.none"),
    )
    return Shown("list.html", ListPage(title=words("nav.library"), intro=words("library.intro"), tables=[table]))


async def show_one(room: Room, visit: Visit) -> Shown:
    """One video, and every site that wants it."""
    name, words = visit.path["video"], visit.words
    async with connection(room.pool) as conn:
        video = await library.document_of(conn, "videos", name, Video)
        sets = await library.documents_of(conn, "video-sets", VideoSet)
    if video is None:
        raise NotFound(f"cannot find the video {name[:80]}: the published commit has none of that name")
    fleet = await room.lookout.fleet()
    spread = spread_of([name], sets, fleet)[name]
    facts = [
        (words("video.facts"), Cell(text=facts_of(video, words), image=_thumbnail(name, video))),
        (words("video.sponsor"), Cell(text=video.sponsor or "—")),
        (words("video.sets"), Cell(text=", ".join(sets[one].name for one in spread.sets) or words("video.unused"))),
        (words("video.until"), Cell(text=_until(spread.until, words))),
        (words("video.digest"), Cell(text=video.digest, code=True)),
    ]
    there = Column(head=words("video.there.one"), cell=lambda view: _there(view, words))
    table = sites_table(
        spread.wanted,
        fleet.read_at,
        words,
        key="sites",
        title=words("group.sites"),
        none=words("video.unused"),
        more=[there],
    )
    page = ListPage(
        title=video.name,
        parents=[("/library", words("nav.library"))],
        facts=[Facts(key="facts", title=words("video.facts"), facts=facts)],
        tables=[table],
    )
    return Shown("list.html", page)


async def thumbnail(room: Room, visit: Visit) -> Download:
    """The video's thumbnail; NotFound where it has none."""
    name = visit.path["video"]
    async with connection(room.pool) as conn:
        video = await library.document_of(conn, "videos", name, Video)
    if video is None or video.thumbnail is None:
        raise NotFound(f"cannot find a thumbnail of {name[:80]}")
    body = b"".join([part async for part in room.objects.read(video.thumbnail, 0, MAX_THUMBNAIL_BYTES)])
    return Download(f"{name}.jpg", _image_type(body), body, inline=True)


def _image_type(body: bytes) -> str:
    """What a browser may take it for: an image of the two kinds that the library makes, or nothing that it shows."""
    if body.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    return "image/png" if body.startswith(b"\x89PNG\r\n") else "application/octet-stream"


def spread_of(videos: Iterable[DocumentId], sets: Sets, fleet: Fleet) -> dict[DocumentId, Spread]:
    """Where each video is wanted, by the sets that sites resolve to, and where it is, by what boxes reported."""
    holding: dict[DocumentId, list[DocumentId]] = {}
    days: dict[DocumentId, list[date | None]] = {}
    for name, video_set in sets.items():
        for item in video_set.videos:
            one = item if isinstance(item, VideoItem) else VideoItem(video=item)
            if name not in holding.setdefault(one.video, []):
                holding[one.video].append(name)
            days.setdefault(one.video, []).append(one.until)
    sites: dict[DocumentId, list[SiteView]] = {}
    for view in fleet.sites:
        for name in view.facts.get("video_sets", ()):
            sites.setdefault(name, []).append(view)
    return {video: _spread(holding.get(video, []), days.get(video, []), sites) for video in videos}


def _spread(
    sets: Sequence[DocumentId], days: Sequence[date | None], sites: Mapping[DocumentId, Sequence[SiteView]]
) -> Spread:
    wanted = {view.site: view for name in sets for view in sites.get(name, ()) if view.state == "active"}
    ends = [day for day in days if day is not None]
    until = max(ends) if ends and len(ends) == len(days) else None
    return Spread(sets, until, list(wanted.values()), sum(has_it(view) for view in wanted.values()))


def has_it(view: SiteView) -> bool:
    """Whether the box reported that it has reached the generation that wants it: with all of its content."""
    return view.report is not None and (view.report.generation or 0) >= view.generation


def _order(spread: Spread, today: date, name: str) -> tuple[bool, bool, str]:
    soon = spread.until is not None and today <= spread.until <= today + SOON
    return (not soon, bool(spread.wanted), name.casefold())


def _there(view: SiteView, words: Words) -> Cell:
    has = has_it(view)
    return Cell(text=words("yes" if has else "not.yet"), tone="good" if has else "busy")


def _row(named: tuple[DocumentId, Video], spread: Spread, sets: Sets, today: date, words: Words) -> list[Cell]:
    name, video = named
    ends_soon = spread.until is not None and spread.until <= today + SOON
    tone = "bad" if spread.until is not None and spread.until < today else "busy" if ends_soon else ""
    count = f"{words.number(spread.there)} / {words.number(len(spread.wanted))}"
    return [
        Cell(text=video.name, link=f"/library/{name}", note=video.sponsor or "", image=_thumbnail(name, video)),
        Cell(text=facts_of(video, words)),
        Cell(text=", ".join(sets[one].name for one in spread.sets) or words("video.unused")),
        Cell(text=count if spread.wanted else "—"),
        Cell(text=_until(spread.until, words), tone=tone),
    ]


def _thumbnail(name: DocumentId, video: Video) -> str:
    return f"/library/{name}/thumbnail" if video.thumbnail else ""


def facts_of(video: Video, words: Words) -> str:
    """Size, duration and picture of a video."""
    media = video.media
    parts = [words.size(video.size_bytes)]
    if media and media.duration_s is not None:
        minutes, seconds = divmod(round(media.duration_s), 60)
        parts.append(f"{minutes}:{seconds:02}")
    if media and media.width and media.height:
        parts.append(f"{media.width} × {media.height}")
    return " · ".join(parts)


def _until(until: date | None, words: Words) -> str:
    return words.day(until) if until else "—"
