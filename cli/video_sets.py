"""Video sets of a checkout, as text: videos put in, given days, and taken out; comments and order stay."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from cli.checkout import Checkout
from cli.edits import Edit
from cli.errors import CommandFailed


class Days(NamedTuple):
    """The local days of the site on which a video is there, both included; None: from the start, without end."""

    from_: date | None = None
    until: date | None = None

    def require_order(self) -> None:
        """CommandFailed where the end lies before the start."""
        if self.from_ and self.until and self.until < self.from_:
            raise CommandFailed(f"cannot play until {self.until}: that is before {self.from_}")


def put_videos(text: str, path: str, videos: Sequence[str], days: Days) -> str:
    """The set's text with these videos in it, once each; days that are given replace those that are there."""
    days.require_order()
    edit = Edit(text, path)
    for video in videos:
        present = entry_of(edit.get(("videos",)) or (), video) or {}
        wanted = {key: day for key, day in (("from", days.from_), ("until", days.until)) if day}
        merged = {"video": video, **{key: present[key] for key in ("from", "until") if key in present}, **wanted}
        Days(merged.get("from"), merged.get("until")).require_order()
        edit.put(("videos",), merged if len(merged) > 1 else video)
    return edit.text


def take_videos(text: str, path: str, videos: Sequence[str]) -> str:
    """The set's text without these videos."""
    edit = Edit(text, path)
    for video in videos:
        edit.remove(("videos",), video)
    return edit.text


def entry_of(items: Sequence[Any], video: str) -> Mapping[str, Any] | None:
    """The entry of a video among those of a set; None where it is not in it."""
    for item in items:
        if item == video:
            return {"video": video}
        if isinstance(item, Mapping) and item.get("video") == video:
            return item
    return None


def sets_with(checkout: Checkout, video: str) -> dict[str, str]:
    """Id -> path of the sets that name a video."""
    found = {}
    for name, path in sorted(checkout.documents("video-sets").items()):
        text = checkout.read(path)
        if video in text and entry_of(Edit(text, path).get(("videos",)) or (), video):
            found[name] = path
    return found
