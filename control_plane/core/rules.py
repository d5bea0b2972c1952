"""Rules within one document that its types cannot say: contradictions, periods, windows, names that are taken."""

from collections.abc import Iterator
from itertools import combinations
from typing import Final

from control_plane.core.problems import Finding, KeyPath, brief, listed, suggestion
from control_plane.core.rules_alerts import of_alerts
from control_plane.core.rules_boxes import of_hotspot, of_operation, of_recipient
from control_plane.core.rules_fleet import of_fleet
from control_plane.core.rules_windows import of_hours, of_maintenance
from control_plane.core.select import KEYS as SELECT_KEYS
from control_plane.core.select import is_known
from control_plane.core.timezones import TIMEZONES
from schemas.desired import (
    AgentRelease,
    Document,
    Fleet,
    Group,
    Layer,
    Not,
    Operation,
    Release,
    Site,
    VideoItem,
    VideoSet,
)
from schemas.names import duration_s

REFUSED_CONFIG: Final = {
    "categories": "they come from video sets",
    "sponsors": "they come from video sets with a `loop`",
    "auth": "it is the club's own",
}
MAX_POLL_S: Final = 86_400


def findings_of(file: str, stem: str, document: Document) -> list[Finding]:
    """What is wrong within a document whose shape is right, and warnings of what has no effect yet."""
    found: list[Finding] = []
    match document:
        case Site():
            found = _of_site(file, document)
        case Group():
            found = [*_of_layer(file, document, ()), *_of_group(file, document)]
        case Fleet():
            found = _of_fleet(file, document)
        case VideoSet():
            found = list(_of_set(file, document))
        case Release() | AgentRelease():
            found = _of_release(file, stem, document)
        case Operation():
            found = list(of_operation(file, document))
    return found


def _of_site(file: str, site: Site) -> list[Finding]:
    found = _of_layer(file, site, ())
    if site.timezone not in TIMEZONES:
        hint = suggestion(site.timezone, TIMEZONES)
        message = f"there is no time zone `{brief(site.timezone)}`{hint}; write a name such as Europe/Paris"
        found.append(Finding(file=file, path=("timezone",), code="BadValue", message=message))
    if site.recipient is not None:
        found += of_recipient(file, site.recipient, ("recipient",))
    return found


def _of_fleet(file: str, fleet: Fleet) -> list[Finding]:
    found = [*_of_layer(file, fleet.defaults, ("defaults",)), *of_fleet(file, fleet)]
    if fleet.recovery is not None:
        found += of_recipient(file, fleet.recovery, ("recovery",))
    return found


def _of_layer(file: str, layer: Layer, at: KeyPath) -> list[Finding]:
    found = []
    if layer.config:
        for key in REFUSED_CONFIG.keys() & layer.config.keys():
            message = f"`{key}` cannot be set in config: {REFUSED_CONFIG[key]}; delete it"
            path = (*at, "config", key)
            found.append(Finding(file=file, path=path, code="ConfigKeyRefused", message=message, at_key=True))
    if layer.without_video_sets:
        for i, name in enumerate(layer.without_video_sets):
            if name in layer.video_sets:
                message = f"`{name}` is added and taken away by the same layer; delete one of the two"
                path = (*at, "without_video_sets", i)
                found.append(Finding(file=file, path=path, code="Contradiction", message=message))
    if layer.maintenance is not None:
        found += of_maintenance(file, layer.maintenance, (*at, "maintenance"))
    if layer.bandwidth is not None and layer.bandwidth.hours is not None:
        found += of_hours(file, layer.bandwidth.hours, (*at, "bandwidth", "hours"))
    if layer.poll is not None and duration_s(layer.poll.interval) > MAX_POLL_S:
        message = "a box must ask at least once a day; write at most 24h"
        found.append(Finding(file=file, path=(*at, "poll", "interval"), code="BadValue", message=message))
    found += _of_rare_keys(file, layer, at)
    return found


def _of_rare_keys(file: str, layer: Layer, at: KeyPath) -> Iterator[Finding]:
    if layer.hotspot is not None:
        yield from of_hotspot(file, layer.hotspot, (*at, "hotspot"))
    if layer.alerts is not None:
        yield from of_alerts(file, layer.alerts, (*at, "alerts"))


def _of_group(file: str, group: Group) -> Iterator[Finding]:
    if (group.select is None) == (group.sites is None):
        message = "a group needs exactly one of `select` and `sites`"
        yield Finding(file=file, path=(), code="SelectOrSites", message=message)
    for key, wanted in (group.select or {}).items():
        if not is_known(key):
            known = [*SELECT_KEYS, "labels.NAME"]
            message = (
                f"sites cannot be selected by `{brief(key)}`{suggestion(key, known)}; known are {listed(known, 'and')}"
            )
            yield Finding(file=file, path=("select", key), code="UnknownKey", message=message, at_key=True)
        values = wanted.not_ if isinstance(wanted, Not) else wanted
        if values in ([], ""):
            message = f"`{brief(key)}` selects by nothing; write a value, or delete it"
            yield Finding(file=file, path=("select", key), code="BadValue", message=message)
    if group.select == {}:
        message = "an empty selector; what holds for every site belongs to `defaults` in fleet.yaml"
        yield Finding(file=file, path=("select",), code="BadValue", message=message)


def _of_set(file: str, video_set: VideoSet) -> Iterator[Finding]:
    items = [item if isinstance(item, VideoItem) else VideoItem(video=item) for item in video_set.videos]
    for i, item in enumerate(items):
        if item.from_ is not None and item.until is not None and item.from_ > item.until:
            message = f"`until` ({item.until}) lies before `from` ({item.from_}); swap them"
            yield Finding(file=file, path=("videos", i, "until"), code="EmptyPeriod", message=message)
    seen: dict[str, list[int]] = {}
    for i, item in enumerate(items):
        seen.setdefault(item.video, []).append(i)
    for video, places in seen.items():
        for first, second in combinations(places, 2):
            if _overlap(items[first], items[second]):
                message = (
                    f"`{video}` is in this set already at the same time, as number {first + 1}; delete one of them"
                )
                yield Finding(file=file, path=("videos", second), code="SamePlace", message=message)
                break


def _overlap(one: VideoItem, other: VideoItem) -> bool:
    """Whether some day is in both periods; an open end lasts for ever."""
    starts = [item.from_ for item in (one, other) if item.from_ is not None]
    ends = [item.until for item in (one, other) if item.until is not None]
    return not starts or not ends or max(starts) <= min(ends)


def _of_release(file: str, stem: str, release: Release | AgentRelease) -> list[Finding]:
    if release.version == stem:
        return []
    message = f"the file is named {stem}.yaml and holds version {release.version}; make them the same"
    return [Finding(file=file, path=("version",), code="NameMismatch", message=message)]
