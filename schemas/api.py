"""Bodies of the operators' calls and of errors (RFC 9457)."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.club import ClubMirror
from schemas.manifest import Instant
from schemas.names import Digest, Revision, SiteId
from schemas.rollouts import RolloutInfo, SiteRollout
from schemas.status import Condition, Difference, Event, Metrics, RunningRelease, Waiting

Standing = Literal["Synced", "Progressing", "Degraded", "Offline", "Unknown", "Suspended", "Retired"]
"""The one word for a site on the page, by the server's evidence and clock; `Unknown`: no report ever."""


class ProblemDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457 `application/problem+json`; `reason` is the CamelCase word of the error class."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    reason: str = ""


class SiteSummary(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A site in one line."""

    site: SiteId
    name: str
    standing: Standing
    reason: str = ""
    message: str = ""
    desired_release: str | None = None
    release: RunningRelease | None = None
    commit: Revision
    generation: int
    reported_generation: int | None = None
    last_report_at: Instant | None = None


class SiteDetail(SiteSummary, frozen=True, kw_only=True, omit_defaults=True):
    """A site, whole: what it last said of itself beside what is desired; `rollouts`: for the team alone."""

    manifest: Digest
    conditions: list[Condition] = []
    differences: list[Difference] = []
    waiting: list[Waiting] = []
    metrics: Metrics = Metrics()
    events: list[Event] = []
    rollouts: list[SiteRollout] = []


class ChangeImpact(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the plan counted when a commit was judged: sites that it touches and takes away, of `total` before it.

    `…_allowed`: by guards and trailers, None where nothing limits it; `trailer`: the line that lets a held commit go.
    """

    sites: int
    removals: int
    total: int
    download_bytes: int = 0
    sites_allowed: int | None = None
    removals_allowed: int | None = None
    trailer: str = ""


class CommitSignature(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who signed a commit, judged when it was looked at; `required`: the trust root asked for a signature.

    `verified`: by a key of the root's; `other`: it holds, by a key that the root does not name; `none`: there is none;
    `bad`: it does not hold; `unread`: of a kind that is not checked (not an Ed25519 SSH key). `key` is its fingerprint
    as ssh-keygen prints it, `signer` the comment beside it in the root.
    """

    state: Literal["verified", "other", "none", "bad", "unread"]
    required: bool = False
    key: str = ""
    signer: str = ""


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A commit and how far it got: `converged` of `sites` (the sites that it changed) are there."""

    commit: Revision
    subject: str
    author: str
    committed_at: Instant
    verdict: Literal["published", "refused", "held"]
    problems: list[str] = []
    published_at: Instant | None = None
    sites: int = 0
    converged: int = 0
    missing: list[SiteId] = []
    impact: ChangeImpact | None = None
    signature: CommitSignature | None = None


class FleetStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `neopro status` prints; `rollouts` are those under way, which the team alone is told."""

    commit: Revision | None = None
    published_at: Instant | None = None
    remote_error: str = ""
    standings: dict[str, int]
    changes: list[Change]
    rollouts: list[RolloutInfo] = []
    sites: list[SiteSummary]


class SiteObservation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a plan asks of a site: what its box last said of itself, and which manifest that was under.

    `manifest` is that of `generation`, which the box committed; None where this server never gave it. `conflicts` are
    the box's own sentences about what a club owns under a name that is ours.
    """

    site: SiteId
    standing: Standing
    last_report_at: Instant | None = None
    generation: int | None = None
    manifest: Digest | None = None
    release: RunningRelease | None = None
    agent_version: str | None = None
    disk_total_bytes: int | None = None
    disk_free_bytes: int | None = None
    conflicts: list[str] = []


class Observations(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Every site as its box last reported it, at the instant `at`; `commit` is what is published then."""

    at: Instant
    commit: Revision | None = None
    sites: list[SiteObservation] = []


class ClubState(Struct, frozen=True, kw_only=True):
    """What the club of a site owns, and when its box last told it."""

    site: SiteId
    received_at: Instant
    club: ClubMirror


class ClubNames(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a plan asks of a club: the ids of its categories, and its files under `videos/` (the largest, if many)."""

    site: SiteId
    received_at: Instant
    categories: list[str] = []
    paths: list[str] = []
    file_count: int = 0
    file_bytes: int = 0


class SiteGeneration(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A commit that gave a site another manifest or state."""

    generation: int
    commit: Revision
    subject: str
    author: str
    committed_at: Instant
    published_at: Instant
    manifest: Digest
    converged: bool = False


class OperationLog(Struct, frozen=True, kw_only=True):
    """What a site's box sent for an operation; `stored_bytes`: as it is kept, compressed."""

    site: SiteId
    received_at: Instant
    stored_bytes: int


class TokenInfo(Struct, frozen=True, kw_only=True):
    """The personal token that the question came with: whose it is, what it may do, until when."""

    name: str
    scopes: list[Literal["read", "write"]]
    expires_at: Instant


class UploadState(Struct, frozen=True, kw_only=True):
    """How much of a blob the server has: `PUT` the rest from `offset` on."""

    digest: Digest
    offset_bytes: Annotated[int, Meta(ge=0)]
    complete: bool


class KeptBlob(Struct, frozen=True, kw_only=True):
    """An encrypted video that a site's box left."""

    digest: Digest
    size_bytes: int


class SweptBlob(Struct, frozen=True, kw_only=True):
    """A blob that was let go."""

    digest: Digest
    size_bytes: int
    modified_at: Instant


class SweepReport(Struct, frozen=True, kw_only=True):
    """How a sweep of the object store ended: of `blobs`, `alive` are named by something, `fresh` are too young.

    `swept` were deleted, or would be by `dry_run`; `more`: another sweep would go on. `examples` are some of them.
    """

    dry_run: bool
    blobs: int
    alive: int
    fresh: int
    swept: int
    swept_bytes: int
    more: bool
    examples: list[SweptBlob]
