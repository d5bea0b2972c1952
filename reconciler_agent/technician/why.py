"""`neopro-agent why THING`: whose a file, a release or a key of the configuration is on this box, and why it is so."""

import json
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from msgspec import Struct

from reconciler_agent.converge import REMOVAL_GRACE
from reconciler_agent.core.changes import referenced_paths
from reconciler_agent.core.diff import wanted_content
from reconciler_agent.core.merge import CLUB_ONLY, is_central
from reconciler_agent.errors import DiskFault
from reconciler_agent.resources.configuration_file import MAX_BYTES, PATH
from reconciler_agent.resources.trees import CURRENT, FOLDER, LINKS, Trees
from reconciler_agent.state import Installed
from reconciler_agent.technician.sight import Sight
from schemas.manifest import CategoryVideo, SiteManifest
from schemas.names import SiteId
from schemas.status import Difference, Waiting

Owner = Literal["fleet", "club", "agent", "nobody"]
RELEASE: Final = "release"


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`owner`: who decides about the thing; `nobody`: no such thing is known here. `because`: sentences."""

    site: SiteId
    thing: str
    owner: Owner
    because: list[str]
    differences: list[Difference] = []
    waiting: list[Waiting] = []

    @property
    def lines(self) -> list[str]:
        """The same for a person."""
        words = {
            "fleet": "the fleet decides about it",
            "club": "it is the club's: the agent leaves it alone",
            "agent": "the agent's own",
            "nobody": "nothing of that name is known on this box",
        }
        lines = [f"{self.thing}: {words[self.owner]}", *(f"  {sentence}" for sentence in self.because)]
        for one in self.differences:
            lines.append(f"  differs: {one.what}: {one.observed or 'as it is'}, wanted: {one.desired or 'otherwise'}")
        return lines + [f"  waits: {one.message or one.step}" for one in self.waiting]


class _Said(NamedTuple):
    owner: Owner
    because: list[str]


def why(sight: Sight, asked: str) -> Answer:
    """Why a thing is as it is: `release`, a path under the box's root, the id of a video or a category, a key."""
    thing = _thing(sight, asked)
    tried = (_release, _content, _released_file, _configuration, _club_file)
    said = next((found for look in tried if (found := look(sight, thing)) is not None), _Said("nobody", []))
    told = sight.state.told if sight.state is not None else None
    return Answer(
        site=sight.settings.site,
        thing=thing,
        owner=said.owner,
        because=said.because,
        differences=[one for one in told.differences if _concerns(one.what, thing)] if told else [],
        waiting=[one for one in told.waiting if _concerns(one.step, thing)] if told else [],
    )


def _thing(sight: Sight, asked: str) -> str:
    """The thing as a path beneath the root, if it is one."""
    path = posixpath.normpath(asked.strip().encode("utf-8", "replace").decode())
    return path.removeprefix(str(sight.settings.root)).lstrip("/")


def _stands_at(sight: Sight, path: str) -> bool:
    """Whether something is there; no path leads out of the root."""
    if sight.box is None or path in ("", ".") or ".." in path.split("/") or "\0" in path:
        return False
    try:
        return sight.box.stat(path) is not None
    except DiskFault:
        return False


def _concerns(words: str, thing: str) -> bool:
    return thing.lower() in words.lower() or (thing == RELEASE and words.lower().startswith(RELEASE))


# Releases


def _release(sight: Sight, thing: str) -> _Said | None:
    state, manifest = sight.state, sight.manifest
    if state is None:
        return None
    known, wanted = state.releases, manifest.release if manifest is not None else None
    versions = {target.version for target in (wanted, known.good, known.previous) if target is not None}
    if known.bad is not None:
        versions.add(known.bad.target.version)
    if thing != RELEASE and thing not in versions:
        return None
    wish = f"wants release {wanted.version}" if wanted is not None else "names no release"
    because = [f"The fleet {wish}{_origin(sight)}."]
    if known.good is not None:
        because.append(f"Release {known.good.version} is in force: it passed its health check here.")
    if known.previous is not None:
        because.append(f"Release {known.previous.version} was in force before, and is kept to go back to.")
    if known.attempt is not None:
        because.append(f"Release {known.attempt.target.version} is being tried ({known.attempt.phase}).")
    if known.bad is not None:
        bad = known.bad
        because.append(f"Release {bad.target.version} failed here ({bad.reason}) and is not tried again: {bad.message}")
    return _Said("fleet" if wanted or known.good else "club", because)


def _released_file(sight: Sight, thing: str) -> _Said | None:
    box, store = sight.box, sight.store
    if box is None or store is None:
        return None
    trees = Trees(box, store)
    name = trees.active_name()
    inner = thing.removeprefix(f"{CURRENT}/").removeprefix(f"{FOLDER}/{name}/")
    if thing in (CURRENT, *LINKS) and box.link_target(thing):
        return _Said("fleet", [f"It leads to {box.link_target(thing)}, by which releases are switched at once."])
    digest = next((digest for digest, known in trees.names().items() if known == name), None)
    listing = store.listing(digest) if digest is not None else None
    file = next((file for file in listing.files if file.path == inner), None) if listing is not None else None
    if file is None or name is None:
        return None
    folder = f"{FOLDER}/{name}"
    sound = trees.check(folder, file) is not None and trees.has_mode(folder, file)
    standing = "It is as released." if sound else "It is not as released: the agent puts it back (LocalOverride)."
    return _Said("fleet", [f"It is a file of {name}, sha256 {file.digest[7:19]}….", standing])


# Content


def _content(sight: Sight, thing: str) -> _Said | None:
    """A file under `videos/`, by its path, the end of its path, or the id of its video."""
    state, manifest = sight.state, sight.manifest
    ledger: Mapping[str, Installed] = state.ledger if state is not None else {}
    uses = list(_uses(manifest)) if manifest is not None else []
    wanted = {file.path: file for file in manifest.content} if manifest is not None else {}
    paths = sorted(p for p in {*wanted, *ledger} if p == thing or p.endswith(f"/{thing}"))
    paths = paths or sorted({use.video.path for use in uses if use.video.video_id == thing})
    if not paths:
        return None
    because: list[str] = []
    for path in paths:
        places = [use.words for use in uses if use.video.path == path]
        because += [f"{path}: the fleet wants it{_origin(sight)}: {words}." for words in places]
        because += _standing(sight, path, ledger.get(path))
    return _Said("fleet", because)


class _Use(NamedTuple):
    """A place in which the fleet shows a video."""

    video: CategoryVideo
    words: str


def _uses(manifest: SiteManifest) -> Iterator[_Use]:
    for category in manifest.categories:
        yield from (_use(v, f"category {category.name}") for v in category.videos)
        for sub in category.subcategories:
            yield from (_use(v, f"category {category.name}, {sub.name}") for v in sub.videos)
    loops = manifest.loops
    for name in ("sponsors", "before", "during", "after"):
        videos: list[CategoryVideo] = getattr(loops, name)
        place = "the default loop" if name == "sponsors" else f"the loop {name} a match"
        yield from (_use(v, place) for v in videos)


def _use(video: CategoryVideo, place: str) -> _Use:
    days = [f"from {video.from_}"] if video.from_ else []
    days += [f"until {video.until}"] if video.until else []
    return _Use(video, " ".join([f"video {video.video_id} in {place}", *days]))


def _standing(sight: Sight, path: str, entry: Installed | None) -> Iterator[str]:
    """How a file stands on the disk."""
    box, manifest = sight.box, sight.manifest
    there = _stands_at(sight, path)
    if entry is None:
        yield "It is not here yet." if not there else "Another file stands in its place, which is not the fleet's."
        return
    if not there:
        yield "It is not here (yet): the agent fetches it."
    elif box is not None:
        yield (
            "It is here, and its bytes are the right ones."
            if _digest(sight, path) == entry.digest
            else ("It is here, and its bytes are others: the agent fetches it again.")
        )
    if manifest is not None and path not in wanted_content(manifest, sight.today):
        yield _unneeded(sight, path, entry)


def _unneeded(sight: Sight, path: str, entry: Installed) -> str:
    value = _read_configuration(sight)
    if value is not None and path in referenced_paths(value):
        return "Nothing of the fleet wants it today, but the configuration names it: it stays."
    if entry.unneeded_at is None:
        return "Nothing of the fleet wants it today: its grace begins with the next round."
    over = entry.unneeded_at + REMOVAL_GRACE
    return f"Nothing wants it since {entry.unneeded_at:%Y-%m-%d %H:%M} UTC: it is removed from {over:%H:%M} on."


def _digest(sight: Sight, path: str) -> str | None:
    try:
        return sight.box.digest(path) if sight.box is not None else None
    except DiskFault:
        return None


def _club_file(sight: Sight, thing: str) -> _Said | None:
    """What else lies beneath the root."""
    if not _stands_at(sight, thing):
        return None
    if thing == PATH or thing.endswith("/configuration.json"):
        return _Said(
            "club", ["Items marked `locked` or `owner: neopro` in it are the fleet's, the rest is the club's."]
        )
    if thing.startswith("data/agent"):
        return _Said("agent", ["Staging, downloads that go on, and what was played until it is handed over."])
    return _Said("club", ["No release and no manifest of the fleet names it."])


# Configuration


def _configuration(sight: Sight, thing: str) -> _Said | None:
    """A key of the configuration (`a.b` or `a/b`), or the id of a category."""
    keys = thing.replace("/", ".").split(".")
    manifest, value = sight.manifest, _read_configuration(sight)
    category = next((c for c in manifest.categories if c.id == thing), None) if manifest is not None else None
    if category is not None:
        count = len(category.videos) + sum(len(sub.videos) for sub in category.subcategories)
        return _Said("fleet", [f"The fleet shows category {category.name}{_origin(sight)}: {count} videos."])
    desired = _at(manifest.config, keys) if manifest is not None else None
    if desired is not None and keys[0] not in CLUB_ONLY:
        return _Said("fleet", [f"The fleet sets it to {_brief(desired)}{_origin(sight)}.", *_stands(value, keys)])
    item = next((c for c in _items(value) if c.get("id") == thing or c.get("name") == thing), None)
    if item is not None:
        owner: Owner = "fleet" if is_central(item) else "club"
        return _Said(owner, [f"It is a category of the configuration: {item.get('name')}."])
    if value is None or _at(value, keys) is None:
        return None
    return _Said("club", ["It stands in the configuration, and the fleet sets nothing there.", *_stands(value, keys)])


def _stands(value: Any, keys: list[str]) -> list[str]:
    """What stands there; nothing of `auth` or of what looks like a secret is shown."""
    secret = any(word in ".".join(keys).lower() for word in ("auth", "password", "secret", "token"))
    found = _at(value, keys)
    if found is None:
        return ["It is not in the configuration now."]
    return ["Its value is not shown."] if secret else [f"It is {_brief(found)} now."]


def _at(value: Any, keys: list[str]) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _items(value: Any) -> list[dict[str, Any]]:
    found = value.get("categories") if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _brief(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:120]


def _read_configuration(sight: Sight) -> dict[str, Any] | None:
    try:
        value = json.loads((sight.box.read(PATH, MAX_BYTES) if sight.box is not None else None) or b"")
    except (DiskFault, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _origin(sight: Sight) -> str:
    head = sight.head
    return f" (generation {head.generation}, commit {head.commit[:12]})" if head is not None else ""
