"""The videos that a box should have, set by set, and which of them are there by its last report; pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from control_plane.store.views import SiteView
from control_plane.store.wanted import Since, Wants
from control_plane.web.words import Words
from schemas.desired import VideoSet
from schemas.manifest import CategoryVideo, ContentFile, SiteManifest
from schemas.names import DocumentId
from schemas.status import StatusReport

MAX_DIFFERENCES: Final = 200
"""Of a report: when it is full, what it does not name may differ, too."""
OPEN_ROWS: Final = 15
"""A site with so few videos shows them all; of others, the sets in which something is missing."""

There = Literal["there", "missing", "later", "over", "untaken", "unknown"]
"""`untaken`: the box has not taken the manifest that wants it; `unknown`: nobody can tell."""
TONES: Final[Mapping[There, str]] = {
    "there": "good",
    "missing": "busy",
    "later": "quiet",
    "over": "quiet",
    "untaken": "busy",
    "unknown": "quiet",
}


class ContentRow(Struct, frozen=True, kw_only=True):
    """A video. `valid`: the days on which it is wanted; `since`: since when it has been in the site's manifest."""

    name: str
    link: str
    place: str
    path: str
    size: str
    digest: str
    valid: str
    since: str
    since_at: datetime | None
    there: There
    there_word: str
    tone: str


class ContentSet(Struct, frozen=True, kw_only=True):
    """A set of videos; `open` when it is worth a look at once."""

    title: str
    summary: str
    rows: list[ContentRow]
    open: bool


class Content(Struct, frozen=True, kw_only=True):
    """All of a site's videos. `known`: the box has spoken of what is wanted now; `said`: what, with its age."""

    sets: list[ContentSet]
    files: int
    size_bytes: int
    missing: int
    known: bool
    said: str


class Item(NamedTuple):
    """A video as the manifest shows it, and where: in words, and by the category's id ('': in a loop)."""

    video: CategoryVideo
    place: str
    category: str


def content_of(view: SiteView, wants: Wants, now: datetime, words: Words, *, team: bool) -> Content:
    """The videos of the site's manifest. Only the team's pages of videos are linked to."""
    desk = _Desk(view, wants, now, words, team=team)
    named = [wants.sets[name] for name in view.facts.get("video_sets", ()) if name in wants.sets]
    made = [desk.set(one.name, desk.paths(one)) for one in named]
    made.append(desk.set(words("content.other"), desk.left()))
    made = [one for one in made if one.rows]
    missing = len({row.path for one in made for row in one.rows if row.there == "missing"})
    return Content(
        sets=made,
        files=len(wants.manifest.content),
        size_bytes=sum(file.size_bytes for file in wants.manifest.content),
        missing=missing,
        known=view.report is not None and _has_taken(view.report, view.generation),
        said=_said(view, missing, now, words) if made else words("content.none"),
    )


def _said(view: SiteView, missing: int, now: datetime, words: Words) -> str:
    if view.report is None or view.received_at is None:
        return words("content.untold")
    ago = words.ago(view.received_at, now)
    if not _has_taken(view.report, view.generation):
        return words("content.untaken", ago=ago)
    return words.count("content.missing", missing, ago=ago) if missing else words("content.complete", ago=ago)


def _videos_of(video_set: VideoSet) -> list[DocumentId]:
    return [item if isinstance(item, str) else item.video for item in video_set.videos]


def there(view: SiteView, path: str, days: Sequence[CategoryVideo], today: date) -> There:
    """Whether a file is on the box, as far as its last report tells. `days`: the items that want it."""
    if days and not any(_is_due(item, today) for item in days):
        return "later" if any(item.from_ is not None and item.from_ > today for item in days) else "over"
    said = view.report
    if said is None:
        return "unknown"
    if not _has_taken(said, view.generation):
        return "untaken"
    if any(one.kind == "content" and one.what == path for one in said.differences):
        return "missing"
    return "unknown" if len(said.differences) >= MAX_DIFFERENCES else "there"


def _has_taken(said: StatusReport, generation: int) -> bool:
    return max(said.generation or 0, said.head_generation or 0) >= generation


def _is_due(item: CategoryVideo, today: date) -> bool:
    return (item.from_ is None or item.from_ <= today) and (item.until is None or item.until >= today)


def items_of(manifest: SiteManifest, words: Words) -> Iterator[Item]:
    """Every video as the manifest shows it: in its categories, then in the loops."""
    for category in manifest.categories:
        yield from (Item(video, category.name, category.id) for video in category.videos)
        for sub in category.subcategories:
            yield from (Item(video, f"{category.name} › {sub.name}", category.id) for video in sub.videos)
    for loop in ("sponsors", "before", "during", "after"):
        yield from (Item(video, words(f"content.loop.{loop}"), "") for video in getattr(manifest.loops, loop))


class _Desk:
    """Makes the rows; remembers which files no set has shown."""

    def __init__(self, view: SiteView, wants: Wants, now: datetime, words: Words, *, team: bool) -> None:
        self._view, self._since, self._words, self._team = view, wants.since, words, team
        self._today = now.date()
        self._files = {file.path: file for file in wants.manifest.content}
        self._items: dict[str, list[Item]] = {}
        self._of_video: dict[DocumentId, list[Item]] = {}
        for item in items_of(wants.manifest, words):
            self._items.setdefault(item.video.path, []).append(item)
            self._of_video.setdefault(item.video.video_id, []).append(item)
        self._shown: set[str] = set()

    def paths(self, video_set: VideoSet) -> list[str]:
        """Where the videos of a set lie: a video has a file for each category that shows it."""
        found: list[str] = []
        for video in _videos_of(video_set):
            items = self._of_video.get(video, [])
            own = [item for item in items if item.category == video_set.category.id] or items
            found += [item.video.path for item in own]
        return [path for path in dict.fromkeys(found) if path in self._files]

    def set(self, title: str, paths: Sequence[str]) -> ContentSet:
        """The rows of these files."""
        self._shown |= {*paths}
        rows = [self._row(self._files[path]) for path in paths]
        size = self._words.size(sum(self._files[path].size_bytes for path in paths))
        waiting = any(row.there in ("missing", "untaken") for row in rows)
        summary = f"{self._words.count('club.videos', len(rows))} · {size}"
        return ContentSet(title=title, summary=summary, rows=rows, open=waiting or len(self._files) <= OPEN_ROWS)

    def left(self) -> list[str]:
        """The paths of files that no set has shown."""
        return [path for path in self._files if path not in self._shown]

    def _row(self, file: ContentFile) -> ContentRow:
        items = self._items.get(file.path, [])
        first = items[0].video if items else None
        stands = there(self._view, file.path, [item.video for item in items], self._today)
        since = self._since.get(file.digest)
        return ContentRow(
            name=first.name if first else file.path.rpartition("/")[2],
            link=f"/library/{first.video_id}" if first and self._team else "",
            place=" · ".join(dict.fromkeys(item.place for item in items)),
            path=file.path,
            size=self._words.size(file.size_bytes),
            digest=file.digest[7:15],
            valid=_valid([item.video for item in items], self._words),
            since=_since(since, self._words),
            since_at=since.at if since else None,
            there=stands,
            there_word=self._words(f"content.row.{stands}"),
            tone=TONES[stands],
        )


def _valid(items: Sequence[CategoryVideo], words: Words) -> str:
    """The first and the last day; empty when it has neither."""
    begins = [item.from_ for item in items if item.from_ is not None]
    ends = [item.until for item in items if item.until is not None]
    first = min(begins) if len(begins) == len(items) and begins else None
    last = max(ends) if len(ends) == len(items) and ends else None
    if first and last:
        return words("content.valid", first=words.day(first), last=words.day(last))
    if last:
        return words("content.valid.until", last=words.day(last))
    return words("content.valid.from", first=words.day(first)) if first else ""


def _since(since: Since | None, words: Words) -> str:
    if since is None:
        return "—"
    day = words.day(since.at.date())
    return day if since.certain else words("content.since.least", day=day)
