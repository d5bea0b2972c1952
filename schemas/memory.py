"""What the control plane remembers of boxes, as pages and programs read it: figures, conditions, silences over time."""

from datetime import date
from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.manifest import Instant
from schemas.names import SiteId
from schemas.status import ConditionType, RunId

Period = Literal["week", "month"]


class MetricsPoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Figures of the time from `at` to the next point; what was not measured is absent.

    `measured_s`: how much of that time was measured, `late_s`: how much of it was told when it was long past. `unsure`:
    the box had no clock, so some of it was later. Processors and memory are means, temperature, disk and restarts the
    highest, the signal the lowest; `weak_power` and `slowed`: at some time.
    """

    at: Instant
    measured_s: int
    late_s: int = 0
    unsure: bool = False
    cpu_percent: float | None = None
    memory_percent: float | None = None
    temperature_celsius: float | None = None
    disk_percent: float | None = None
    signal_dbm: int | None = None
    restarts: int | None = None
    weak_power: bool | None = None
    slowed: bool | None = None


class ConditionSpan(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A condition from `since` to `until`; without `until` it is so.

    `uncertain`: the box had no clock, `since` is the earliest. `late`: it was told when it was long past.
    """

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str = ""
    since: Instant
    until: Instant | None = None
    uncertain: bool = False
    late: bool = False


class Availability(Struct, frozen=True, kw_only=True):
    """A week (from Monday) or a month, UTC, of a site or of all: seconds, summed over sites.

    `known_s`: since the sites were first heard of. `heard_s`: of these, reports came in time. `ran_s`: the boxes
    measured themselves, `ran_unheard_s`: and told so only later; both to the end of the day before yesterday.
    """

    begins: date
    known_s: int
    heard_s: int
    ran_s: int
    ran_unheard_s: int

    @property
    def heard(self) -> float | None:
        """The share of the time in which reports came; None when no site was known."""
        return self.heard_s / self.known_s if self.known_s else None


class Deployments(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was published in a week (from Monday) or a month, UTC: each generation of each site counts once.

    `reached` by the box; `overtaken`: another generation came before it was; `failing`: not reached, and the box says
    that it is degraded; `waiting`: none of these. Seconds from publication to the report that said so.
    """

    begins: date
    published: int
    reached: int
    overtaken: int
    failing: int
    waiting: int
    mean_s: float | None = None
    median_s: float | None = None

    @property
    def success(self) -> float | None:
        """The share of what was decided; None when nothing was."""
        decided = self.reached + self.failing
        return self.reached / decided if decided else None


class Traffic(Struct, frozen=True, kw_only=True):
    """What boxes sent and fetched in a week (from Monday) or a month, UTC; the bytes of blobs alone."""

    begins: date
    reports: int
    downloads: int
    download_bytes: int


class IdentityFork(Struct, frozen=True, kw_only=True):
    """Two machines that speak as one site: their runs come in turn."""

    site: SiteId
    since: Instant
    last_at: Instant
    runs: Annotated[list[RunId], Meta(max_length=8)]


class Trouble(Struct, frozen=True, kw_only=True):
    """A reason of warnings or errors: how often it was told, by how many sites, when last (by a box's clock)."""

    reason: str
    severity: Literal["warning", "error"]
    events: int
    sites: int
    last_at: Instant
