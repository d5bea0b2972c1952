"""What changes, one thing a line: for one site or for sites that share a change, and over all sites at once.

Lines are plain text; names in them come from people and are made harmless by whoever shows them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from control_plane.core.plan import Change, Kind, Plan
from control_plane.core.plan_changes import (
    Alteration,
    CategoryChange,
    Differences,
    LoopChange,
    Moved,
    OperationChange,
    VideoChange,
)
from control_plane.core.plan_words import count, instant, megabytes, short
from schemas.names import SiteId

MAX_VALUE: Final = 60
MANY_VALUES: Final = 3
"""More different changes of one key than this become one line."""
KINDS: Final[dict[Kind, str]] = {
    "removed": "removed",
    "changed": "changed",
    "added": "added",
    "record": "renamed or re-keyed",
}


class Effect(Struct, frozen=True, kw_only=True):
    """One thing that happens, and the sites that it happens to; the gravest have the lowest `rank`."""

    rank: int
    text: str
    sites: list[SiteId]


def effects(plan: Plan) -> list[Effect]:
    """Each thing that happens once, the gravest first, then what happens to most sites."""
    found: dict[tuple[int, str], list[SiteId]] = {}
    keys: dict[str, dict[tuple[int, str], None]] = {}
    for change in plan.changes:
        for rank, text, key in _things(change):
            found.setdefault((rank, text), []).extend(change.sites)
            if key:
                keys.setdefault(key, {})[rank, text] = None
    for key, lines in keys.items():
        if len(lines) > MANY_VALUES:
            sites = [site for line in lines for site in found.pop(line)]
            found[min(lines)[0], f"{key}: {len(lines):,} different changes"] = sites
    return sorted(
        (Effect(rank=rank, text=text, sites=sorted(sites)) for (rank, text), sites in found.items()),
        key=lambda effect: (effect.rank, -len(effect.sites), effect.text),
    )


def details(change: Change) -> Iterator[str]:
    """All that changes on a site, one thing a line."""
    found = change.differences
    yield from _fate(change)
    yield from _moved("release", found.release)
    if found.restarts:
        yield f"restarts {', '.join(found.restarts)}"
    yield from _moved("agent", found.agent)
    yield from (_video("+", video) for video in found.videos_added)
    yield from (_video("−", video) for video in found.videos_removed)
    yield from (_altered(dates, "days of ") for dates in found.dates)
    yield from (_category(category) for category in found.categories)
    yield from (_loop(loop) for loop in found.loops)
    yield from (_altered(altered) for altered in (*found.config, *found.settings))
    yield from _operations(found)


def value(data: Any) -> str:
    """A value as JSON (text bare, where it can be), cut to what a line takes."""
    text = data if isinstance(data, str) and data.isprintable() else msgspec.json.encode(data).decode()
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"


def contents(found: Differences) -> str:
    """A new site, in short: all of it is new."""
    size = megabytes(sum(video.size_bytes for video in found.videos_added))
    release = f"release {found.release.new}, " if found.release else ""
    keys = count(len(found.config), "configuration key")
    return f"{release}{count(len(found.videos_added), 'video')} ({size}), {keys}"


def _things(change: Change) -> Iterator[tuple[int, str, str]]:
    """Rank, text, and the key under which many different texts become one; what follows from another is left out."""
    found = change.differences
    if change.kind in ("removed", "added"):
        more = f": {contents(found)}" if change.kind == "added" else "; the box is told once and stays as it is"
        yield (0 if change.kind == "removed" else 6), KINDS[change.kind] + more, ""
        return
    yield from ((1, text, "") for text in _fate(change))
    if change.kind == "record" and not change.identity:
        yield 7, "another name or place on the page; nothing on the box", ""
    restarts = f", restarts {', '.join(found.restarts)}" if found.restarts else ""
    yield from ((2, text + restarts, "") for text in _moved("release", found.release))
    yield from ((2, text, "") for text in _moved("agent", found.agent))
    yield from ((3, text, "") for text in _operations(found))
    yield from ((4, _video("+", video), "") for video in found.videos_added)
    yield from ((4, _video("−", video), "") for video in found.videos_removed)
    yield from ((5, text, key) for text, key in _kept(found))


def _kept(found: Differences) -> Iterator[tuple[str, str]]:
    """What changes beside releases and videos."""
    yield from ((_altered(dates, "days of "), dates.key) for dates in found.dates)
    names = {video.name for video in (*found.videos_added, *found.videos_removed)}
    yield from ((_category(c), "") for c in found.categories if c.what != "changed" or c.blocks or c.named)
    yield from ((_loop(loop), "") for loop in found.loops if not names.issuperset((*loop.added, *loop.removed)))
    yield from ((_altered(altered), altered.key) for altered in (*found.config, *found.settings))


def _fate(change: Change) -> Iterator[str]:
    if change.kind == "removed":
        yield "no longer in Git: the box is told once, stops converging and stays as it is"
    if change.state:
        yield f"state {change.state.old or 'none'} → {change.state.new}"
    elif change.kind == "changed" and change.differences == Differences():
        yield "nothing on the box while it is not active"
    if change.identity == "revoked":
        yield "identity revoked: the box is cut off at once, also where a guard holds the commit"
    elif change.identity:
        cut_off = "" if change.identity == "added" else ": the box of the old one is cut off"
        yield f"identity {change.identity}{cut_off}"


def _moved(what: str, moved: Moved | None) -> Iterator[str]:
    if moved:
        yield f"{what} {moved.old or 'none'} → {moved.new or 'none'}"


def _video(sign: str, video: VideoChange) -> str:
    name = f"{video.name} " if video.name else ""
    return f"{sign} {name}({video.path}, {megabytes(video.size_bytes)})"


def _altered(altered: Alteration, what: str = "") -> str:
    if altered.new is None:
        return f"{what}{altered.key}: {value(altered.old)} → not managed any more"
    old = "not managed" if altered.old is None else value(altered.old)
    return f"{what}{altered.key}: {old} → {value(altered.new)}"


def _category(category: CategoryChange) -> str:
    words: list[str] = [] if category.what == "changed" else [category.what]
    signs = [("+", category.videos_added), ("−", category.videos_removed)]
    words += [f"{sign}{count(number, 'video')}" for sign, number in signs if number]
    if category.blocks:
        words.append(f"shown {_blocks(category.blocks.old)} → {_blocks(category.blocks.new)}")
    if category.named:
        words.append(f"was called {category.named.old}")
    return f"category {category.name}: {', '.join(words) or 'its entries change'}"


def _blocks(blocks: Sequence[str]) -> str:
    return "/".join(blocks) or "in no block"


def _loop(loop: LoopChange) -> str:
    return f"loop {loop.loop}:{_names('+', loop.added)}{_names('−', loop.removed)}"


def _names(sign: str, names: list[str]) -> str:
    return f" {sign} {short(names)}" if names else ""


def _operations(found: Differences) -> Iterable[str]:
    yield from (_operation(operation) for operation in found.operations_added)
    yield from (f"no longer asked for: {name}" for name in found.operations_removed)


def _operation(operation: OperationChange) -> str:
    what = f"{operation.action} {operation.service or ''}".strip()
    return f"once: {what} ({operation.id}), not after {instant(operation.not_after)}"
