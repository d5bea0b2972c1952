"""What the club owns, as the fleet may see it: every value is taken by its name, whatever else the configuration holds.

Central items are left out at every depth, also those whose tags the local admin page took off.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final

from msgspec.structs import replace

from reconciler_agent.core.merge import is_central, merge
from schemas.club import (
    MAX_BLOCKS,
    MAX_CATEGORIES,
    MAX_ENTRIES,
    MAX_FILES,
    MAX_PATH,
    MAX_WORDS,
    ClubBlock,
    ClubCategory,
    ClubFile,
    ClubMirror,
    ClubSubCategory,
    ClubVideo,
)
from schemas.manifest import SiteManifest

Json = Any
Item = Mapping[str, Json]
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""What no line of text holds, and what UTF-8 cannot."""


class _Room:
    """How much of each kind still fits, and how much did not."""

    def __init__(self) -> None:
        self._left = {"categories": MAX_CATEGORIES, "entries": MAX_ENTRIES, "blocks": MAX_BLOCKS}
        self.omitted = 0

    def take(self, kind: str, items: Iterable[Json]) -> list[Json]:
        """As many of these as fit."""
        wanted = list(items)
        taken = wanted[: self._left[kind]]
        self._left[kind] -= len(taken)
        self.omitted += len(wanted) - len(taken)
        return taken


def club(configuration: Item, manifest: SiteManifest, files: Sequence[ClubFile], ours: frozenset[str]) -> ClubMirror:
    """What the club owns of `configuration` beside `manifest`, and of `files`, among which those of `ours` are not.

    ConfigurationUnreadable as `merge`.
    """
    tagged = merge(configuration, replace(manifest, config={}), date.min, frozenset()).configuration
    central = {_words(c.get("id")) for c in tagged["categories"] if is_central(c)}
    room = _Room()
    its_own = sorted((f for f in files if f.path not in ours), key=lambda f: (-f.size_bytes, f.path))
    remote, settings = _item(tagged.get("remote")), _item(tagged.get("settings"))
    return ClubMirror(
        title=_words(remote.get("title")) or None,
        language=_words(settings.get("language")) or None,
        timezone=_words(settings.get("timezone")) or None,
        categories=[_category(c, room) for c in room.take("categories", _the_clubs(tagged["categories"]))],
        blocks=[_block(b, central, room) for b in room.take("blocks", _items(tagged.get("timeCategories")))],
        loop=_videos(tagged["sponsors"], room),
        files=[replace(f, path=_UNFIT.sub("\ufffd", f.path)[:MAX_PATH]) for f in its_own[:MAX_FILES]],
        file_count=len(its_own),
        file_bytes=sum(f.size_bytes for f in its_own),
        omitted=room.omitted,
    )


def _category(category: Item, room: _Room) -> ClubCategory:
    subs = room.take("categories", _the_clubs(category.get("subCategories")))
    return ClubCategory(
        id=_words(category.get("id")),
        name=_words(category.get("name")),
        videos=_videos(category.get("videos"), room),
        subcategories=[
            ClubSubCategory(id=_words(s.get("id")), name=_words(s.get("name")), videos=_videos(s.get("videos"), room))
            for s in subs
        ],
    )


def _block(block: Item, central: set[str], room: _Room) -> ClubBlock:
    found = block.get("categoryIds")
    shown = [_words(one) for one in found] if isinstance(found, list) else []
    return ClubBlock(
        id=_words(block.get("id")),
        name=_words(block.get("name")),
        categories=room.take("entries", (one for one in shown if one not in central)),
        loop=_videos(block.get("loopVideos"), room),
    )


def _videos(value: Json, room: _Room) -> list[ClubVideo]:
    return [
        ClubVideo(name=_words(entry.get("name")), path=_words(entry.get("path"), MAX_PATH))
        for entry in room.take("entries", _the_clubs(value))
    ]


def _the_clubs(value: Json) -> list[Item]:
    return [item for item in _items(value) if not is_central(item)]


def _items(value: Json) -> list[Item]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _item(value: Json) -> Item:
    return value if isinstance(value, dict) else {}


def _words(value: Json, most: int = MAX_WORDS) -> str:
    """A text or a number in one line, cut; nothing for what is neither."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return _UNFIT.sub("\ufffd", str(value))[:most]
