"""Which other documents a document names, and where it does."""

from typing import NamedTuple

from control_plane.core.problems import KeyPath
from schemas.desired import Document, Fleet, Group, Layer, Operation, Site, VideoSet


class Reference(NamedTuple):
    """`path` in the document names `id` in `folder` (or one of fleet.yaml's own lists: rollouts, tenants)."""

    folder: str
    id: str
    path: KeyPath


def references_of(document: Document) -> tuple[Reference, ...]:
    """Every reference of a document, in no particular order."""
    match document:
        case Site():
            tenant = () if document.tenant is None else (Reference("tenants", document.tenant, ("tenant",)),)
            return (*_of_layer(document, ()), *tenant)
        case Group():
            members = (Reference("sites", site, ("sites", i)) for i, site in enumerate(document.sites or ()))
            return (*_of_layer(document, ()), *members)
        case Fleet():
            return _of_layer(document.defaults, ("defaults",))
        case VideoSet():
            return tuple(_of_set(document))
        case Operation():
            return tuple(_of_target(document))
        case _:
            return ()


def _of_layer(layer: Layer, at: KeyPath) -> tuple[Reference, ...]:
    found = []
    if layer.video_sets:
        found += [Reference("video-sets", name, (*at, "video_sets", i)) for i, name in enumerate(layer.video_sets)]
    if layer.without_video_sets:
        key = "without_video_sets"
        found += [Reference("video-sets", name, (*at, key, i)) for i, name in enumerate(layer.without_video_sets)]
    if layer.release is not None:
        found.append(Reference("releases", layer.release, (*at, "release")))
    if layer.agent is not None:
        found.append(Reference("agents", layer.agent, (*at, "agent")))
    if layer.rollout is not None:
        found.append(Reference("rollouts", layer.rollout, (*at, "rollout")))
    if layer.maintenance is not None:
        calendars = enumerate(layer.maintenance.calendars)
        found += [Reference("calendars", name, (*at, "maintenance", "calendars", i)) for i, name in calendars]
    return tuple(found)


def _of_set(document: VideoSet) -> list[Reference]:
    found = []
    for i, item in enumerate(document.videos):
        if isinstance(item, str):
            found.append(Reference("videos", item, ("videos", i)))
        else:
            found.append(Reference("videos", item.video, ("videos", i, "video")))
    return found


def _of_target(document: Operation) -> list[Reference]:
    found = []
    if document.target.site is not None:
        found.append(Reference("sites", document.target.site, ("target", "site")))
    if document.target.group is not None:
        found.append(Reference("groups", document.target.group, ("target", "group")))
    return found
