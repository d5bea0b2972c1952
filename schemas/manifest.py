"""What a box receives: the small signed head, and the content-addressed manifest and file-tree listing it leads to.

A head says which manifest a site has from when to when; it is signed (`schemas.dsse`). The manifest is its body: it
names no site, carries digests and never URLs, and depends on nothing but the tree of the commit, so that sites that
want the same share one body. Fields unknown to a reader are ignored unless the document's `critical` names them.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from schemas.desired import (
    AgeRecipient,
    AppService,
    Block,
    Connectivity,
    HttpCheck,
    OperationAction,
    Secret,
    Service,
    SiteState,
)
from schemas.names import Digest, DocumentId, Revision, SiteId, TimeOfDay, Version, whole

HEAD_TYPE = "application/vnd.neopro.head.v1+json"
RELATIVE_PATH = whole(r"(?!/)(?!.*(^|/)\.{1,2}(/|$))(?!.*//)[^\x00-\x1f\\]{1,512}(?<!/)")

Instant = Annotated[datetime, Meta(tz=True)]
Generation = Annotated[int, Meta(ge=1, lt=2**53)]
Path = Annotated[str, Meta(pattern=RELATIVE_PATH, description="A relative POSIX path without `.` or `..`.")]
BoxVideoPath = Annotated[str, Meta(pattern=whole(r"videos(/[A-Za-z0-9_-][A-Za-z0-9._-]{0,119}){1,3}"))]


class ListRef(Struct, frozen=True, kw_only=True):
    """Which release list a head was published under."""

    version: Annotated[int, Meta(ge=1)]
    sha256: Digest


class SiteHead(Struct, frozen=True, kw_only=True):
    """The newest word to one site: about 600 bytes, signed by the manifest role."""

    site: SiteId
    generation: Generation
    manifest: Digest
    state: SiteState = "active"
    commit: Revision
    issued_at: Instant
    expires_at: Instant
    root_version: Annotated[int, Meta(ge=1)]
    release_list: ListRef
    critical: list[str] = []


class ReleaseHealth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How long a new release may take to be healthy, how long it must stay so, and checks beyond the box's own."""

    within_s: int
    settle_s: int
    checks: list[HttpCheck] = []


class PatchRef(Struct, frozen=True, kw_only=True):
    """For a box that has the tree `base`: `index` is the digest of a `ReleaseDelta`, `size_bytes` its download."""

    base: Digest
    index: Digest
    size_bytes: int


class ReleaseTarget(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The release that the box is to run; `tree` is the digest of its listing (`FileTree`).

    `requires_from` is the oldest version that it may follow, as `>=X.Y.Z`.
    """

    version: Version
    tree: Digest
    size_bytes: int
    services: list[AppService]
    health: ReleaseHealth
    requires_from: str | None = None
    patches: list[PatchRef] = []


class AgentTarget(Struct, frozen=True, kw_only=True):
    """The release of the agent that the box is to run; `tree` is the digest of its listing (`FileTree`)."""

    version: Version
    tree: Digest
    size_bytes: int


class ContentFile(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that is to lie under `videos/`; `from`/`until` are local days of the site, both included.

    A file is wanted on a day when any of the categories' items that name it is.
    """

    path: BoxVideoPath
    digest: Digest
    size_bytes: int


class CategoryVideo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A video as the remote control shows it, on the local days from `from` to `until`, both included."""

    name: str
    path: BoxVideoPath
    video_id: DocumentId
    sponsor_id: DocumentId | None = None
    analytics_category: str | None = None
    from_: date | None = field(name="from", default=None)
    until: date | None = None


class SubCategory(Struct, frozen=True, kw_only=True):
    """A second level of the remote control."""

    id: str
    name: str
    videos: list[CategoryVideo]


class Category(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A centrally owned category, and the time blocks of the remote control that show it."""

    id: str
    name: str
    blocks: list[Block] = []
    videos: list[CategoryVideo] = []
    subcategories: list[SubCategory] = []


class Loops(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Centrally owned entries of the default loop (`sponsors`) and of each time block's loop."""

    sponsors: list[CategoryVideo] = []
    before: list[CategoryVideo] = []
    during: list[CategoryVideo] = []
    after: list[CategoryVideo] = []


class ManifestWindow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A maintenance window: weekly local hours, `at_boot`, or after `idle_s` seconds without play."""

    kind: Literal["weekly", "at_boot", "idle"]
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = []
    from_: TimeOfDay | None = field(name="from", default=None)
    to: TimeOfDay | None = None
    idle_s: int | None = None


class ManifestMaintenance(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When disruptive steps may run: in a window, and in no `busy` interval (start, end: UTC, sorted, disjoint).

    `busy_until` is the instant up to which the calendars were read; after it they say nothing.
    """

    windows: list[ManifestWindow] = []
    max_deferral_s: int | None = None
    bind_visible: bool = False
    busy: list[tuple[Instant, Instant]] = []
    busy_until: Instant | None = None


class ManifestBandwidth(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The most that downloads may take, within `hours` or always."""

    limit_bytes_s: int
    hours: str | None = None


class ManifestOperation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something to do at most once, and never after `not_after`; `since_s`: how far back logs are fetched."""

    id: DocumentId
    action: OperationAction
    service: Service | None = None
    since_s: int | None = None
    not_after: Instant


class ManifestHotspot(Struct, frozen=True, kw_only=True):
    """The box's own Wi-Fi; the passphrase is encrypted to the box's `recipient`."""

    ssid: str
    passphrase: Secret


class ManifestBackup(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of the club's is kept, encrypted to the team's recovery key."""

    recipient: AgeRecipient
    configuration: bool = True
    videos: bool = False


class SiteManifest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The desired state of a site, whole. `None` and absent keys mean 'not managed', never 'empty'."""

    schema: Literal[1]
    poll_interval_s: Annotated[int, Meta(ge=1, le=86_400)]
    timezone: str
    release: ReleaseTarget | None = None
    content: list[ContentFile] = []
    categories: list[Category] = []
    loops: Loops = Loops()
    config: dict[str, Any] = {}
    maintenance: ManifestMaintenance | None = None
    bandwidth: ManifestBandwidth | None = None
    connectivity: Connectivity = "always"
    agent: AgentTarget | None = None
    operations: list[ManifestOperation] = []
    hotspot: ManifestHotspot | None = None
    backup: ManifestBackup | None = None
    restore: Digest | None = None
    critical: list[str] = []


class TreeFile(Struct, frozen=True, kw_only=True):
    """One file of a tree."""

    path: Path
    mode: Literal["0644", "0755"]
    size_bytes: Annotated[int, Meta(ge=0)]
    digest: Digest


class FileTree(Struct, frozen=True, kw_only=True):
    """The listing of a release's files, sorted by path (bytes of UTF-8); the digest of its JSON names the tree."""

    schema: Literal[1]
    files: list[TreeFile]


def encode_canonical(document: SiteManifest | FileTree | Struct) -> bytes:
    """The one byte form of a document: compact JSON, fields as declared, keys of free maps sorted."""
    return msgspec.json.encode(document, order="deterministic")
