"""What a box sends back: conditions (the word of Kubernetes and Flux), what differs, what waits, metrics, events.

None of it can refer to itself, so Python's collector of cycles need not look (`gc=False`): thousands arrive at once.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.manifest import Generation, Instant
from schemas.names import Digest, whole

MAX_BOOTS = 64
MAX_SAMPLES = 500
"""Of one report: some 30 kB."""

ConditionType = Literal["Synced", "Progressing", "Degraded", "Connected", "ReleaseHealthy"]
Reason = Annotated[str, Meta(pattern=whole(r"[A-Z][A-Za-z0-9]{0,63}"), description="A CamelCase word for programs.")]
Message = Annotated[str, Meta(max_length=2000)]
Short = Annotated[str, Meta(max_length=512)]
BootId = Annotated[str, Meta(min_length=1, max_length=64, description="A life of the machine, as its kernel names it.")]
UptimeSeconds = Annotated[float, Meta(ge=0, le=1e9, description="Seconds since the machine was started.")]
Share = Annotated[float, Meta(ge=0, le=100, description="Percent.")]
RunId = Annotated[str, Meta(pattern=whole(r"[0-9a-f]{32}"), description="Random; made anew each time an agent starts.")]


class Condition(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """One aspect of a site; `since` is when `status` last changed, by the box's clock."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: Message = ""
    since: Instant


class Difference(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Something that is not as desired, in words for the page: `what` is a path, a key or a name."""

    kind: Literal["content", "configuration", "release", "service", "agent", "hotspot"]
    what: Short
    desired: Short = ""
    observed: Short = ""


class Waiting(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A step that waits, why, and until when if the box knows."""

    step: Short
    reason: Reason
    message: Message = ""
    until: Instant | None = None


Strain = Literal["under_voltage", "frequency_capped", "throttled", "soft_temperature_limit"]
"""What the Pi's firmware says of its power and its heat."""


class Link(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The way out of the box: the interface of its default route; `speed_mbit` of a cable, `signal_dbm` of a radio."""

    interface: Short
    kind: Literal["cable", "wifi"]
    speed_mbit: int | None = None
    signal_dbm: int | None = None


class Metrics(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Measured on the box; what it cannot tell is absent.

    `strain`: now; `past_strain`: at some time before, as far back as the firmware remembers. `service_restarts`: those
    that the service manager made by itself, by unit. `clock_error_s`: the kernel's bound while the clock is
    synchronised.
    """

    cpu_percent: float | None = None
    memory_percent: float | None = None
    temperature_celsius: float | None = None
    disk_total_bytes: int | None = None
    disk_free_bytes: int | None = None
    uptime_s: int | None = None
    agent_memory_bytes: int | None = None
    strain: list[Strain] | None = None
    past_strain: list[Strain] | None = None
    link: Link | None = None
    service_restarts: dict[Short, int] | None = None
    clock_error_s: float | None = None

    @property
    def disk_used_percent(self) -> float | None:
        """How full the disk is, 0 to 100; None where the box does not say."""
        if not self.disk_total_bytes or self.disk_free_bytes is None:
            return None
        return 100 * (1 - self.disk_free_bytes / self.disk_total_bytes)


class Boot(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A life of the machine. Unless `certain`, no synchronised clock was seen in it: `started_at` is the earliest."""

    id: BootId
    started_at: Instant
    certain: bool = True


class Sample(Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """What was measured in the `span_s` seconds before `uptime_s`, in the life `boot` (its place in `History.boots`).

    An array, so that a day of minutes stays small. Shares are means, of the time that was measured; temperature, used
    disk and restarts (of all units since the start) the highest, the signal the lowest, `strain` all that there was.
    """

    boot: Annotated[int, Meta(ge=0, lt=MAX_BOOTS)]
    uptime_s: UptimeSeconds
    span_s: Annotated[int, Meta(ge=1, le=86_400)]
    cpu_percent: Share | None = None
    memory_percent: Share | None = None
    temperature_celsius: Annotated[float, Meta(ge=-100, le=200)] | None = None
    disk_percent: Share | None = None
    signal_dbm: Annotated[int, Meta(ge=-200, le=0)] | None = None
    restarts: Annotated[int, Meta(ge=0, lt=2**31)] | None = None
    strain: list[Strain] | None = None


class History(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """What was measured since the control plane last took some, the oldest first; it may be continued by the next."""

    boots: Annotated[list[Boot], Meta(max_length=MAX_BOOTS)] = []
    samples: Annotated[list[Sample], Meta(max_length=MAX_SAMPLES)] = []


class Transition(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A condition that came to another status or reason, `uptime_s` into the life `boot` of the machine.

    `at` as `Boot.started_at` is: unless `certain`, the earliest. Of one report, ordered by (`boot`, `uptime_s`).
    """

    boot: BootId
    uptime_s: UptimeSeconds
    at: Instant
    certain: bool = True
    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: Annotated[str, Meta(max_length=300)] = ""


class Event(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Something that happened; `number` rises by one per event over the life of the box's state."""

    number: Annotated[int, Meta(ge=1)]
    at: Instant
    severity: Literal["info", "warning", "error"] = "info"
    reason: Reason
    message: Message = ""


class RunningRelease(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The release that is active on the box; `tree` is None for one that was installed by hand."""

    version: Annotated[str, Meta(max_length=64)]
    tree: Digest | None = None


class StatusReport(Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """Idempotent by (`run_id`, `sequence`). `generation` was committed, `head_generation` accepted.

    What is of now stands beside what was kept since the last report that was taken: `transitions`, `history` (both
    idempotent by the life of the machine and the seconds in it) and `events` (by their number).
    """

    run_id: RunId
    sequence: Annotated[int, Meta(ge=1)]
    at: Instant
    clock_synchronised: bool = True
    agent_version: Annotated[str, Meta(max_length=64)]
    generation: Generation | None = None
    head_generation: Generation | None = None
    release: RunningRelease | None = None
    conditions: Annotated[list[Condition], Meta(max_length=16)] = []
    differences: Annotated[list[Difference], Meta(max_length=200)] = []
    waiting: Annotated[list[Waiting], Meta(max_length=50)] = []
    metrics: Metrics = Metrics()
    transitions: Annotated[list[Transition], Meta(max_length=200)] = []
    history: History = History()
    events: Annotated[list[Event], Meta(max_length=200)] = []


MAX_REPORT_BYTES = 512 * 1024
"""A report above this is refused by the server (413) and never made by the agent."""
