"""New documents of a fleet-state repository as text, with the comments that help whoever edits them next."""

from collections.abc import Mapping, Sequence

from cli.edits import SCHEMA_LINE, flow, scalar
from schemas.desired import AgentRelease, AgeRecipient, Location, Media, Release, ReleasePatch, Video, VideoSet
from schemas.names import PublicKeyLine

_IDENTITY_HINT = (
    "# identity: the box's public key; `neopro-agent identity` prints it on the box. No box can report without it."
)


def site_text(
    name: str,
    location: Location,
    *,
    club: str | None = None,
    sports: Sequence[str] = (),
    labels: Mapping[str, str] | None = None,
    hardware: str | None = None,
    timezone: str = "Europe/Paris",
    identity: PublicKeyLine | None = None,
    recipient: AgeRecipient | None = None,
    email: str | None = None,
) -> str:
    """`sites/ID.yaml` of a new site."""
    lines = [
        SCHEMA_LINE.format(kind="site"),
        f"name: {scalar(name)}",
        *([f"club: {scalar(club)}"] if club else []),
        f"location: {flow(_place(location))}",
        f"sports: {flow(list(sports))}",
        *([f"labels: {flow(labels)}"] if labels else []),
        *([f"hardware: {scalar(hardware)}"] if hardware else []),
        f"timezone: {timezone}",
        f"identity: {identity}" if identity else _IDENTITY_HINT,
        *([f"recipient: {recipient}"] if recipient else []),
        "state: active   # active | suspended | retired",
        *([f"contact: {flow({'email': email})}"] if email else []),
    ]
    return "\n".join(lines) + "\n"


def video_text(video: Video) -> str:
    """`videos/ID.yaml`: what was read from the file, and what the operator said of it."""
    lines = [
        SCHEMA_LINE.format(kind="video"),
        f"name: {scalar(video.name)}",
        f"digest: {video.digest}",
        f"size_bytes: {video.size_bytes}",
        *([f"media: {flow(_facts(video.media))}"] if video.media else []),
        *([f"sponsor: {scalar(video.sponsor)}"] if video.sponsor else []),
        *([f"analytics_category: {scalar(video.analytics_category)}"] if video.analytics_category else []),
        *([f"thumbnail: {video.thumbnail}"] if video.thumbnail else []),
    ]
    return "\n".join(lines) + "\n"


def video_set_text(video_set: VideoSet) -> str:
    """`video-sets/ID.yaml` of a new set, without its videos."""
    place = {"category": video_set.category, "subcategory": video_set.subcategory}
    lines = [
        SCHEMA_LINE.format(kind="video-set"),
        f"name: {scalar(video_set.name)}",
        *(f"{key}: {flow({'id': named.id, 'name': named.name})}" for key, named in place.items() if named),
        *([f"blocks: {flow(video_set.blocks)}"] if video_set.blocks else []),
        *([f"loop: {video_set.loop}"] if video_set.loop else []),
    ]
    return "\n".join(lines) + "\n"


def release_text(release: Release, patches: Sequence[ReleasePatch] = ()) -> str:
    """`releases/VERSION.yaml`, with its knobs written out."""
    requires = {"from": release.requires.from_, "agent": release.requires.agent, "hardware": release.requires.hardware}
    needed = {key: value for key, value in requires.items() if value}
    lines = [
        SCHEMA_LINE.format(kind="release"),
        f"version: {release.version}",
        f"tree: {release.tree}   # digest of the listing of its files",
        f"size_bytes: {release.size_bytes}",
        *_changelog(release.changelog),
        *([f"requires: {flow(needed)}"] if needed else []),
        f"services: {flow(release.services)}   # restarted, in this order",
        f"health: {flow({'within': release.health.within, 'settle': release.health.settle})}",
        *(
            ["patches:   # what a box that runs one of these downloads instead", *map(_patch, patches)]
            if patches
            else []
        ),
    ]
    return "\n".join(lines) + "\n"


def agent_text(agent: AgentRelease) -> str:
    """`agents/VERSION.yaml`."""
    lines = [
        SCHEMA_LINE.format(kind="agent"),
        f"version: {agent.version}",
        f"tree: {agent.tree}   # digest of the listing of its files",
        f"size_bytes: {agent.size_bytes}",
        *_changelog(agent.changelog),
    ]
    return "\n".join(lines) + "\n"


def _changelog(text: str) -> list[str]:
    lines = [f"  {line}".rstrip() for line in text.strip().splitlines()]
    return ["changelog: |", *lines] if lines else []


def _patch(patch: ReleasePatch) -> str:
    facts = [
        f"  - from: {patch.from_}",
        f"base: {patch.base}",
        f"index: {patch.index}",
        f"size_bytes: {patch.size_bytes}",
    ]
    return "\n    ".join(facts)


def _place(location: Location) -> dict[str, object]:
    place: dict[str, object] = {"city": location.city, "region": location.region, "country": location.country}
    if location.lat is not None and location.lon is not None:
        place |= {"lat": location.lat, "lon": location.lon}
    return place


def _facts(media: Media) -> dict[str, object]:
    facts = {"duration_s": media.duration_s, "width": media.width, "height": media.height, "codec": media.codec}
    return {key: value for key, value in facts.items() if value is not None}
