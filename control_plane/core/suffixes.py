"""The part of a manifest that is a site's own: configuration, windows, limits, operations, secrets (ADR 0012)."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

from control_plane.core.fixtures import Calendar, Span, busy_in
from control_plane.core.resolve import Resolved
from control_plane.core.zones import zone_named
from schemas.desired import AgentRelease, Backup, Bandwidth, Connectivity, Hotspot, Maintenance, Operation, Window
from schemas.manifest import (
    AgentTarget,
    ManifestBackup,
    ManifestBandwidth,
    ManifestHotspot,
    ManifestMaintenance,
    ManifestOperation,
    ManifestWindow,
    encode_canonical,
)
from schemas.names import Digest, DocumentId, duration_s, rate_bytes_s

_WEEK: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS: Final = {"daily": _WEEK, "weekdays": _WEEK[:5], "weekend": _WEEK[5:]}
Busy = tuple[list[Span], datetime | None]


class Desk(Struct, frozen=True):
    """The documents that suffixes are made from; `busy` keeps what calendars come to in a zone."""

    agents: Mapping[str, AgentRelease]
    calendars: Mapping[str, Calendar]
    operations: Mapping[str, Operation]
    recovery: str | None
    busy: dict[tuple[str, tuple[DocumentId, ...]], Busy]

    def busy_in(self, timezone: str, calendars: Iterable[DocumentId]) -> Busy:
        """When a site in this zone is busy by these calendars, worked out once."""
        key = (timezone, tuple(sorted(set(calendars))))
        found = self.busy.get(key)
        if found is None:
            found = self.busy[key] = busy_in((self.calendars[name] for name in key[1]), zone_named(timezone))
        return found


class Own(Struct, frozen=True, kw_only=True):
    """What a suffix depends on beside the layers."""

    timezone: str
    operations: tuple[DocumentId, ...] = ()
    restore: Digest | None = None


class _Suffix(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fields of SiteManifest that follow `loops`, in its order."""

    config: dict[str, Any] = {}
    maintenance: ManifestMaintenance | None = None
    bandwidth: ManifestBandwidth | None = None
    connectivity: Connectivity = "always"
    agent: AgentTarget | None = None
    operations: list[ManifestOperation] = []
    hotspot: ManifestHotspot | None = None
    backup: ManifestBackup | None = None
    restore: Digest | None = None


class Suffix(Struct, frozen=True):
    """What follows the prefix, closing brace included, and the blobs that it names."""

    data: bytes
    digests: frozenset[Digest]


_NO_DIGESTS: Final[frozenset[Digest]] = frozenset()


def make_suffix(resolved: Resolved, own: Own, desk: Desk) -> Suffix:
    """Encode what is a site's own; every name in it must be known."""
    agent = None if resolved.agent is None else desk.agents[resolved.agent]
    suffix = _Suffix(
        config=resolved.config,
        maintenance=None if resolved.maintenance is None else _maintenance(resolved.maintenance, own, desk),
        bandwidth=None if resolved.bandwidth is None else _bandwidth(resolved.bandwidth),
        connectivity=resolved.connectivity or "always",
        agent=None if agent is None else _agent(agent),
        operations=[_operation(name, desk.operations[name]) for name in own.operations],
        hotspot=None if resolved.hotspot is None else _hotspot(resolved.hotspot),
        backup=None if resolved.backup is None else _backup(resolved.backup, desk.recovery),
        restore=own.restore,
    )
    named = {*([] if agent is None else [agent.tree]), *([] if own.restore is None else [own.restore])}
    data = encode_canonical(suffix)
    return Suffix(b"}" if data == b"{}" else b"," + data[1:], frozenset(named) if named else _NO_DIGESTS)


def _maintenance(maintenance: Maintenance, own: Own, desk: Desk) -> ManifestMaintenance:
    deferral = maintenance.max_deferral
    busy, busy_until = desk.busy_in(own.timezone, maintenance.calendars) if maintenance.calendars else ([], None)
    return ManifestMaintenance(
        windows=[_window(window) for window in maintenance.windows],
        max_deferral_s=None if deferral is None else duration_s(deferral),
        bind_visible=maintenance.bind_visible,
        busy=busy,
        busy_until=busy_until,
    )


def _window(window: str | Window) -> ManifestWindow:
    if isinstance(window, str):
        return ManifestWindow(kind="at_boot")
    if window.idle is not None:
        return ManifestWindow(kind="idle", idle_s=duration_s(window.idle))
    named = [window.days] if isinstance(window.days, str) else window.days or ["daily"]
    days = {day for name in named for day in _DAYS.get(name, (name,))}
    return ManifestWindow(kind="weekly", days=[d for d in _WEEK if d in days], from_=window.from_, to=window.to)


def _bandwidth(bandwidth: Bandwidth) -> ManifestBandwidth:
    return ManifestBandwidth(limit_bytes_s=rate_bytes_s(bandwidth.limit), hours=bandwidth.hours)


def _agent(agent: AgentRelease) -> AgentTarget:
    return AgentTarget(version=agent.version, tree=agent.tree, size_bytes=agent.size_bytes)


def _operation(name: DocumentId, operation: Operation) -> ManifestOperation:
    return ManifestOperation(
        id=name,
        action=operation.action,
        service=operation.service,
        since_s=None if operation.since is None else duration_s(operation.since),
        not_after=operation.not_after.astimezone(UTC),
    )


def _hotspot(hotspot: Hotspot) -> ManifestHotspot:
    return ManifestHotspot(ssid=hotspot.ssid, passphrase=hotspot.passphrase)


def _backup(backup: Backup, recovery: str | None) -> ManifestBackup:
    assert recovery is not None, "a layer with backup and no recovery key has errors"
    return ManifestBackup(recipient=recovery, configuration=backup.configuration, videos=backup.videos)
