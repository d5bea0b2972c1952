"""What a round found and did, to what the box says of itself: conditions, differences, what waits, events."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from reconciler_agent.core.attempt import Releases
from reconciler_agent.core.diff import Changes
from schemas.desired import SiteState
from schemas.manifest import SiteManifest
from schemas.status import Boot, Condition, ConditionType, Difference, Event, Reason, Transition, Waiting

MAX_DIFFERENCES: Final = 200
MAX_WAITING: Final = 50
MAX_EVENTS: Final = 100
"""And transitions: each outbox by itself."""
KEPT_FIRST_EVENTS: Final = 20
"""Of a full outbox: that many of the oldest stay, since the first failure explains the rest; then the newest."""

T = TypeVar("T")
Status = Literal["True", "False", "Unknown"]
_CONFIGURATION_DIFFERENCES: Final = 100


class Failure(Struct, frozen=True, kw_only=True):
    """Something that was tried and did not work: the CamelCase reason of its error, and the sentence."""

    reason: Reason
    message: str


class Round(Struct, frozen=True, kw_only=True):
    """What one round came to.

    `state`: of the site, by the newest head; None while no head was ever accepted. `connection`: what keeps the box
    from news; None when it has them. `operations`: those that wait; a box is as desired without them. `failures`: of
    steps, in the order in which they happened. `working`: a step that is under way or goes on in the next round, as a
    sentence. `unhealthy`: what a check of the services found wrong.
    """

    state: SiteState | None
    manifest: SiteManifest | None = None
    changes: Changes = Changes()
    failures: Sequence[Failure] = ()
    waiting: Sequence[Waiting] = ()
    operations: Sequence[Waiting] = ()
    connection: Failure | None = None
    stale: bool = False
    working: str = ""
    unhealthy: Sequence[str] = ()
    releases: Releases = Releases()
    active: str | None = None
    others: Sequence[Difference] = ()


class Told(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a report says apart from figures: told anew when it changes."""

    conditions: list[Condition] = []
    differences: list[Difference] = []
    waiting: list[Waiting] = []


def tell(found: Round, before: Told, now: datetime) -> Told:
    """The words for a round; a condition keeps its `since` while its status stays."""
    since = {c.type: (c.status, c.since) for c in before.conditions}
    made = [_synced(found), _progressing(found), _degraded(found), _connected(found), _release_healthy(found)]
    conditions = []
    for kind, status, reason, message in made:
        known = since.get(kind)
        at = known[1] if known is not None and known[0] == status else now
        conditions.append(Condition(type=kind, status=status, reason=reason, message=message[:2000], since=at))
    return Told(
        conditions=conditions,
        differences=[*_refused_release(found), *found.others, *differences(found.changes)][:MAX_DIFFERENCES],
        waiting=[*found.waiting, *found.operations][:MAX_WAITING],
    )


_Said = tuple[ConditionType, Status, Reason, str]


def _synced(found: Round) -> _Said:
    if found.state is None or (found.state == "active" and found.manifest is None):
        return "Synced", "Unknown", "NoManifest", "No manifest was received yet."
    if found.state != "active":
        return "Synced", "False", found.state.capitalize(), f"The site is {found.state}: the box leaves all as it is."
    if found.failures:
        return "Synced", "False", found.failures[0].reason, found.failures[0].message
    return _synced_or_not_yet(found)


def _synced_or_not_yet(found: Round) -> _Said:
    if found.releases.bad is not None and _wants_bad(found):
        bad = found.releases.bad
        return "Synced", "False", bad.reason, f"Release {bad.target.version} is not running here: {bad.message}"
    if found.waiting:
        return "Synced", "False", found.waiting[0].reason, found.waiting[0].message
    if found.working or found.others or differences(found.changes):
        return "Synced", "False", "Converging", found.working or "The box is not as desired yet."
    return "Synced", "True", "Converged", "The box is as desired."


def _wants_bad(found: Round) -> bool:
    bad, manifest = found.releases.bad, found.manifest
    wanted = manifest.release if manifest is not None else None
    return bad is not None and wanted is not None and wanted.tree == bad.target.tree


def _progressing(found: Round) -> _Said:
    if found.working:
        return "Progressing", "True", "Converging", found.working
    return "Progressing", "False", "AtRest", ""


def _degraded(found: Round) -> _Said:
    if found.releases.held and found.releases.bad is not None:
        bad = found.releases.bad
        message = f"Release {bad.target.version} failed and there is no way back; what plays is left: {bad.message}"
        return "Degraded", "True", "ReleaseHeld", message
    if _wants_bad(found) and found.releases.bad is not None:
        bad, good = found.releases.bad, found.releases.good
        stays = f"; the box went back to {good.version}" if good is not None else ""
        return "Degraded", "True", bad.reason, f"Release {bad.target.version} failed: {bad.message}{stays}"
    if found.failures:
        return "Degraded", "True", found.failures[0].reason, found.failures[0].message
    return "Degraded", "False", "AsExpected", ""


def _connected(found: Round) -> _Said:
    if found.connection is not None and found.connection.reason == "AccessDenied" and found.state is None:
        message = f"The box waits to be let in: its key is to enter Git. {found.connection.message}"
        return "Connected", "False", "AwaitingAcceptance", message
    if found.connection is not None:
        return "Connected", "False", found.connection.reason, found.connection.message
    if found.stale:
        return "Connected", "False", "HeadExpired", "The newest accepted head has expired; the box goes on with it."
    return "Connected", "True", "Polling", ""


def _release_healthy(found: Round) -> _Said:
    if found.active is None:
        return "ReleaseHealthy", "Unknown", "NoRelease", "No release of ours is active."
    if found.releases.attempt is not None:
        return "ReleaseHealthy", "Unknown", "Testing", f"Release {found.releases.attempt.target.version} is on trial."
    if found.unhealthy:
        return "ReleaseHealthy", "False", "ReleaseUnhealthy", "; ".join(found.unhealthy)
    return "ReleaseHealthy", "True", "Healthy", ""


def _refused_release(found: Round) -> list[Difference]:
    """The release that the manifest wants and that failed here: no step leads there, and yet it differs."""
    bad, good = found.releases.bad, found.releases.good
    if bad is None or not _wants_bad(found):
        return []
    observed = good.version if good is not None else "not healthy"
    return [Difference(kind="release", what="release", desired=bad.target.version, observed=observed)]


def differences(changes: Changes) -> list[Difference]:
    """What is not as desired, in words for the page; files that only wait to be removed are none."""
    found = [
        Difference(kind="content", what=file.path, desired=file.digest[:19], observed="missing or different")
        for file in changes.fetch
    ]
    found += [
        Difference(kind=_kind(path), what=path, desired="open to the box's services", observed="closed to them")
        for path in changes.open_up
    ]
    found += list(changes.configuration_differences)[:_CONFIGURATION_DIFFERENCES]
    if changes.configure and not changes.configuration_differences:
        found.append(Difference(kind="configuration", what="configuration.json", observed="the screen was not told"))
    if (target := changes.activate or changes.unmet or changes.switched_off) is not None:
        found.append(Difference(kind="release", what="release", desired=target.version, observed="another"))
    found += [
        Difference(kind="release", what=path, desired="as released", observed="changed on the box (LocalOverride)")
        for path in (*changes.restore, *changes.repair)
    ]
    found += [Difference(kind="service", what=unit, desired="running", observed="stopped") for unit in changes.start]
    found += [
        Difference(kind="service", what=unit, desired="as desired", observed="runs or shows what was replaced")
        for unit in changes.restart
    ]
    return found


def _kind(path: str) -> Literal["content", "configuration", "release"]:
    """What a path under the root is of."""
    if path.startswith("releases/"):
        return "release"
    return "content" if path.startswith("videos") else "configuration"


def enqueue(events: Sequence[T], new: Iterable[T]) -> list[T]:
    """The bounded outbox with `new` at its end: when it is full, the first ones and the newest stay."""
    queued = [*events, *new]
    if len(queued) <= MAX_EVENTS:
        return queued
    return queued[:KEPT_FIRST_EVENTS] + queued[KEPT_FIRST_EVENTS - MAX_EVENTS :]


def acknowledge(events: Sequence[Event], number: int) -> list[Event]:
    """The outbox after the server took every event up to `number`."""
    return [event for event in events if event.number > number]


def numbered(last: int, now: datetime, *said: tuple[Literal["info", "warning", "error"], Reason, str]) -> list[Event]:
    """Events that follow number `last`."""
    return [
        Event(number=last + place, at=now, severity=severity, reason=reason, message=message[:2000])
        for place, (severity, reason, message) in enumerate(said, start=1)
    ]


def transitions(before: Told, after: Told, boot: Boot, uptime_s: float) -> list[Transition]:
    """The conditions that came to another status or reason, as they are told to who remembers them."""
    was = {c.type: (c.status, c.reason) for c in before.conditions}
    return [
        Transition(
            boot=boot.id,
            uptime_s=uptime_s,
            at=boot.started_at + timedelta(seconds=uptime_s),
            certain=boot.certain,
            type=c.type,
            status=c.status,
            reason=c.reason,
            message=c.message[:300],
        )
        for c in after.conditions
        if was.get(c.type) != (c.status, c.reason)
    ]


def at_rest(told: Told, now: datetime) -> Told:
    """The same words, as they would be told by an agent that has only started: nothing is under way."""
    conditions = [
        replace(c, status="False", reason="AtRest", message="", since=now) if c.type == "Progressing" else c
        for c in told.conditions
    ]
    return replace(told, conditions=conditions)
