"""Resolved sites -> compiled sites, each shared part encoded once."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from control_plane.core.fixtures import Calendar
from control_plane.core.manifests import (
    Body,
    Library,
    Prefix,
    PrefixKey,
    make_body,
    make_prefix,
    prefix_key,
)
from control_plane.core.operations import Concerned, Operations
from control_plane.core.reading import Changes, Reading
from control_plane.core.rollout import Held, Wish
from control_plane.core.sites import GroupKeys, SiteRecord, Sites
from control_plane.core.suffixes import Desk, Own, make_suffix
from control_plane.core.validate import fleet_of
from schemas.desired import AgentRelease, Operation, Release, SiteState, Video, VideoSet
from schemas.names import Digest, DocumentId, PublicKeyLine, SiteId, Version


class CompiledSite(Struct, frozen=True, kw_only=True, gc=False):
    """What one site is to be; `facts` (club, place, sports, groups …) are for pages.

    `rollout`: the policy by which another release or agent is to come to it.
    """

    site: SiteId
    name: str
    state: SiteState
    identity: PublicKeyLine | None
    release: Version | None
    agent: Version | None
    rollout: DocumentId | None
    facts: dict[str, Any]
    content: Body

    @property
    def manifest(self) -> Digest:
        """The digest of `body`."""
        return self.content.digest

    @property
    def wish(self) -> Wish | None:
        """What rollouts go by; None where no box takes part: it is retired, or only planned.

        One that is suspended keeps its turn, or it would come back to what halted meanwhile.
        """
        if self.state == "retired" or self.identity is None:
            return None
        return Wish(self.release, self.agent, self.rollout)

    @property
    def body(self) -> bytes:
        """The manifest's exact bytes, joined anew each time: sites share most of them."""
        return self.content.join()


class Rendering(Struct, frozen=True):
    """Compiled sites; `stale` are those that are not yet what the newest reading says, because it had errors.

    `users` is how many sites have a prefix, `naming` how many prefixes and sites name a blob; nothing has none.
    `changed` are the sites that came, went or were compiled anew since they were `base`.
    """

    sites: dict[SiteId, CompiledSite]
    stale: frozenset[SiteId]
    prefixes: dict[PrefixKey, Prefix]
    users: dict[Prefix, int]
    naming: dict[Digest, int]
    base: dict[SiteId, CompiledSite]
    changed: frozenset[SiteId]


NO_RENDERING: Final = Rendering({}, frozenset(), {}, {}, {}, {}, frozenset())


def render(
    reading: Reading,
    changes: Changes,
    sites: Sites,
    dirty: set[SiteId],
    *,
    operations: Operations,
    previous: Rendering | None,
    failed: bool,
) -> Rendering:
    """Compile the sites that are other than before; none when the commit has `failed`."""
    before = NO_RENDERING if previous is None else previous
    touched = _touched_sets(reading, changes)
    versions = {name for folder, name in changes.documents if folder == "releases"}
    prefixes = before.prefixes.copy()
    if versions or touched:
        prefixes = {k: p for k, p in prefixes.items() if k[2] not in versions and touched.isdisjoint(k[3])}
    stale = before.stale | dirty | _holding(sites, touched) | _with_other_suffixes(sites, changes, operations.concerned)
    if failed:
        return replace(before, stale=stale, prefixes=prefixes)
    if len(prefixes) > 2 * len(before.sites) + 64:
        live = {prefix_key(record.resolved, record.document.timezone) for record in sites.records.values()}
        prefixes = {key: prefix for key, prefix in prefixes.items() if key in live}
    renderer = _Renderer(reading, operations, prefixes)
    compiled, users, naming = before.sites.copy(), before.users.copy(), before.naming.copy()
    for name in sorted(stale):
        old, record = compiled.get(name), sites.records.get(name)
        if record is not None:
            compiled[name] = new = renderer.site(name, record)
            _count_up(users, naming, new.content)
        if old is not None:
            _count_down(users, naming, old.content)
            if record is None:
                del compiled[name]
    return Rendering(compiled, frozenset(), prefixes, users, naming, before.sites, stale)


def render_held(
    reading: Reading, sites: Sites, operations: Operations, rendering: Rendering, held: Mapping[SiteId, Held]
) -> dict[SiteId, CompiledSite]:
    """These sites with another release or agent than they resolve to, and all else as they resolve to it.

    The documents of those must be in the reading.
    """
    renderer = _Renderer(reading, operations, rendering.prefixes.copy())
    return {name: renderer.site(name, _hold(sites.records[name], one)) for name, one in held.items()}


def _hold(record: SiteRecord, held: Held) -> SiteRecord:
    resolved = record.resolved
    release, agent = held.release or resolved.release, held.agent or resolved.agent
    return replace(record, resolved=replace(resolved, release=release, agent=agent))


def _count_up(users: dict[Prefix, int], naming: dict[Digest, int], body: Body) -> None:
    """One more site has the body."""
    known = users.get(body.prefix, 0)
    users[body.prefix] = known + 1
    _count(naming, body.named)
    if not known:
        _count(naming, body.prefix.digests)


def _count_down(users: dict[Prefix, int], naming: dict[Digest, int], body: Body) -> None:
    """One site fewer has it."""
    users[body.prefix] -= 1
    _uncount(naming, body.named)
    if not users[body.prefix]:
        del users[body.prefix]
        _uncount(naming, body.prefix.digests)


def _count(naming: dict[Digest, int], digests: frozenset[Digest]) -> None:
    for digest in digests:
        naming[digest] = naming.get(digest, 0) + 1


def _uncount(naming: dict[Digest, int], digests: frozenset[Digest]) -> None:
    for digest in digests:
        naming[digest] -= 1
        if not naming[digest]:
            del naming[digest]


def _touched_sets(reading: Reading, changes: Changes) -> set[str]:
    """Video sets that changed, or that hold a video that did."""
    videos = {name for folder, name in changes.documents if folder == "videos"}
    touched = {name for folder, name in changes.documents if folder == "video-sets"}
    if videos:
        for name in reading.named("video-sets"):
            document = reading.document("video-sets", name)
            if isinstance(document, VideoSet) and not videos.isdisjoint(_videos_of(document)):
                touched.add(name)
    return touched


def _videos_of(video_set: VideoSet) -> Iterator[str]:
    return (item if isinstance(item, str) else item.video for item in video_set.videos)


def _holding(sites: Sites, touched: set[str]) -> set[SiteId]:
    """Sites that resolve to one of these sets; each combination of sets is looked at once."""
    if not touched:
        return set()
    hit: dict[tuple[str, ...], bool] = {}
    found = set()
    for name, record in sites.records.items():
        combination = record.resolved.video_sets
        if combination not in hit:
            hit[combination] = not touched.isdisjoint(combination)
        if hit[combination]:
            found.add(name)
    return found


def _with_other_suffixes(sites: Sites, changes: Changes, concerned: Concerned) -> set[SiteId]:
    """Sites for which an operation, an agent, a calendar or the recovery key is another one than before."""
    agents = {name for folder, name in changes.documents if folder == "agents"}
    calendars = {name for folder, name in changes.documents if folder == "calendars"}
    recovery = ("", "fleet.yaml") in changes.documents
    found = {name for name in concerned.sites if name in sites.records}
    if not (agents or calendars or recovery or concerned.groups):
        return found
    for name, record in sites.records.items():
        resolved = record.resolved
        if (
            resolved.agent in agents
            or (recovery and resolved.backup is not None)
            or (calendars and resolved.maintenance and not calendars.isdisjoint(resolved.maintenance.calendars))
            or (concerned.groups and any(group in concerned.groups for _, group in record.groups))
        ):
            found.add(name)
    return found


T = TypeVar("T", Release, VideoSet, Video, AgentRelease, Operation, Calendar)


class _Folder(Mapping[str, T]):
    """The documents of a folder by id; only for names that have been checked to exist."""

    def __init__(self, reading: Reading, folder: str, kind: type[T]) -> None:
        self._reading = reading
        self._folder = folder
        self._kind: type[T] = kind

    def __getitem__(self, name: str) -> T:
        document = self._reading.document(self._folder, name)
        if not isinstance(document, self._kind):
            raise KeyError(name)
        return document

    def __iter__(self) -> Iterator[str]:
        return iter(self._reading.named(self._folder))

    def __len__(self) -> int:
        return len(self._reading.named(self._folder))


def _facts(record: SiteRecord) -> dict[str, Any]:
    """What pages show and filter by; who may see the site and when its box is expected only where that is said."""
    document, place = record.document, record.document.location
    facts: dict[str, Any] = {
        "club": document.club,
        "city": place.city,
        "region": place.region,
        "country": place.country,
        "sports": document.sports,
        "groups": [group for _, group in record.groups],
        "video_sets": list(record.resolved.video_sets),
        "timezone": document.timezone,
    }
    if record.resolved.alerts is not None:
        facts["alerts"] = msgspec.to_builtins(record.resolved.alerts)
    if place.lat is not None and place.lon is not None:
        facts["at"] = [place.lat, place.lon]
    if document.hardware is not None:
        facts["hardware"] = document.hardware
    if document.labels:
        facts["labels"] = document.labels
    if document.contact is not None:
        facts["contact"] = {key: said for key, said in msgspec.to_builtins(document.contact).items() if said}
    if document.tenant is not None:
        facts["tenant"] = document.tenant
    if record.resolved.connectivity is not None:
        facts["connectivity"] = record.resolved.connectivity
    return facts


class _Renderer:
    """Compiles the sites of one reading."""

    def __init__(self, reading: Reading, operations: Operations, prefixes: dict[PrefixKey, Prefix]) -> None:
        self._library = Library(
            _Folder(reading, "releases", Release),
            _Folder(reading, "video-sets", VideoSet),
            _Folder(reading, "videos", Video),
            {},
        )
        fleet = fleet_of(reading)
        self._desk = Desk(
            _Folder(reading, "agents", AgentRelease),
            _Folder(reading, "calendars", Calendar),
            _Folder(reading, "operations", Operation),
            None if fleet is None else fleet.recovery,
            {},
        )
        self._operations = operations
        self._prefixes = prefixes
        self._bodies: dict[tuple[GroupKeys, Own, Version | None, Version | None], Body] = {}

    def site(self, name: SiteId, record: SiteRecord) -> CompiledSite:
        """Compile one site."""
        document = record.document
        return CompiledSite(
            site=name,
            name=document.name,
            state=document.state,
            identity=document.identity,
            release=record.resolved.release,
            agent=record.resolved.agent,
            rollout=record.resolved.rollout,
            facts=_facts(record),
            content=self._body(name, record),
        )

    def _body(self, name: SiteId, record: SiteRecord) -> Body:
        document = record.document
        operations = self._operations.of(name, record.groups)
        own = Own(timezone=document.timezone, operations=operations, restore=document.restore)
        if not record.shares:
            return self._make(record, own)
        key = (record.groups, own, record.resolved.release, record.resolved.agent)
        body = self._bodies.get(key)
        if body is None:
            body = self._bodies[key] = self._make(record, own)
        return body

    def _make(self, record: SiteRecord, own: Own) -> Body:
        key = prefix_key(record.resolved, own.timezone)
        prefix = self._prefixes.get(key)
        if prefix is None:
            prefix = self._prefixes[key] = make_prefix(key, self._library)
        return make_body(prefix, make_suffix(record.resolved, own, self._desk))
