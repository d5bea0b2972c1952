"""The library of a checkout, read: its videos, and the sets that name them, with their days."""

from collections.abc import Iterator, Mapping
from datetime import date
from difflib import get_close_matches
from typing import NamedTuple, TypeVar

from cli.errors import CommandFailed
from cli.fleet_view import FleetView
from control_plane.core.sites import SiteRecord
from schemas.desired import Layer, Video, VideoItem, VideoSet
from schemas.names import DocumentId, SiteId

D = TypeVar("D", Video, VideoSet)


class Placed(NamedTuple):
    """A video's place in a set; the days are local ones of the site, both included."""

    set: DocumentId
    from_: date | None = None
    until: date | None = None

    def __str__(self) -> str:
        """`national`, `national from 2026-12-01`, `national 2026-12-01 to 2026-12-31`."""
        if self.from_ and self.until:
            return f"{self.set} {self.from_} to {self.until}"
        return self.set + (f" from {self.from_}" if self.from_ else f" until {self.until}" if self.until else "")

    @property
    def data(self) -> dict[str, object]:
        """For `--json`."""
        return {"set": self.set, "from": self.from_, "until": self.until}


class Library(NamedTuple):
    """Videos and sets by id, sorted, and where each video is placed."""

    videos: Mapping[DocumentId, Video]
    sets: Mapping[DocumentId, VideoSet]
    places: Mapping[DocumentId, list[Placed]]

    def video(self, name: DocumentId) -> Video:
        """A video; CommandFailed with the nearest name."""
        if name in self.videos:
            return self.videos[name]
        raise CommandFailed(f"cannot find videos/{name}.yaml: {_hint(name, self.videos, 'neopro video list')}")

    def video_set(self, name: DocumentId) -> VideoSet:
        """A set; CommandFailed with the nearest name."""
        if name in self.sets:
            return self.sets[name]
        raise CommandFailed(f"cannot find video-sets/{name}.yaml: {_hint(name, self.sets, 'neopro set list')}")


def read_library(view: FleetView) -> Library:
    """The library of this checkout; documents that cannot be read are left out (`view.unread`)."""
    videos = _documents(view, "videos", Video)
    sets = _documents(view, "video-sets", VideoSet)
    places: dict[DocumentId, list[Placed]] = {}
    for name, video_set in sets.items():
        for item in video_set.videos:
            placed = item if isinstance(item, VideoItem) else VideoItem(video=item)
            places.setdefault(placed.video, []).append(Placed(name, placed.from_, placed.until))
    return Library(videos, sets, places)


def _documents(view: FleetView, folder: str, kind: type[D]) -> dict[DocumentId, D]:
    found = ((name, view.reading.document(folder, name)) for name in sorted(view.reading.named(folder)))
    return {name: document for name, document in found if isinstance(document, kind)}


def layers_naming(view: FleetView, sets: set[DocumentId]) -> Iterator[tuple[str, DocumentId]]:
    """Each layer that adds one of these sets, with the set: the fleet, groups by priority, sites."""
    groups = sorted(view.groups.items(), key=lambda item: (item[1].priority, item[0]))
    layers: list[tuple[str, Layer]] = [
        ("fleet", view.fleet.defaults),
        *((f"group {name}", group) for name, group in groups),
        *((f"site {name}", record.document) for name, record in view.sites.items()),
    ]
    for where, layer in layers:
        for name in layer.video_sets:
            if name in sets:
                yield where, name


def sites_wanting(view: FleetView, sets: set[DocumentId]) -> list[SiteId]:
    """The active sites that any of these sets resolves to."""
    return [
        name for name, record in view.sites.items() if _is_active(record) and sets & set(record.resolved.video_sets)
    ]


def sites_on(view: FleetView, version: str) -> list[SiteId]:
    """The sites that are to run this release, also suspended ones: they will once they are active."""
    return [name for name, record in view.sites.items() if record.resolved.release == version]


def layers_setting_release(view: FleetView, version: str) -> list[str]:
    """The layers that name this release, as they are called in sentences, with their files' words."""
    groups = sorted(view.groups.items(), key=lambda item: (item[1].priority, item[0]))
    found = ["fleet.yaml"] if view.fleet.defaults.release == version else []
    found += [f"groups/{name}.yaml" for name, group in groups if group.release == version]
    return found + [f"sites/{name}.yaml" for name, record in view.sites.items() if record.document.release == version]


def _is_active(record: SiteRecord) -> bool:
    return record.document.state != "retired"


def _hint(name: str, known: Mapping[str, object], verb: str) -> str:
    near = get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else f"there is no such document; see: {verb}"
