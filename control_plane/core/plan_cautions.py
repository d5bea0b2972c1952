"""What a person should know before a change is merged: boxes on which it will not do what its author hopes."""

from datetime import datetime
from typing import Final, Literal

from msgspec import Struct

from control_plane.core.compile import CompiledFleet, CompiledSite
from control_plane.core.plan_changes import Differences
from control_plane.core.plan_load import Load, Observed, room_bytes
from control_plane.core.plan_words import count, instant, megabytes, short, span
from schemas.api import SiteObservation
from schemas.club import id_beside
from schemas.manifest import ManifestMaintenance, ReleaseTarget
from schemas.names import SiteId, at_least

Code = Literal[
    "DiskTooSmall",
    "RequirementNotMet",
    "ConflictWithClub",
    "ClubHasFile",
    "ClubHasCategory",
    "IdentityRevoked",
    "NoIdentity",
    "NeverReported",
    "Silent",
    "CalendarPassed",
    "NoOpening",
]
_SENTENCES: Final[dict[Code, str]] = {
    "DiskTooSmall": "the disk will not suffice",
    "RequirementNotMet": "the new release does not follow what the box runs",
    "ConflictWithClub": "a club owns a name that is ours, by what its box last said",
    "ClubHasFile": "the club has a file where ours is to lie: its file stays, and ours comes only if it is the same",
    "ClubHasCategory": "the club has a category of that id: it is kept beside ours under another",
    "IdentityRevoked": "the box's identity is revoked: nothing reaches it",
    "NoIdentity": "no box yet: the file names no identity",
    "NeverReported": "its box has never reported",
    "Silent": "its box is silent: it will change when it comes back",
    "CalendarPassed": "the calendar ends before today: fixtures hold nothing back",
    "NoOpening": "no maintenance hours come: the change waits for ever",
}
"""In the order of gravity."""


class Caution(Struct, frozen=True, kw_only=True):
    """Something to know, and of each site concerned what is its own in it."""

    code: Code
    message: str
    sites: dict[SiteId, str]


class Cautions:
    """Gathers cautions and what could not be known, site by site."""

    def __init__(self, head: CompiledFleet, observed: Observed | None, now: datetime) -> None:
        self._revoked = frozenset(head.revoked.identities)
        self._observed, self._now = observed, now
        self._found: dict[Code, dict[SiteId, str]] = {}
        self._not_known: set[SiteId] = set()
        self._untold: set[SiteId] = set()

    def look(
        self,
        site: SiteId,
        old: CompiledSite | None,
        new: CompiledSite,
        change: Differences,
        load: Load,
        *,
        target: ReleaseTarget | None,
        maintenance: ManifestMaintenance | None,
    ) -> None:
        """Look at one site that is to change."""
        seen = self._observed.sites.get(site) if self._observed else None
        if new.state != "active":
            return
        if new.identity is None:
            self._add("NoIdentity", site)
        elif new.identity in self._revoked:
            self._add("IdentityRevoked", site)
        elif self._observed is not None:
            self._look_at_box(site, seen, load)
            self._look_at_club(site, change)
        if change.release and target:
            self._require(site, old, seen, target)
        if maintenance and maintenance.busy_until and maintenance.busy_until < self._now:
            self._add("CalendarPassed", site, f"read until {instant(maintenance.busy_until)}")

    def never_opens(self, site: SiteId) -> None:
        """The site waits for hours that do not come."""
        self._add("NoOpening", site)

    def not_known(self, site: SiteId) -> None:
        """What the box holds was given to it by nobody that we know of."""
        self._not_known.add(site)

    def all(self) -> list[Caution]:
        """The gravest first."""
        return [
            Caution(code=code, message=message, sites=self._found[code])
            for code, message in _SENTENCES.items()
            if code in self._found
        ]

    def unknown(self) -> list[str]:
        """What could not be known, in sentences."""
        if self._observed is None:
            return [
                "what boxes hold already: downloads are counted as if each held all that BASE gives it",
                "free disks, silent boxes, running releases, names that clubs own: the control plane was not asked",
            ]
        found = []
        if self._not_known:
            found.append(
                f"what {len(self._not_known)} boxes hold: the generation that they report is not known here; "
                "they are counted as if they held what BASE gives them"
            )
        if self._untold:
            boxes = count(len(self._untold), "box", "boxes")
            found.append(f"whether a club has a category or file of ours already, on {boxes}: it was not told")
        return found

    def _look_at_box(self, site: SiteId, seen: SiteObservation | None, load: Load) -> None:
        if seen is None or seen.last_report_at is None:
            self._add("NeverReported", site)
            return
        if seen.standing == "Offline":
            self._add("Silent", site, f"for {span((self._now - seen.last_report_at).total_seconds())}")
        if seen.conflicts:
            self._add("ConflictWithClub", site, "; ".join(seen.conflicts))
        room = room_bytes(seen)
        if room is not None and load.stored > room:
            later = f", {megabytes(load.freed)} come free afterwards" if load.freed else ""
            club = self._observed.clubs.get(site) if self._observed else None
            its = f"; the club's own files have {megabytes(club.file_bytes)}" if club and club.file_bytes else ""
            needs = f"needs {megabytes(load.stored)}, has {megabytes(room)} to spare"
            self._add("DiskTooSmall", site, f"{needs}{later}{its}")

    def _look_at_club(self, site: SiteId, change: Differences) -> None:
        """Whether the club has what is to come, by what its box last told."""
        added = [one.id for one in change.categories if one.what == "added"]
        paths = [video.path for video in change.videos_added]
        club = self._observed.clubs.get(site) if self._observed else None
        if club is None:
            if added or paths:
                self._untold.add(site)
            return
        theirs, taken = set(club.categories), {*club.categories, *added}
        kept = [f"{id_} is kept as {id_beside(id_, taken)}" for id_ in added if id_ in theirs]
        if kept:
            self._add("ClubHasCategory", site, short(kept))
        if there := sorted({*paths} & {*club.paths}):
            self._add("ClubHasFile", site, short(there))

    def _require(
        self, site: SiteId, old: CompiledSite | None, seen: SiteObservation | None, target: ReleaseTarget
    ) -> None:
        """Whether the release may follow what the box said that it runs, or what BASE gives it."""
        running = seen.release.version if seen and seen.release else old.release if old else None
        wanted = target.requires_from
        if wanted is None or running is None:
            return
        if not at_least(running, wanted):
            self._add("RequirementNotMet", site, f"runs {running}, {target.version} needs {wanted}")

    def _add(self, code: Code, site: SiteId, detail: str = "") -> None:
        self._found.setdefault(code, {})[site] = detail
