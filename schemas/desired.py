"""The documents that an operator writes in Git: one kind per folder, the file's stem is the id.

Unknown keys are refused. Every struct is frozen, so parsed documents can be cached and shared. Field names are the
YAML keys but for Python's keywords (`from`, `not`). Rules across documents are in `control_plane.core.validate`.
"""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from schemas.alerts import Alerts
from schemas.names import (
    ID_PATTERN,
    Digest,
    DocumentId,
    Duration,
    Percent,
    PublicKeyLine,
    Rate,
    SiteId,
    TimeOfDay,
    Version,
    whole,
)

Text = Annotated[str, Meta(min_length=1, max_length=200)]
Json = Any
Hours = Annotated[
    str, Meta(pattern=whole(r"[0-9][0-9]:[0-9][0-9]-[0-9][0-9]:[0-9][0-9]"), description='Hours: "08:00-22:00".')
]
Sport = Annotated[
    str, Meta(pattern=whole(r"[a-z0-9][a-z0-9-]{0,40}"), description="A sport: lower case letters, such as futsal.")
]
Block = Literal["before", "during", "after"]
SiteState = Literal["active", "suspended", "retired"]
AppService = Literal["neopro-app", "neopro-admin", "neopro-kiosk"]
Service = Literal["neopro-app", "neopro-admin", "neopro-kiosk", "nginx", "neopro-sync-agent"]
OperationAction = Literal["reboot", "restart_service", "fetch_logs", "self_test", "retry"]
Connectivity = Literal["always", "matchdays", "rare"]
AgeRecipient = Annotated[str, Meta(pattern=whole(r"age1[02-9ac-hj-np-z]{58}"), description="An age recipient: age1….")]
Secret = Annotated[
    str,
    Meta(
        pattern=whole(r"age:[A-Za-z0-9+/]{1,65536}={0,2}"),
        description="An encrypted secret: age:BASE64, as `neopro secret encrypt` prints it.",
        extra={"secret": True},
    ),
]
Day = Literal["daily", "weekdays", "weekend", "mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Window(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """When a disruptive step may run: weekly hours (`days`, `from`, `to`), or after `idle` time."""

    days: Day | list[Day] | None = None
    from_: TimeOfDay | None = field(name="from", default=None)
    to: TimeOfDay | None = None
    idle: Duration | None = None


class Maintenance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """When disruptive steps may run, in the site's time zone; with `bind_visible` visible ones wait for it, too."""

    windows: list[Literal["at_boot"] | Window] = []
    calendars: list[DocumentId] = []
    max_deferral: Duration | None = None
    bind_visible: bool = False


class Poll(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """How often a box asks for news when a long poll is not possible."""

    interval: Duration = "60s"


class Bandwidth(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The most that downloads may take, within `hours` ("08:00-22:00") or always."""

    limit: Rate
    hours: Hours | None = None


class Hotspot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The box's own Wi-Fi; the passphrase is an encrypted secret."""

    ssid: Annotated[str, Meta(min_length=1, max_length=32)]
    passphrase: Secret


class Backup(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What of the club's is kept, encrypted, for a replaced box."""

    configuration: bool = True
    videos: bool = False


class Layer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What fleet, group and site may each set: fleet < groups by ascending priority < site."""

    release: Version | None = None
    agent: Version | None = None
    video_sets: list[DocumentId] = []
    without_video_sets: list[DocumentId] = []
    config: dict[str, Json] = {}
    maintenance: Maintenance | None = None
    poll: Poll | None = None
    bandwidth: Bandwidth | None = None
    connectivity: Connectivity | None = None
    rollout: DocumentId | None = None
    hotspot: Hotspot | None = None
    backup: Backup | None = None
    alerts: Alerts | None = None


class RolloutPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a new release reaches the sites of a layer: in waves, each soaking before the next."""

    waves: Annotated[list[Percent], Meta(min_length=1)]
    soak: Duration = "30m"
    success: Percent = "95%"
    quorum: Percent = "80%"
    deadline: Duration = "24h"
    max_failures: Annotated[int, Meta(ge=0)] = 3
    on_failure: Literal["hold", "rollback"] = "rollback"


class Guards(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of what one commit may do without a trailer that lifts them."""

    max_sites: Percent | None = None
    allow_removals: bool = True


class Tenant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A party that may see its own sites."""

    name: Text


class Fleet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`fleet.yaml`: the whole fleet, and the lowest layer (`defaults`).

    `recovery` is the team's recovery key: boxes encrypt the backup of a club's configuration to it.
    """

    schema: Literal[1]
    defaults: Layer = Layer()
    rollouts: dict[DocumentId, RolloutPolicy] = {}
    alerts: Alerts | None = None
    guards: Guards | None = None
    tenants: dict[DocumentId, Tenant] = {}
    recovery: AgeRecipient | None = None


class Location(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Where a site is; latitude and longitude in degrees, WGS 84."""

    city: Text
    region: Text
    country: Text = "France"
    lat: Annotated[float, Meta(ge=-90, le=90)] | None = None
    lon: Annotated[float, Meta(ge=-180, le=180)] | None = None


class Contact(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Whom to call about a site."""

    name: Text | None = None
    email: (
        Annotated[str, Meta(pattern=whole(r"[^@\s]+@[^@\s]+"), description="An address: somebody@example.org.")] | None
    ) = None
    phone: Text | None = None


class Site(Layer, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`sites/ID.yaml`: one box, its identity and place, and the highest layer.

    Without `identity` the site is planned but no box can speak for it; taking the line away revokes the box.
    `restore` is a backup of the club's configuration, encrypted to `recipient`: a replaced box puts it back once.
    """

    name: Text
    club: Text | None = None
    location: Location
    sports: list[Sport] = []
    labels: dict[DocumentId, Text] = {}
    hardware: Annotated[str, Meta(pattern=ID_PATTERN)] | None = None
    timezone: Annotated[
        str, Meta(pattern=whole(r"[A-Za-z_]+(/[A-Za-z0-9_+-]+)*"), description="A time zone: Europe/Paris.")
    ] = "Europe/Paris"
    identity: PublicKeyLine | None = None
    recipient: AgeRecipient | None = None
    state: SiteState = "active"
    contact: Contact | None = None
    tenant: DocumentId | None = None
    restore: Digest | None = None


class Not(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`{not: VALUE}`: none of these."""

    not_: str | list[str] = field(name="not")


class Group(Layer, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`groups/ID.yaml`: sites chosen by `select` or listed in `sites`, and a layer for them.

    Every key of `select` must hold; a list is any-of. Keys: `id`, `name`, `club`, `city`, `region`, `country`,
    `sports`, `hardware`, `timezone`, `state`, `tenant`, `labels.NAME`.
    """

    name: Text
    type: Literal["sport", "geography", "version", "custom"] = "custom"
    select: dict[str, str | list[str] | Not] | None = None
    sites: list[SiteId] | None = None
    priority: Annotated[int, Meta(ge=0, le=1000)]


class Media(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """What a video is made of: read from the file, never typed."""

    duration_s: Annotated[float, Meta(ge=0)] | None = None
    width: Annotated[int, Meta(ge=1)] | None = None
    height: Annotated[int, Meta(ge=1)] | None = None
    codec: Text | None = None


class Video(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`videos/ID.yaml`: a video in the library, written by `neopro video add`."""

    name: Text
    digest: Digest
    size_bytes: Annotated[int, Meta(ge=1)]
    media: Media | None = None
    sponsor: DocumentId | None = None
    analytics_category: Text | None = None
    thumbnail: Digest | None = None


class CategoryName(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A category of the remote control: its id in the box's configuration and the name people see."""

    id: Annotated[
        str, Meta(pattern=whole(r"[A-Za-z0-9_-]{1,64}"), description="An id: letters without accents, digits, - and _.")
    ]
    name: Text


class VideoItem(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A video in a set, with the local days on which it is there (both included)."""

    video: DocumentId
    from_: date | None = field(name="from", default=None)
    until: date | None = None


class VideoSet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """`video-sets/ID.yaml`: which videos, under which category, in which blocks and loop of the box."""

    name: Text
    category: CategoryName
    subcategory: CategoryName | None = None
    blocks: list[Block] = []
    loop: Literal["sponsors", "before", "during", "after"] | None = None
    videos: list[DocumentId | VideoItem] = []


class Requires(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a release needs of a box: versions as `>=X.Y.Z`, `>=X.Y`; hardware as any-of."""

    from_: (
        Annotated[str, Meta(pattern=whole(r">=[0-9]+(\.[0-9]+){0,2}"), description='At least a version: ">=2.1.0".')]
        | None
    ) = field(name="from", default=None)
    agent: (
        Annotated[str, Meta(pattern=whole(r">=[0-9]+(\.[0-9]+){0,2}"), description='At least a version: ">=2.1.0".')]
        | None
    ) = None
    hardware: list[str] = []


class HttpCheck(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A health check beyond the box's own: the body of `http` must contain `expect`."""

    http: Annotated[str, Meta(pattern=r"^http://(localhost|127\.0\.0\.1)(:\d+)?/")]
    expect: Text


class Health(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long a new release may take to be healthy, and how long it must stay so."""

    within: Duration = "120s"
    settle: Duration = "30s"
    checks: list[HttpCheck] = []


class ReleasePatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a box that has release `from` (its tree is `base`) may fetch instead of whole files: written, never typed.

    `index` is the digest of a `ReleaseDelta`; `size_bytes` is what the box downloads with it.
    """

    from_: Version = field(name="from")
    base: Digest
    index: Digest
    size_bytes: Annotated[int, Meta(ge=0)]


class Release(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`releases/VERSION.yaml`: a release of the box's applications, written by `neopro release add`."""

    version: Version
    tree: Digest
    size_bytes: Annotated[int, Meta(ge=0)]
    changelog: Annotated[str, Meta(max_length=10_000)] = ""
    requires: Requires = Requires()
    services: list[AppService] = field(default_factory=lambda: ["neopro-app", "neopro-admin", "neopro-kiosk"])
    health: Health = Health()
    patches: list[ReleasePatch] = []


class AgentRelease(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`agents/VERSION.yaml`: a release of the agent."""

    version: Version
    tree: Digest
    size_bytes: Annotated[int, Meta(ge=0)]
    changelog: Annotated[str, Meta(max_length=10_000)] = ""


class Target(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom an operation is for: exactly one of them."""

    site: SiteId | None = None
    group: DocumentId | None = None


class Operation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`operations/ID.yaml`: something that a box does once."""

    target: Target
    action: OperationAction
    service: Service | None = None
    since: Duration | None = None
    not_after: Annotated[datetime, Meta(tz=True)]


class Revoked(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`revoked.yaml`: what must stop now, effective even when the rest of a commit is refused."""

    identities: list[PublicKeyLine] = []
    releases: list[Version] = []


Document = Fleet | Site | Group | Video | VideoSet | Release | AgentRelease | Operation | Revoked

KINDS: dict[str, type[Document]] = {
    "sites": Site,
    "groups": Group,
    "videos": Video,
    "video-sets": VideoSet,
    "releases": Release,
    "agents": AgentRelease,
    "operations": Operation,
}
"""Folder of a fleet-state repository -> the kind of document that its files are."""

SINGLES: dict[str, type[Document]] = {"fleet.yaml": Fleet, "revoked.yaml": Revoked}
"""File at the root of a fleet-state repository -> its kind."""
