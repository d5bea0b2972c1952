"""The one word for a site: what is desired, what its box last said, and how old that word is, judged by our clock.

The rule above all: nothing is called Synced on old evidence, on evidence about another generation, or on none.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from schemas.api import Standing
from schemas.desired import Connectivity, SiteState
from schemas.status import Condition, Waiting

OFFLINE_AFTER: Final = timedelta(minutes=15)
"""Three reports missed in a row; a box reports at least every five minutes."""
AWAY: Final[Mapping[Connectivity, timedelta]] = {
    "always": timedelta(0),
    "matchdays": timedelta(days=15),
    "rare": timedelta(days=90),
}
"""For so long a box that is not always online may be silent, and it means nothing."""
TAKES_NEWS_WITHIN: Final = timedelta(minutes=15)
"""A box that goes on reporting but has not accepted a newer head by then cannot, or will not."""


REFUSAL: Final = "TrustRefused"
"""The reason of a box that will not believe what we send: an alarm, whatever it runs."""


class Desired(Struct, frozen=True, kw_only=True):
    """What was published for a site; `published_at` is when its generation was."""

    state: SiteState = "active"
    gone: bool = False
    has_identity: bool = True
    revoked: bool = False
    generation: int
    published_at: datetime
    connectivity: Connectivity = "always"


class Reported(Struct, frozen=True, kw_only=True):
    """What a box last said; `received_at` is by our clock, the rest by the box."""

    received_at: datetime
    generation: int | None = None
    head_generation: int | None = None
    conditions: Sequence[Condition] = ()
    waiting: Sequence[Waiting] = ()


class Verdict(Struct, frozen=True, kw_only=True):
    """The word, its CamelCase reason, and one English sentence; `by_box` when reason and sentence are the box's own."""

    standing: Standing
    reason: str
    message: str
    by_box: bool = False


def judge(desired: Desired, reported: Reported | None, now: datetime) -> Verdict:
    """How the site stands at `now`: the first rule that holds, the gravest first."""
    known = _ended(desired, reported) or _mute(desired)
    if known:
        return known
    if reported is None:
        return _verdict("Unknown", "NeverReported", "No box has reported for this site yet.")
    return _silence(desired, reported, now) or _trouble(desired, reported, now) or _progress(desired, reported)


def _mute(desired: Desired) -> Verdict | None:
    """Nobody may speak for the site: whatever was said before counts for nothing."""
    if desired.revoked:
        return _verdict(
            "Unknown", "IdentityRevoked", "The identity of its box was revoked; nobody may speak for the site."
        )
    if not desired.has_identity:
        return _verdict("Unknown", "NoIdentity", "Planned: the site's file names no identity of a box yet.")
    return None


def _silence(desired: Desired, reported: Reported, now: datetime) -> Verdict | None:
    silence = now - reported.received_at
    if silence < -OFFLINE_AFTER:
        return _verdict(
            "Unknown", "ReportFromFuture", "The last report is dated ahead of this server's clock; check it."
        )
    if OFFLINE_AFTER < silence < AWAY[desired.connectivity]:
        return _verdict("Offline", "Away", f"Silent for {_in_words(silence)}, as is usual for this box.")
    if silence > OFFLINE_AFTER:
        return _verdict("Offline", "Silent", f"The box has not reported for {_in_words(silence)}.")
    return None


def _ended(desired: Desired, reported: Reported | None) -> Verdict | None:
    """Retired and suspended sites are called so at once; the sentence says whether their box knows."""
    knows = reported is not None and (reported.head_generation or 0) >= desired.generation
    told = "its box was told" if knows else "its box has not asked since"
    if desired.gone:
        return _verdict("Retired", "Gone" + _heard(knows), f"The site is no longer in Git; {told}.")
    if desired.state == "retired":
        return _verdict("Retired", "Retired" + _heard(knows), f"The site is retired; {told}.")
    if desired.state == "suspended":
        return _verdict("Suspended", "Suspended" + _heard(knows), f"The site is suspended; {told}.")
    return None


def _heard(knows: bool) -> str:
    return "" if knows else "Untold"


def _trouble(desired: Desired, reported: Reported, now: datetime) -> Verdict | None:
    conditions = {condition.type: condition for condition in reported.conditions}
    degraded, healthy = conditions.get("Degraded"), conditions.get("ReleaseHealthy")
    if degraded is not None and degraded.status == "True":
        return _of_box("Degraded", degraded)
    if healthy is not None and healthy.status == "False":
        return _of_box("Degraded", healthy)
    connected = conditions.get("Connected")
    if connected is not None and connected.status == "False" and connected.reason == REFUSAL:
        return _of_box("Degraded", connected)
    if max(reported.generation or 0, reported.head_generation or 0) > desired.generation:
        return _verdict("Degraded", "AheadOfUs", "The box follows a newer generation than this server knows.")
    if _head(reported) < desired.generation and now - desired.published_at > TAKES_NEWS_WITHIN:
        waited = _in_words(now - desired.published_at)
        return _verdict(
            "Degraded", "NewsNotTaken", f"The box reports, but has not taken the news of {waited} ago; see its log."
        )
    return None


def _progress(desired: Desired, reported: Reported) -> Verdict:
    conditions = {condition.type: condition for condition in reported.conditions}
    synced, progressing, connected = (conditions.get(kind) for kind in ("Synced", "Progressing", "Connected"))
    if _head(reported) < desired.generation:
        if connected is not None and connected.status == "False":
            return _of_box("Progressing", connected)
        return _verdict("Progressing", "NewsOnItsWay", "The box has not taken the newest generation yet.")
    if reported.waiting:
        first = reported.waiting[0]
        return _verdict("Progressing", first.reason, first.message or f"{first.step} waits.", by_box=True)
    if progressing is not None and progressing.status == "True":
        return _of_box("Progressing", progressing)
    if (reported.generation or 0) < desired.generation:
        return _verdict("Progressing", "Converging", "The box is converging on the newest generation.")
    return _settled(synced)


def _settled(synced: Condition | None) -> Verdict:
    """The box has committed the newest generation: is everything still as it says?"""
    if synced is not None and synced.status == "True":
        return _verdict("Synced", "Synced", "The box is as desired.")
    if synced is not None and synced.status == "False":
        return _of_box("Progressing", synced)
    return _verdict("Progressing", "NotConfirmed", "The box has not confirmed that it is as desired.")


def _head(reported: Reported) -> int:
    return max(reported.head_generation or 0, reported.generation or 0)


def _verdict(standing: Standing, reason: str, message: str, *, by_box: bool = False) -> Verdict:
    return Verdict(standing=standing, reason=reason, message=message, by_box=by_box)


def _of_box(standing: Standing, condition: Condition) -> Verdict:
    message = condition.message or f"The box says: {condition.reason}."
    return _verdict(standing, condition.reason, message, by_box=True)


def _in_words(span: timedelta) -> str:
    minutes = int(span.total_seconds()) // 60
    if minutes < 120:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 48 * 60 else f"{minutes // 1440} days"
