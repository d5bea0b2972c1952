"""What the boxes of `watched_fleet` say of themselves: most that all is well, some that it is not."""

import math
import zlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from schemas.status import Condition, Difference, Event, Link, Metrics, RunningRelease, Waiting

SILENT: Final[Mapping[str, timedelta | None]] = {
    "Quimper": timedelta(hours=3, minutes=5),
    "Marseille": timedelta(days=2, hours=4),
    "Ajaccio": timedelta(days=9),
    "Reims": None,
}
"""Town -> for how long nothing was heard of its box; None: never."""
_DISK: Final = 32_000_000_000


def silence_of(town: str) -> timedelta | None:
    """For how long nothing was heard of the box; None: never."""
    return SILENT.get(town, timedelta(seconds=20 + _number(town) % 200))


def said_of(town: str, generation: int, at: datetime, release: RunningRelease) -> dict[str, Any]:
    """What the box says at that time; the fields of a report."""
    said: dict[str, Any] = {
        "agent_version": "1.2.0",
        "release": release,
        "generation": generation,
        "head_generation": generation,
        "conditions": healthy(at),
        "metrics": _metrics(town),
        "events": _events(at, release.version),
    }
    return said | _trouble(town, generation, at)


def healthy(at: datetime) -> list[Condition]:
    """The conditions of a box that is as desired."""
    since = at - timedelta(days=3)
    good = (("Synced", "True", "Converged"), ("Degraded", "False", "AsExpected"), ("Connected", "True", "Polling"))
    release = ("ReleaseHealthy", "True", "Healthy")
    return [Condition(type=kind, status=is_so, reason=why, since=since) for kind, is_so, why in (*good, release)]


def _with(conditions: list[Condition], *others: Condition) -> list[Condition]:
    kinds = {one.type for one in others}
    return [one for one in conditions if one.type not in kinds] + list(others)


def failed_release(at: datetime) -> dict[str, Any]:
    """What a box says beside the usual on which release 2.2.0 failed."""
    return _rolled_back(healthy(at), at - timedelta(minutes=4), at)


def _trouble(town: str, generation: int, at: datetime) -> dict[str, Any]:
    fine, since = healthy(at), at - timedelta(minutes=38)
    match town:
        case "Vannes":
            return _rolled_back(fine, since, at)
        case "Nantes":
            full = Condition(
                type="Degraded",
                status="True",
                reason="DiskFull",
                message="620 MB are left, 840 MB needed.",
                since=since,
            )
            return {
                "conditions": _with(fine, _not_synced(since, "Degraded"), full),
                "metrics": _metrics(town, disk=97.2),
            }
        case "Lille":
            return {"metrics": _metrics(town, celsius=84.5)}
        case "Lorient" | "Toulouse" | "Angers":
            match = Waiting(
                step="WriteConfiguration", reason="MatchInProgress", message="Waits for the end of the match."
            )
            busy = Condition(type="Progressing", status="True", reason="Converging", since=since)
            return {
                "conditions": _with(fine, _not_synced(since, "Converging"), busy),
                "generation": generation - 1,
                "waiting": [match],
            }
        case "Lyon":
            by_hand = Difference(
                kind="configuration", what="scoreOverlay.position", desired="top-right", observed="bottom"
            )
            override = Condition(type="Synced", status="False", reason="LocalOverride", since=since)
            return {"conditions": _with(fine, override), "differences": [by_hand]}
        case "Tours":
            return {"clock_synchronised": False}
        case "Besançon":
            message = "Cannot read videos/" + "partenaires-de-la-saison-" * 12 + ".mp4"
            damaged = Condition(type="Degraded", status="True", reason="DiskFault", message=message, since=since)
            difference = Difference(kind="content", what=message, desired="a" * 200, observed="missing")
            return {"conditions": _with(fine, damaged), "differences": [difference] * 3}
    return {}


def _rolled_back(fine: list[Condition], since: datetime, at: datetime) -> dict[str, Any]:
    why = "Release 2.2.0 failed, going back to the last good one: neopro-app did not answer within 30 s."
    failed = Condition(type="ReleaseHealthy", status="False", reason="RolledBack", message=why, since=since)
    degraded = Condition(type="Degraded", status="True", reason="ReleaseFailed", message=why, since=since)
    differs = Difference(kind="release", what="release", desired="2.2.0", observed="2.1.3")
    events = [
        Event(number=1, at=since, reason="ReleaseActivated", message="Release 2.2.0 is the active one; it is tested."),
        Event(number=2, at=since, severity="error", reason="ReleaseUnhealthy", message="neopro-app did not answer."),
        Event(number=3, at=since, severity="warning", reason="RolledBack", message="Back to 2.1.3, which is healthy."),
        _operation(4, at),
    ]
    return {
        "conditions": _with(fine, _not_synced(since, "ReleaseFailed"), failed, degraded),
        "differences": [differs],
        "events": events,
    }


def _not_synced(since: datetime, reason: str) -> Condition:
    return Condition(type="Synced", status="False", reason=reason, since=since)


def _events(at: datetime, release: str) -> list[Event]:
    """The operation is for those that have the newest release."""
    news = Event(number=1, at=at - timedelta(minutes=40), reason="HeadAccepted", message="News was verified.")
    return [news, _operation(2, at)] if release == "2.2.0" else [news]


def _operation(number: int, at: datetime) -> Event:
    message = "Operation logs-bretagne (fetch_logs) was done."
    return Event(number=number, at=at - timedelta(minutes=30), reason="OperationSucceeded", message=message)


def _metrics(town: str, *, disk: float | None = None, celsius: float | None = None) -> Metrics:
    number = _number(town)
    used = disk if disk is not None else 35 + number % 40
    return Metrics(
        cpu_percent=8 + number % 35,
        memory_percent=30 + number % 30,
        temperature_celsius=celsius or round(48 + 8 * math.sin(number), 1),
        disk_total_bytes=_DISK,
        disk_free_bytes=int(_DISK * (100 - used) / 100),
        uptime_s=86_400 * (1 + number % 30),
        agent_memory_bytes=38_000_000,
        strain=[],
        past_strain=["under_voltage"] if number % 9 == 0 else [],
        link=Link(interface="eth0", kind="cable", speed_mbit=1000),
    )


def _number(town: str) -> int:
    return zlib.crc32(town.encode()) % 1000
