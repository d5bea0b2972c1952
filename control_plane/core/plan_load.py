"""What a box must fetch and where it will lie: bytes over the line, bytes on the disk.

A box is taken to hold what the manifest of the generation that it reported names; where it reported none that is known,
what the base gives it, and the plan says so.
"""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime

from msgspec import Struct

from control_plane.core.plan_changes import NO_PART, Part
from control_plane.core.rollout import HEARD_WITHIN, Rollout
from schemas.api import ClubNames, SiteObservation
from schemas.manifest import ReleaseTarget, SiteManifest
from schemas.names import Digest, SiteId


class Observed(Struct, frozen=True, kw_only=True):
    """What boxes last reported, and the manifests of the generations that they did (as far as they could be read).

    `clubs`: what their clubs own, of those that told. `rollouts`: those under way.
    """

    at: datetime
    sites: Mapping[SiteId, SiteObservation]
    manifests: Mapping[Digest, SiteManifest]
    clubs: Mapping[SiteId, ClubNames] = {}
    rollouts: Sequence[Rollout] = ()

    @property
    def heard(self) -> Set[SiteId]:
        """The sites whose boxes spoke lately enough to be among the first of a rollout."""
        since = self.at - HEARD_WITHIN
        return {site for site, one in self.sites.items() if one.last_report_at and one.last_report_at >= since}


class Load(Struct, frozen=True, kw_only=True):
    """Bytes of one site: `download` over the line, `stored` beside what is there, `freed` when all is done."""

    download: int = 0
    stored: int = 0
    freed: int = 0

    def __add__(self, other: "Load") -> "Load":
        return Load(
            download=self.download + other.download,
            stored=self.stored + other.stored,
            freed=self.freed + other.freed,
        )


NOTHING = Load()


class Loads:
    """The load of every site, what is shared worked out once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int, Digest | None], Load] = {}

    def of(self, have: Part, want: Part, running: Digest | None) -> Load:
        """What a box with the part `have`, running the release tree `running`, needs for the part `want`."""
        key = (id(have), id(want), running)
        load = self._known.get(key)
        if load is None:
            load = self._known[key] = _load(have, want, running)
        return load


def _load(have: Part, want: Part, running: Digest | None) -> Load:
    new = sum(size for digest, size in want.files.items() if digest not in have.files)
    old = sum(size for digest, size in have.files.items() if digest not in want.files)
    release = _release(have.manifest.release, want.manifest.release, running)
    agent = _agent(have, want)
    return Load(download=new, stored=new, freed=old if want is not NO_PART else 0) + release + agent


def _release(have: ReleaseTarget | None, want: ReleaseTarget | None, running: Digest | None) -> Load:
    """A tree is laid down whole beside the one that runs; a patch only saves the line."""
    held = {tree for tree in (have and have.tree, running) if tree}
    if want is None or want.tree in held:
        return NOTHING
    patches = [patch.size_bytes for patch in want.patches if patch.base in held]
    return Load(download=min(patches, default=want.size_bytes), stored=want.size_bytes)


def _agent(have: Part, want: Part) -> Load:
    old, new = have.manifest.agent, want.manifest.agent
    if new is None or (old is not None and old.tree == new.tree):
        return NOTHING
    return Load(download=new.size_bytes, stored=new.size_bytes)


def room_bytes(seen: SiteObservation | None) -> int | None:
    """What a box may still store: what it last reported as free, less the tenth that it keeps; None: not reported."""
    if seen is None or seen.disk_free_bytes is None or seen.disk_total_bytes is None:
        return None
    return max(0, seen.disk_free_bytes - seen.disk_total_bytes // 10)
