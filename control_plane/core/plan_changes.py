"""Two manifests of one site -> what differs between them, in the words of a plan.

A manifest's two parts (`manifests.Body`) are compared each on its own, so that what sites share is compared once: every
field lies whole in one of them. Secrets are never shown, only that one is another.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec
from msgspec import Struct

from control_plane.core.manifests import Body
from schemas.desired import OperationAction, Service
from schemas.manifest import (
    Category,
    CategoryVideo,
    Instant,
    Loops,
    ManifestMaintenance,
    ManifestOperation,
    SiteManifest,
)
from schemas.names import Digest, DocumentId

T = TypeVar("T")
HIDDEN: Final = "(secret)"
OTHER_HIDDEN: Final = "(another secret)"
_ENCRYPTED: Final = "age:"
_LOOPS: Final = ("sponsors", "before", "during", "after")
_HEAD: Final = b'{"schema":1,"poll_interval_s":60,"timezone":""'
"""What makes a manifest of the second part of a body: the same on both sides, so that it never differs."""


class Moved(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value before and after; one that is absent is None."""

    old: Any = None
    new: Any = None


class Alteration(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A key (dotted, as `neopro why` takes it) whose value changes; one that is absent is None."""

    key: str
    old: Any = None
    new: Any = None


class VideoChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file under `videos/` that comes or goes; `video` is its document, `name` what people see."""

    path: str
    video: DocumentId = ""
    name: str = ""
    size_bytes: int


class CategoryChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A category of the remote control that comes, goes, or shows something else."""

    id: str
    name: str
    what: Literal["added", "removed", "changed"]
    videos_added: int = 0
    videos_removed: int = 0
    blocks: Moved | None = None
    named: Moved | None = None


class LoopChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A loop that gets or loses videos, by the names that people see."""

    loop: str
    added: list[str] = []
    removed: list[str] = []


class OperationChange(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A one-shot that comes."""

    id: DocumentId
    action: OperationAction
    service: Service | None = None
    not_after: Instant


class Differences(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changes on a box. `release` and `agent` are versions; `restarts` the services that a new release restarts.

    `dates` are the days on which a video is shown; `settings` everything that is not the box's configuration.
    """

    release: Moved | None = None
    agent: Moved | None = None
    restarts: list[str] = []
    videos_added: list[VideoChange] = []
    videos_removed: list[VideoChange] = []
    dates: list[Alteration] = []
    categories: list[CategoryChange] = []
    loops: list[LoopChange] = []
    config: list[Alteration] = []
    settings: list[Alteration] = []
    operations_added: list[OperationChange] = []
    operations_removed: list[DocumentId] = []


NONE: Final = Differences()


class Part(Struct, frozen=True, eq=False):
    """Half a manifest, decoded; `files` are the content files that it names, by digest."""

    manifest: SiteManifest
    files: Mapping[Digest, int]


NO_PART: Final = Part(SiteManifest(schema=1, poll_interval_s=60, timezone=""), {})


class Parts:
    """Halves of manifests, each decoded once."""

    def __init__(self) -> None:
        self._known: dict[int | bytes, tuple[object, Part]] = {}

    def prefix(self, body: Body) -> Part:
        """The part that sites share."""
        known = self._known.get(id(body.prefix))
        if known is None:
            part = whole(msgspec.json.decode(body.prefix.data + b"}", type=SiteManifest))
            known = self._known[id(body.prefix)] = (body.prefix, part)  # the prefix must live as long as its id
        return known[1]

    def suffix(self, body: Body) -> Part:
        """The part that is the site's own."""
        known = self._known.get(body.suffix)
        if known is None:
            part = whole(msgspec.json.decode(_HEAD + body.suffix, type=SiteManifest))
            known = self._known[body.suffix] = (None, part)
        return known[1]


def whole(manifest: SiteManifest) -> Part:
    """A manifest in one part."""
    return Part(manifest, {file.digest: file.size_bytes for file in manifest.content})


def merged(one: Differences, other: Differences) -> Differences:
    """The differences of two parts of one manifest."""
    if other is NONE or one is NONE:
        return one if other is NONE else other
    both = {name: getattr(one, name) or getattr(other, name) for name in ("release", "agent")}
    lists = {name: getattr(one, name) + getattr(other, name) for name in one.__struct_fields__ if name not in both}
    return Differences(**both, **lists)


def differences(old: SiteManifest, new: SiteManifest) -> Differences:
    """What differs between two manifests, or between the same part of two."""
    before, after = {v.path: v for v in _shown(old)}, {v.path: v for v in _shown(new)}
    had, has = {f.path: f for f in old.content}, {f.path: f for f in new.content}
    return Differences(
        release=_release(old, new),
        agent=_moved(old.agent and old.agent.version, new.agent and new.agent.version),
        restarts=list(new.release.services) if new.release and _tree(old) != new.release.tree else [],
        videos_added=[_video(path, has[path].size_bytes, after) for path in sorted(has.keys() - had.keys())],
        videos_removed=[_video(path, had[path].size_bytes, before) for path in sorted(had.keys() - has.keys())],
        dates=[
            Alteration(key=path, old=_days(before[path]), new=_days(after[path]))
            for path in sorted(before.keys() & after.keys())
            if _days(before[path]) != _days(after[path])
        ],
        categories=_categories(old.categories, new.categories),
        loops=_loops(old.loops, new.loops),
        config=_alterations(flat(old.config, "config"), flat(new.config, "config")),
        settings=_alterations(settings(old), settings(new)),
        operations_added=[_operation(op) for op in new.operations if op not in old.operations],
        operations_removed=sorted({op.id for op in old.operations} - {op.id for op in new.operations}),
    )


def flat(value: Mapping[str, Any], at: str) -> dict[str, Any]:
    """A map of maps as dotted keys; what lists hold stays in them."""
    return dict(_leaves(value, at))


def _leaves(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield at, value
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{at}.{key}" if at else key)


def _alterations(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Alteration]:
    keys = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    return [_alteration(key, old.get(key), new.get(key)) for key in keys]


def _alteration(key: str, old: Any, new: Any) -> Alteration:
    if not (_is_secret(old) or _is_secret(new)):
        return Alteration(key=key, old=old, new=new)
    again = OTHER_HIDDEN if _is_secret(old) and _is_secret(new) else None
    return Alteration(key=key, old=masked(old), new=again or masked(new))


def masked(value: Any) -> Any:
    """A value as it may be shown: HIDDEN stands for every secret in it."""
    if isinstance(value, str):
        return HIDDEN if _is_secret(value) else value
    if isinstance(value, dict):
        return {key: masked(inner) for key, inner in value.items()}
    return [masked(inner) for inner in value] if isinstance(value, list) else value


def _is_secret(value: Any) -> bool:
    if isinstance(value, str):
        return value.startswith(_ENCRYPTED)
    if isinstance(value, dict):
        return any(_is_secret(inner) for inner in value.values())
    return isinstance(value, list) and any(_is_secret(inner) for inner in value)


def settings(manifest: SiteManifest) -> dict[str, Any]:
    """What a layer sets beside release, videos and configuration, flat."""
    found: dict[str, Any] = {
        "poll.interval_s": manifest.poll_interval_s,
        "timezone": manifest.timezone or None,
        "connectivity": manifest.connectivity,
    }
    for key in ("maintenance", "bandwidth", "hotspot", "backup"):
        if (value := getattr(manifest, key)) is not None:
            shown = {} if key != "maintenance" else _fixtures(value)
            found |= flat(msgspec.to_builtins(value, str_keys=True) | shown, key)
    if manifest.restore is not None:
        found["restore"] = manifest.restore
    return {key: value for key, value in found.items() if value is not None}


def _fixtures(maintenance: ManifestMaintenance) -> dict[str, Any]:
    """Fixtures as a person counts them, not one by one."""
    if maintenance.busy_until is None:
        return {"busy": None, "busy_until": None}
    upto = f"{maintenance.busy_until:%Y-%m-%d}"
    return {"busy": f"{len(maintenance.busy)} fixtures until {upto}", "busy_until": None}


def _release(old: SiteManifest, new: SiteManifest) -> Moved | None:
    before, after = old.release, new.release
    if before and after and before.version == after.version and before.tree != after.tree:
        return Moved(old=f"{before.version} ({before.tree[7:15]})", new=f"{after.version} ({after.tree[7:15]})")
    return _moved(before and before.version, after and after.version)


def _tree(manifest: SiteManifest) -> Digest | None:
    return manifest.release.tree if manifest.release else None


def _moved(old: T | None, new: T | None) -> Moved | None:
    return None if old == new else Moved(old=old, new=new)


def _shown(manifest: SiteManifest) -> Iterator[CategoryVideo]:
    for category in manifest.categories:
        yield from _videos_of(category)
    for loop in _LOOPS:
        yield from getattr(manifest.loops, loop)


def _videos_of(category: Category) -> Iterator[CategoryVideo]:
    yield from category.videos
    for inside in category.subcategories:
        yield from inside.videos


def _video(path: str, size_bytes: int, shown: Mapping[str, CategoryVideo]) -> VideoChange:
    entry = shown.get(path)
    if entry is None:
        return VideoChange(path=path, size_bytes=size_bytes)
    return VideoChange(path=path, video=entry.video_id, name=entry.name, size_bytes=size_bytes)


def _days(entry: CategoryVideo) -> str:
    if entry.from_ is None and entry.until is None:
        return "always"
    return f"{entry.from_ or '…'} to {entry.until or '…'}"


def _categories(old: Sequence[Category], new: Sequence[Category]) -> list[CategoryChange]:
    before, after = {c.id: c for c in old}, {c.id: c for c in new}
    found = [_category(before.get(key), after.get(key)) for key in sorted(before.keys() | after.keys())]
    return [change for change in found if change is not None]


def _category(old: Category | None, new: Category | None) -> CategoryChange | None:
    if old == new:
        return None
    had = {v.path for v in _videos_of(old)} if old else set[str]()
    has = {v.path for v in _videos_of(new)} if new else set[str]()
    known = new or old
    assert known is not None
    return CategoryChange(
        id=known.id,
        name=known.name,
        what="changed" if old and new else "added" if new else "removed",
        videos_added=len(has - had),
        videos_removed=len(had - has),
        blocks=_moved(old.blocks, new.blocks) if old and new else None,
        named=_moved(old.name, new.name) if old and new else None,
    )


def _loops(old: Loops, new: Loops) -> list[LoopChange]:
    return [change for loop in _LOOPS if (change := _loop(loop, getattr(old, loop), getattr(new, loop)))]


def _loop(loop: str, old: Sequence[CategoryVideo], new: Sequence[CategoryVideo]) -> LoopChange | None:
    had, has = {v.path: v.name for v in old}, {v.path: v.name for v in new}
    added = [has[path] for path in has if path not in had]
    removed = [had[path] for path in had if path not in has]
    return LoopChange(loop=loop, added=added, removed=removed) if added or removed else None


def _operation(operation: ManifestOperation) -> OperationChange:
    return OperationChange(
        id=operation.id, action=operation.action, service=operation.service, not_after=operation.not_after
    )
