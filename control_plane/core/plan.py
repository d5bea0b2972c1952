"""Two compiled fleets and what boxes last reported -> the blast radius of a change, before it is made.

One function serves the command line, the check of a pull request and the server. Sites with the same change are one
`Change`; what is shared is compared once. What could not be known is said in `unknown`, never guessed.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from control_plane.core.compile import CompiledFleet, CompiledSite, changed_sites
from control_plane.core.guards import Impact, Verdict, allowance_of, judge_impact
from control_plane.core.plan_cautions import Caution, Cautions
from control_plane.core.plan_changes import NO_PART, NONE, Differences, Moved, Part, Parts, differences, merged, whole
from control_plane.core.plan_load import NOTHING, Load, Loads, Observed
from control_plane.core.plan_time import AT_ONCE, Clocks, Timing, timing_of
from control_plane.core.plan_waves import Left, Resumed, Rollout, Waves, waves_of
from control_plane.core.validate import fleet_of
from schemas.api import SiteObservation
from schemas.desired import Guards
from schemas.manifest import Instant
from schemas.names import Digest, SiteId
from schemas.windows import Opening

Kind = Literal["removed", "changed", "added", "record"]
"""`record`: the name, the place or the key of a site; its box is told nothing new."""
Key = Literal["added", "removed", "replaced", "revoked"]
_ORDER: Final = {"removed": 0, "changed": 1, "added": 2, "record": 3}


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the same change does to each of `sites`; `download_bytes` are those of all of them."""

    kind: Kind
    sites: list[SiteId]
    state: Moved | None = None
    identity: Key | None = None
    differences: Differences = NONE
    download_bytes: int = 0


class SitePlan(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One site: which of `changes`, what it fetches, and when what interrupts its screen may happen at the latest."""

    name: str
    change: int
    download_bytes: int = 0
    at: Instant | None = None


class Totals(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Counts of sites and bytes; `restarts` are sites whose services restart, `videos_…` distinct files."""

    sites: int
    added: int = 0
    removed: int = 0
    changed: int = 0
    record: int = 0
    states: int = 0
    download_bytes: int = 0
    restarts: int = 0
    releases: int = 0
    agents: int = 0
    videos_added: int = 0
    videos_removed: int = 0
    operations: int = 0


class Plan(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a change will do. `base` and `head` are commits, or words for what is none."""

    base: str
    head: str
    made_at: Instant
    totals: Totals
    impact: Impact
    guard: Verdict
    timing: Timing
    changes: list[Change] = []
    cautions: list[Caution] = []
    rollouts: list[Rollout] = []
    left: list[Left] = []
    resumed: list[Resumed] = []
    unknown: list[str] = []
    observed_at: Instant | None = None
    sites: dict[SiteId, SitePlan] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return not (self.changes or self.rollouts or self.left or self.resumed)


def plan(
    base: CompiledFleet | None,
    head: CompiledFleet,
    observed: Observed | None,
    now: datetime,
    *,
    names: tuple[str, str] = ("", ""),
    messages: Iterable[str] = (),
) -> Plan:
    """What becomes of `base` (None: nothing was published yet) when `head` is published; neither may have errors.

    `messages` are those of the commits between the two, which may carry trailers.
    """
    before = {} if base is None else base.sites
    changed = head.sites.keys() if base is None else changed_sites(base, head)
    messages = list(messages)
    waves = waves_of(base, head, changed, observed, now, messages=messages)
    planner = _Planner(base, head, observed, waves, now)
    for site in sorted(changed | planner.cut_off):
        planner.take(site, before.get(site), head.sites.get(site))
    return planner.finish(names, guards_of(base, head), messages, first=base is None)


def guards_of(base: CompiledFleet | None, head: CompiledFleet) -> list[Guards | None]:
    """The guards that a change must satisfy: of what is published, and its own; a first publication has none."""
    documents = [] if base is None else [fleet_of(fleet.state.reading) for fleet in (base, head)]
    return [document.guards if document else None for document in documents]


class _Group(Struct):
    """A Change in the making."""

    change: Change
    sites: list[SiteId]
    download_bytes: int = 0


class _Planner:
    """Takes sites one by one; parts, differences and loads that sites share are worked out once."""

    def __init__(
        self,
        base: CompiledFleet | None,
        head: CompiledFleet,
        observed: Observed | None,
        waves: Waves,
        now: datetime,
    ):
        self._head, self._observed, self._waves, self._now = head, observed, waves, now
        self._total = 0 if base is None else len(base.sites)
        fresh = set(head.revoked.identities).difference(base.revoked.identities if base else ())
        self.cut_off = {site for site, one in head.sites.items() if one.identity in fresh} if fresh else set[SiteId]()
        self._parts, self._loads, self._clocks = Parts(), Loads(), Clocks(now)
        self._pairs: dict[tuple[object, object], Differences] = {}
        self._wholes: dict[Digest, tuple[Part, Part]] = {}
        self._groups: dict[bytes, _Group] = {}
        self._known: dict[tuple[Any, ...], _Group] = {}
        self._sites: dict[SiteId, tuple[_Group, SitePlan]] = {}
        self._openings: list[Opening] = []
        self._cautions = Cautions(head, observed, now)

    def take(self, site: SiteId, old: CompiledSite | None, new: CompiledSite | None) -> None:
        """Plan one site that came, went or was compiled anew."""
        kind = _kind(old, new) or ("record" if site in self.cut_off else None)
        if kind is None:
            return
        found = self._differences(old, new)
        group = self._group(kind, old, new, found)
        load = self._load(site, old, new)
        opening = self._opening(new, group.change.differences) if new else None
        known = new or old
        assert known is not None
        group.sites.append(site)
        group.download_bytes += load.download
        at = opening.latest if opening else None
        self._sites[site] = (group, SitePlan(name=known.name, change=0, download_bytes=load.download, at=at))
        if new is not None and (group.change.differences is not NONE or group.change.state or group.change.identity):
            self._note(site, old, new, group.change.differences, load)

    def finish(
        self, names: tuple[str, str], guards: Sequence[Guards | None], messages: Iterable[str], *, first: bool
    ) -> Plan:
        """All of it in one value: the gravest changes first, then those of most sites."""
        groups = sorted(self._groups.values(), key=lambda g: (_ORDER[g.change.kind], -len(g.sites), g.sites))
        places = {id(group): number for number, group in enumerate(groups)}
        changes = [msgspec.structs.replace(g.change, sites=g.sites, download_bytes=g.download_bytes) for g in groups]
        impact = _impact(changes, self._total)
        return Plan(
            base=names[0],
            head=names[1],
            made_at=self._now,
            totals=_totals(changes, len(self._head.sites)),
            impact=impact,
            guard=Verdict() if first else judge_impact(impact, guards, allowance_of(messages)),
            timing=timing_of(self._openings, self._now),
            changes=changes,
            cautions=self._cautions.all(),
            rollouts=self._waves.rollouts,
            left=self._waves.left,
            resumed=self._waves.resumed,
            unknown=self._cautions.unknown(),
            observed_at=self._observed.at if self._observed else None,
            sites={
                site: msgspec.structs.replace(one, change=places[id(group)])
                for site, (group, one) in self._sites.items()
            },
        )

    def _differences(self, old: CompiledSite | None, new: CompiledSite | None) -> tuple[Differences, Differences]:
        """Of the shared part and of the site's own; a box that is told to stop changes nothing any more."""
        if new is None or new.state != "active":
            return NONE, NONE
        before, after = old and old.content, new.content
        shared = (before and before.prefix, after.prefix)
        own = (before and before.suffix, after.suffix)
        if shared not in self._pairs:
            parts = (self._parts.prefix(before) if before else NO_PART, self._parts.prefix(after))
            self._pairs[shared] = _differ(*parts)
        if own not in self._pairs:
            parts = (self._parts.suffix(before) if before else NO_PART, self._parts.suffix(after))
            self._pairs[own] = _differ(*parts)
        return self._pairs[shared], self._pairs[own]

    def _group(
        self, kind: Kind, old: CompiledSite | None, new: CompiledSite | None, found: tuple[Differences, Differences]
    ) -> _Group:
        """The group of sites that this change is the same for."""
        state = Moved(old=old.state, new=new.state) if old and new and old.state != new.state else None
        if kind == "added" and new and new.state != "active":
            state = Moved(new=new.state)
        identity = "revoked" if new and new.site in self.cut_off else _key(old, new)
        key = (kind, id(found[0]), id(found[1]), state and (state.old, state.new), identity)
        group = self._known.get(key)
        if group is None:
            change = Change(kind=kind, sites=[], state=state, identity=identity, differences=merged(*found))
            group = self._groups.setdefault(msgspec.json.encode(change), _Group(change, []))
            self._known[key] = group
        return group

    def _load(self, site: SiteId, old: CompiledSite | None, new: CompiledSite | None) -> Load:
        if new is None or new.state != "active":
            return NOTHING
        seen = self._observed.sites.get(site) if self._observed else None
        shared, own = self._held(site, old, seen)
        running = seen.release.tree if seen and seen.release else None
        return self._loads.of(shared, self._parts.prefix(new.content), running) + self._loads.of(
            own, self._parts.suffix(new.content), running
        )

    def _held(self, site: SiteId, old: CompiledSite | None, seen: SiteObservation | None) -> tuple[Part, Part]:
        """What the box is known to hold, in two parts."""
        if self._observed is not None:
            if seen is None or seen.last_report_at is None or seen.generation is None:
                return NO_PART, NO_PART
            if seen.manifest is not None and (old is None or seen.manifest != old.manifest):
                parts = self._whole(seen.manifest)
                if parts is not None:
                    return parts
                self._cautions.not_known(site)
        if old is None:
            return NO_PART, NO_PART
        return self._parts.prefix(old.content), self._parts.suffix(old.content)

    def _whole(self, digest: Digest) -> tuple[Part, Part] | None:
        """A reported manifest as two parts; the first alone has its files, so that each counts once."""
        if digest not in self._wholes:
            manifest = self._observed.manifests.get(digest) if self._observed else None
            if manifest is None:
                return None
            self._wholes[digest] = (whole(manifest), Part(manifest, {}))
        return self._wholes[digest]

    def _opening(self, new: CompiledSite, change: Differences) -> Opening | None:
        """When the site may change; None when nothing happens on its box, or nobody knows when it has its turn."""
        interrupts = change.release or change.agent
        turn = self._waves.turns.get(new.site, AT_ONCE) if interrupts else AT_ONCE
        if change is NONE or turn is None:
            return None
        shared, own = self._parts.prefix(new.content).manifest, self._parts.suffix(new.content).manifest
        maintenance = shared.maintenance or own.maintenance
        if interrupts:
            opening = self._clocks.opening(maintenance, shared.timezone, turn)
        else:
            opening = self._clocks.visible(maintenance, shared.timezone)
        self._openings.append(opening)
        if opening.latest is None and not opening.at_boot and opening.idle_s is None:
            self._cautions.never_opens(new.site)
        return opening

    def _note(self, site: SiteId, old: CompiledSite | None, new: CompiledSite, change: Differences, load: Load) -> None:
        """What a person should know of this site beside the change itself."""
        shared, own = self._parts.prefix(new.content).manifest, self._parts.suffix(new.content).manifest
        self._cautions.look(
            site,
            old,
            new,
            change,
            load,
            target=shared.release or own.release,
            maintenance=shared.maintenance or own.maintenance,
        )


def _differ(before: Part, after: Part) -> Differences:
    if before is after:
        return NONE
    found = differences(before.manifest, after.manifest)
    return NONE if found == NONE else found


def _kind(old: CompiledSite | None, new: CompiledSite | None) -> Kind | None:
    if old is None or new is None:
        return "added" if new else "removed"
    if (old.manifest, old.state) != (new.manifest, new.state):
        return "changed"
    same = (old.identity, old.name, old.facts) == (new.identity, new.name, new.facts)
    return None if same else "record"


def _key(old: CompiledSite | None, new: CompiledSite | None) -> Key | None:
    if old is None or new is None or old.identity == new.identity:
        return None
    if old.identity is None:
        return "added"
    return "replaced" if new.identity else "removed"


def _impact(changes: Sequence[Change], total: int) -> Impact:
    """Sites that are there and that a commit touches; new ones are nobody's loss, and what pages show is none."""
    touched = [c for c in changes if c.kind in ("removed", "changed") or c.identity in ("removed", "replaced")]
    gone = [c for c in changes if c.kind == "removed" or c.identity == "removed" or _retires(c)]
    return Impact(sites=_sites(touched), removals=_sites(gone), total=total)


def _retires(change: Change) -> bool:
    return change.state is not None and change.state.old is not None and change.state.new == "retired"


def _sites(changes: Iterable[Change]) -> int:
    return sum(len(change.sites) for change in changes)


def _totals(changes: Sequence[Change], sites: int) -> Totals:
    kinds = {kind: _sites(c for c in changes if c.kind == kind) for kind in _ORDER}
    moves = [change.differences for change in changes]
    return Totals(
        sites=sites,
        **kinds,
        states=_sites(c for c in changes if c.state),
        download_bytes=sum(change.download_bytes for change in changes),
        restarts=_sites(c for c in changes if c.differences.restarts),
        releases=_sites(c for c in changes if c.differences.release),
        agents=_sites(c for c in changes if c.differences.agent),
        videos_added=len({video.path for move in moves for video in move.videos_added}),
        videos_removed=len({video.path for move in moves for video in move.videos_removed}),
        operations=len({op.id for move in moves for op in move.operations_added}),
    )
