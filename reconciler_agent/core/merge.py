"""The box's configuration and the manifest, to the configuration as it should be: who owns what, and how it is united.

`locked: true` or `owner: "neopro"` is central, all the rest is the club's. Nothing of the club's is ever dropped: where
an id is wanted by both, the club's category goes on as `<id>_club`; a club's video inside a central category moves
there too. Values are compared, never bytes, and unknown keys stay. The applications on the box fix the format: see
`docs/box.md`.

Merging is idempotent, and merging a manifest without content gives back what the club had.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

from msgspec import Struct

from reconciler_agent.core.changes import list_differences
from reconciler_agent.errors import ConfigurationUnreadable
from schemas.club import id_beside
from schemas.manifest import Category, CategoryVideo, SiteManifest
from schemas.status import Difference

Json = Any
Item = dict[str, Any]

CLUB_ONLY: Final = frozenset({"auth", "categories", "sponsors", "timeCategories"})
"""Keys that `config` of the desired state never touches: the club's, or made from video sets."""
LISTS: Final = ("categories", "sponsors", "timeCategories")
BLANK_AUTH: Final[Item] = {"password": "", "clubName": "", "sessionDuration": 28_800_000}
"""What the applications' own example starts with; they fail when `auth` is absent. Milliseconds."""
VIDEO_TYPES: Final = {"mp4": "video/mp4", "webm": "video/webm", "mkv": "video/x-matroska", "mov": "video/quicktime"}
BLOCKS: Final[dict[str, Item]] = {
    "before": {
        "name": "Avant-match",
        "icon": "🏁",
        "color": "from-blue-500 to-blue-600",
        "description": "Échauffement & présentation",
    },
    "during": {
        "name": "Match",
        "icon": "▶️",
        "color": "from-green-500 to-green-600",
        "description": "Live & animations",
    },
    "after": {
        "name": "Après-match",
        "icon": "🏆",
        "color": "from-purple-500 to-purple-600",
        "description": "Résultats & remerciements",
    },
}
"""The time blocks that the remote control shows when the configuration has none: made explicit when one is needed."""


class Merged(Struct, frozen=True, kw_only=True):
    """The configuration as it should be, how the local one differs from it, and which ids of the club's changed."""

    configuration: Item
    differences: list[Difference]
    renamed: dict[str, str]


class _Wanted(NamedTuple):
    """What central wants to be seen today, as the configuration writes it."""

    categories: list[Item]
    blocks: dict[str, list[str]]
    loops: dict[str, list[Item]]
    entries: list[Item]
    paths: frozenset[str]


class _Categories(NamedTuple):
    """The categories united. `club_ids`: where a central id was the club's; `beside`: where its videos moved out to."""

    merged: list[Item]
    club_ids: dict[str, str]
    beside: dict[str, str]
    central_ids: frozenset[Json]


def merge(local: Mapping[str, Json], manifest: SiteManifest, today: date, installed: frozenset[str]) -> Merged:
    """`local` with what `manifest` wants on the local day `today`; `local` itself is left as it is.

    `installed`: every path under `videos/` whose file is on the box and sound, of this manifest or an older one. What
    is not installed yet is left out; the video that it replaces stays until then. ConfigurationUnreadable when `local`
    is not shaped like a configuration.
    """
    completed = _completed(local)
    wanted = _wanted(manifest, today, installed, _standing(completed))
    categories = _merge_categories(completed["categories"], wanted)
    result: Item = {
        **completed,
        "categories": categories.merged,
        "sponsors": _united(completed["sponsors"], wanted.loops["sponsors"]),
    }
    blocks = _merge_blocks(completed.get("timeCategories") or [], wanted, categories)
    if blocks:
        result["timeCategories"] = blocks
    elif completed.get("timeCategories"):
        del result["timeCategories"]
    if categories.club_ids and isinstance(result.get("categoryMappings"), dict):
        result["categoryMappings"] = {categories.club_ids.get(k, k): v for k, v in result["categoryMappings"].items()}
    _apply_config(result, manifest.config)
    return Merged(
        configuration=result,
        differences=list_differences(local, result),
        renamed={**categories.beside, **categories.club_ids},
    )


def is_central(item: Json) -> bool:
    """Whether a category, a block or an entry of a list is centrally owned."""
    return isinstance(item, dict) and (item.get("locked") is True or item.get("owner") == "neopro")


def _completed(local: Mapping[str, Json]) -> Item:
    """A copy in which what every application needs exists, whatever variant the box has."""
    for key in LISTS:
        if not isinstance(local.get(key) or [], list):
            raise ConfigurationUnreadable(f"cannot merge configuration.json: {key!r} is not a list")
    completed = {**local, "sponsors": local.get("sponsors") or [], "categories": local.get("categories") or []}
    if not isinstance(completed.get("auth"), dict):
        completed["auth"] = dict(BLANK_AUTH)
    return completed


def _standing(configuration: Item) -> dict[Json, list[Item]]:
    """The central entries that stand in the configuration, by place: a loop, or a category and its subcategory."""
    standing: dict[Json, Json] = {("sponsors",): configuration["sponsors"]}
    for block in _items(configuration.get("timeCategories")):
        standing[(_id(block),)] = block.get("loopVideos")
    for category in _items(configuration["categories"]):
        standing[_id(category), None] = category.get("videos")
        for sub in _items(category.get("subCategories")):
            standing[_id(category), _id(sub)] = sub.get("videos")
    return {place: [e for e in _items(entries) if is_central(e)] for place, entries in standing.items()}


def _items(value: Json) -> list[Item]:
    """The objects in what should be a list of objects."""
    return [item for item in _list(value) if isinstance(item, dict)]


def _text(item: Item, key: str) -> str | None:
    """What an item has there, if it is text: anybody may have written anything, also what cannot be looked up."""
    found = item.get(key)
    return found if isinstance(found, str) else None


def _list(value: Json) -> list[Json]:
    """What should be a list, or none."""
    return value if isinstance(value, list) else []


def _wanted(
    manifest: SiteManifest, today: date, installed: frozenset[str], standing: Mapping[Json, list[Item]]
) -> _Wanted:
    def entries(place: Json, videos: Sequence[CategoryVideo]) -> list[Item]:
        shown = [video for video in videos if _is_on(video, today)]
        paths = {video.path for video in shown}
        gone = installed - paths
        older = {_text(e, "video_id"): e for e in standing.get(place, ()) if _text(e, "path") in gone}
        found = [_entry(v) if v.path in installed else older.get(v.video_id) for v in shown]
        return [entry for entry in found if entry is not None]

    categories = manifest.categories
    everything = [v for c in categories for v in [*c.videos, *(v for s in c.subcategories for v in s.videos)]]
    return _Wanted(
        categories=[_category(category, entries) for category in categories],
        blocks={b: [c.id for c in categories if b in c.blocks] for b in BLOCKS},
        loops={name: entries((name,), getattr(manifest.loops, name)) for name in ("sponsors", *BLOCKS)},
        entries=[_entry(v) for v in everything if v.path in installed and _is_on(v, today)],
        paths=frozenset([file.path for file in manifest.content] + [video.path for video in everything]),
    )


def _is_on(video: CategoryVideo, today: date) -> bool:
    return (video.from_ is None or video.from_ <= today) and (video.until is None or today <= video.until)


def _entry(video: CategoryVideo) -> Item:
    """A central video, tagged as ours."""
    entry: Item = {
        "name": video.name,
        "path": video.path,
        "type": VIDEO_TYPES.get(video.path.rpartition(".")[2], "video/mp4"),
        "locked": True,
        "owner": "neopro",
        "video_id": video.video_id,
    }
    if video.sponsor_id is not None:
        entry["sponsor_id"] = video.sponsor_id
    if video.analytics_category is not None:
        entry["analytics_category"] = video.analytics_category
    return entry


def _category(category: Category, entries: Callable[[Json, Sequence[CategoryVideo]], list[Item]]) -> Item:
    """A central category; without `videos` where only its subcategories have some, or the remote counts none."""
    made: Item = {"id": category.id, "name": category.name, "locked": True, "owner": "neopro"}
    if category.videos or not category.subcategories:
        made["videos"] = entries((category.id, None), category.videos)
    if category.subcategories:
        made["subCategories"] = [
            {
                "id": s.id,
                "name": s.name,
                "locked": True,
                "owner": "neopro",
                "videos": entries((category.id, s.id), s.videos),
            }
            for s in category.subcategories
        ]
    return made


def _merge_categories(local: Sequence[Json], wanted: _Wanted) -> _Categories:
    """Central categories first, in the manifest's order; the club's after them, in theirs."""
    desired = {category["id"] for category in wanted.categories}
    ours = [c for c in local if is_central(c) or _is_ours_stripped(c, desired, wanted.paths)]
    club: list[Json] = [_healed(c, wanted.entries) for c in local if not any(c is own for own in ours)]
    taken = desired | {_id(c) for c in local}
    club_ids: dict[str, str] = {}
    for place, category in enumerate(club):
        if _id(category) in desired:
            new = _free_id(_id(category), taken)
            club_ids.setdefault(_id(category), new)
            club[place] = {**category, "id": new}
    beside = {_id(c): _move_out(c, wanted.paths, club, taken) for c in ours if _club_part(c, wanted.paths)}
    central_ids = frozenset(desired | {_id(c) for c in ours} - {_id(c) for c in club})
    return _Categories([*wanted.categories, *club], club_ids, beside, central_ids)


def _id(category: Json) -> Json:
    """A category's id, whatever the club wrote there, as something that can be looked up."""
    found = category.get("id") if isinstance(category, dict) else None
    return found if isinstance(found, str | int) else None


def _videos(category: Item) -> list[Json]:
    """The entries of a category and of its subcategories."""
    parts = (category, *_items(category.get("subCategories")))
    return [entry for part in parts if isinstance(part.get("videos"), list) for entry in part["videos"]]


def _is_ours_stripped(category: Json, desired: set[Json], paths: frozenset[str]) -> bool:
    """A wanted category that lost its tags to the local admin page: it holds videos, and all of them are ours."""
    if _id(category) not in desired:
        return False
    videos = _videos(category)
    return bool(videos) and all(_is_ours_inside(entry, paths) for entry in videos)


def _is_ours_inside(entry: Json, paths: frozenset[str]) -> bool:
    """Whether an entry inside a central category is ours, also when the club took its tags off."""
    return is_central(entry) or (isinstance(entry, dict) and _text(entry, "path") in paths)


def _healed(category: Json, ours: Sequence[Item]) -> Json:
    """A club's category in which central videos are as they should be; the very same where they are."""
    if not isinstance(category, dict):
        return category
    healed = dict(category)
    if isinstance(category.get("videos"), list):
        healed["videos"] = [_healed_entry(entry, ours) for entry in category["videos"]]
    if isinstance(category.get("subCategories"), list):
        healed["subCategories"] = [_healed(sub, ours) for sub in category["subCategories"]]
    return healed


def _healed_entry(entry: Json, ours: Sequence[Item]) -> Json:
    """The entry as central wants this video today, if it does; from the file that it names, where there are several."""
    same = [own for own in ours if own["video_id"] == entry.get("video_id")] if is_central(entry) else []
    if not same:
        return entry
    best = next((own for own in same if own["path"] == entry.get("path")), same[0])
    return {k: v for k, v in entry.items() if k not in ("sponsor_id", "analytics_category")} | best


def _free_id(wanted: str, taken: set[Json]) -> str:
    """The id beside `wanted` that nothing else has; it is taken from now on."""
    new = id_beside(wanted, taken)
    taken.add(new)
    return new


def _club_part(category: Json, paths: frozenset[str]) -> Item:
    """What of a central category is the club's: its videos, each in the subcategory where it was; empty if nothing."""
    part: Item = {}
    videos = [e for e in _list(category.get("videos")) if not _is_ours_inside(e, paths)]
    if videos:
        part["videos"] = videos
    subs = [{**sub, "videos": _club_part(sub, paths)["videos"]} for sub in _subs(category) if _club_part(sub, paths)]
    if subs:
        part["subCategories"] = [{k: v for k, v in sub.items() if k not in ("locked", "owner")} for sub in subs]
    return part


def _subs(category: Item) -> list[Item]:
    return [sub for sub in _items(category.get("subCategories")) if isinstance(sub.get("videos"), list)]


def _move_out(category: Item, paths: frozenset[str], club: list[Json], taken: set[Json]) -> str:
    """Give the club's videos of a central category a category of their own at the end of `club`; its id."""
    new = _free_id(str(category.get("id")), taken)
    club.append({"id": new, "name": f"{category.get('name', new)} (club)", **_club_part(category, paths)})
    return new


def _united(local: Sequence[Json], wanted: Sequence[Item]) -> list[Json]:
    """A loop in the club's order: the club's entries as they are, ours right or gone, new ones at the end."""
    pending = list(wanted)
    united: list[Json] = []
    for entry in local:
        if not is_central(entry):
            united.append(entry)
            continue
        same = [p for key in ("path", "video_id") for p in pending if p[key] == entry.get(key)]
        if same:
            pending.remove(same[0])
            united.append(same[0])
    return united + pending


def _merge_blocks(local: Sequence[Json], wanted: _Wanted, categories: _Categories) -> list[Json]:
    """The time blocks, those that are needed and missing made; ours go again when nobody has anything in them."""
    needed = [b for b in BLOCKS if wanted.blocks[b] or wanted.loops[b]]
    there = {_id(block) for block in _items(local)}
    missing = [b for b in (needed if local else BLOCKS if needed else ()) if b not in there]
    made = [{"id": b, **BLOCKS[b], "owner": "neopro", "categoryIds": []} for b in missing]
    merged = [_merge_block(block, wanted, categories) for block in [*local, *made]]
    if all(_is_blank(block) for block in merged):
        return []
    if all(is_central(block) for block in merged):
        return merged
    return [block for block in merged if not _is_blank(block)]


def _is_blank(block: Json) -> bool:
    return is_central(block) and not block.get("categoryIds") and not block.get("loopVideos")


def _merge_block(block: Json, wanted: _Wanted, categories: _Categories) -> Json:
    if not isinstance(block, dict):
        return block
    merged = {**block, "categoryIds": _category_ids(block, wanted.blocks.get(_id(block), []), categories)}
    standing = block.get("loopVideos")
    loop = _united(standing if isinstance(standing, list) else [], wanted.loops.get(_id(block), []))
    if loop:
        merged["loopVideos"] = loop
    elif standing:
        del merged["loopVideos"]  # ours were the last: without the key, the TV plays the default loop again
    return merged


def _category_ids(block: Item, wanted: Sequence[str], categories: _Categories) -> list[Json]:
    """Which categories a block shows: the club's in its order under their ids of now, ours where they are wanted."""
    ids: list[Json] = []
    for found in _list(block.get("categoryIds")):
        key = found if isinstance(found, str | int) else None
        if key in categories.club_ids:
            ids.append(categories.club_ids[key])
        elif key not in categories.central_ids or (key in wanted and found not in ids):
            ids.append(found)
        if key in categories.beside:
            ids.append(categories.beside[key])
    return ids + [new for new in wanted if new not in ids]


def _apply_config(result: Item, config: Mapping[str, Json]) -> None:
    """Central values for what `config` names; for what the club may decide, they only fill what is absent."""
    for key, value in config.items():
        if key in CLUB_ONLY or value is None:
            continue
        if key == "settings":
            result[key] = _filled(result.get(key), value)
        elif key == "remote" and isinstance(value, dict):
            owned = _owned(result.get(key), {k: v for k, v in value.items() if k != "title"})
            result[key] = _filled(owned, {k: v for k, v in value.items() if k == "title"})
        else:
            result[key] = _owned(result.get(key), value)


def _owned(local: Json, central: Json) -> Json:
    """Central over local: maps deeply, the rest replaced; None is 'not managed'."""
    if not isinstance(central, dict):
        return central
    base = local if isinstance(local, dict) else {}
    return base | {k: _owned(base.get(k), v) for k, v in central.items() if v is not None}


def _filled(local: Json, central: Json) -> Json:
    """Local over central: central values only where there is none."""
    if local is None:
        return _owned(None, central)
    if not (isinstance(local, dict) and isinstance(central, dict)):
        return local
    return local | {k: _filled(local.get(k), v) for k, v in central.items() if v is not None}
