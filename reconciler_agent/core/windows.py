"""May a step run now, and if not, why and until when?

    kind            waits for a window    for fixtures    for the end of a match    such as
    disruptive      yes                   yes             yes                       another release, a restart
    visible         with `bind_visible`   yes             yes                       a changed configuration
    recovering      no                    no              yes                       what was begun goes on; what is lost
                                                                                    comes back

What is of none of these kinds (downloads, staging, the way back to the last good release) never waits. Deny wins: a
match holds whatever is open. Without any maintenance in the manifest only a match holds.

Hours of the week and fixtures count on a clock that can be relied on. Where there is none, `at_boot`, `idle` and
`max_deferral` are what opens: the last by the time that has surely passed (the trust state's floor).
"""

from datetime import datetime, timedelta, tzinfo
from typing import Final, Literal

from msgspec import Struct

from reconciler_agent.core.screen import ScreenState
from schemas.manifest import ManifestMaintenance
from schemas.status import Reason
from schemas.windows import free_from, is_busy, is_open, next_opening

Kind = Literal["disruptive", "visible", "recovering"]

AT_BOOT_S: Final = 300.0
"""`at_boot` lasts so long after the machine was started, while no remote is connected: nobody has played anything."""


class Present(Struct, frozen=True, kw_only=True):
    """What the box knows of the present.

    `at`: the time of day, None on a clock that cannot be relied on. `floor_at`: the instant that has surely passed.
    `zone`: the site's, None where the box does not know it. `screen`: None when the application does not answer.
    `quiet_s`: for how long nobody has played anything, None when somebody does or may.
    """

    at: datetime | None
    floor_at: datetime
    zone: tzinfo | None
    uptime_s: float
    screen: ScreenState | None = None
    quiet_s: float | None = None


class Hold(Struct, frozen=True, kw_only=True):
    """Why a step waits: `why` ends the sentence 'STEP waits'; `until` when it may go on at the latest, if known."""

    reason: Reason
    why: str
    until: datetime | None = None


MATCH: Final = Hold(reason="MatchInProgress", why="for the end of the match")


def judge(kind: Kind, maintenance: ManifestMaintenance | None, present: Present, wanted_at: datetime) -> Hold | None:
    """What holds a step that has been wanted since `wanted_at` (by the floor); None: it may run now."""
    if present.screen is not None and present.screen.match:
        return MATCH
    if maintenance is None or kind == "recovering":
        return None
    bound = kind == "disruptive" or maintenance.bind_visible
    if present.at is not None and is_busy(maintenance, present.at):
        until = _latest(maintenance, present, wanted_at) if bound else free_from(maintenance, present.at)
        return Hold(reason="FixtureInProgress", why="for the end of a fixture in the calendar", until=until)
    if not bound or _is_open(maintenance, present, wanted_at):
        return None
    return _outside(maintenance, present, wanted_at)


def _is_open(maintenance: ManifestMaintenance, present: Present, wanted_at: datetime) -> bool:
    """Whether anything opens: hours of the week, the start of the box, quiet, or the end of patience."""
    if present.at is not None and present.zone is not None and is_open(maintenance, present.zone, present.at):
        return True
    patience_s = maintenance.max_deferral_s
    if patience_s is not None and present.floor_at - wanted_at >= timedelta(seconds=patience_s):
        return True
    if any(window.kind == "at_boot" for window in maintenance.windows) and _is_booting(present):
        return True
    idle = [window.idle_s for window in maintenance.windows if window.idle_s is not None]
    return present.quiet_s is not None and any(present.quiet_s >= idle_s for idle_s in idle)


def _is_booting(present: Present) -> bool:
    return present.uptime_s < AT_BOOT_S and (present.screen is None or not present.screen.remote)


def _outside(maintenance: ManifestMaintenance, present: Present, wanted_at: datetime) -> Hold:
    ways = []
    for window in maintenance.windows:
        if window.kind == "weekly" and "hours of the week" not in ways:
            ways.append("hours of the week")
        if window.kind == "at_boot":
            ways.append("the next start of the box")
        if window.idle_s is not None:
            ways.append(f"{window.idle_s / 60:g} minutes in which nobody plays anything")
    why = f"for a maintenance window: {', or '.join(ways) or 'the end of max_deferral'}"
    until = _latest(maintenance, present, wanted_at)
    if "hours of the week" in ways and (present.at is None or present.zone is None):
        lacking = "clock is not synchronised" if present.at is None else "box does not know the site's time zone"
        why += f" (the {lacking}: hours of the week do not count)"
        return Hold(reason="ClockNotReliable", why=why, until=until)
    return Hold(reason="OutsideWindow", why=why, until=until)


def _latest(maintenance: ManifestMaintenance, present: Present, wanted_at: datetime) -> datetime | None:
    """When the step may run whatever the box does, as far as that can be told."""
    if present.at is not None and present.zone is not None:
        return next_opening(maintenance, present.zone, present.at, waiting_since=wanted_at).latest
    patience_s = maintenance.max_deferral_s
    return None if patience_s is None else wanted_at + timedelta(seconds=patience_s)
