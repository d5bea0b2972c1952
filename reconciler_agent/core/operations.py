"""One-shot operations: which are due, and what became of those that were begun. At most once, whatever happens.

    waiting -> started -> [sending ->] succeeded | failed
    waiting -> expired

`started` is on disk before anything is done; what another run (the life of one agent process) left started is never
done again: it has failed, but for a reboot and a restart of the agent, whose proof is that another run asks. What has
not begun before `not_after` never begins. `sending`: done, and its text is still to be handed over.

An entry is remembered until it is over and the time floor has passed `not_after`: after that, the operation is inert
by itself, also for a box that lost its state, or is a copy of another.
"""

from collections.abc import Mapping, Sequence, Set
from datetime import datetime, timedelta
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from reconciler_agent.core.windows import Kind
from schemas.desired import OperationAction, Service
from schemas.manifest import Instant, ManifestOperation
from schemas.names import DocumentId
from schemas.status import Message, RunId

AGENT: Final = "neopro-sync-agent"
"""The unit of the agent itself."""
SENDING_GRACE: Final = timedelta(days=7)
"""How long after `not_after` a text that could not be handed over is kept."""
_VERBS: Final[dict[OperationAction, str]] = {
    "reboot": "Starting the box anew",
    "restart_service": "Restarting",
    "fetch_logs": "Fetching logs",
    "self_test": "Testing the box",
    "retry": "Trying again what was given up",
}

Phase = Literal["waiting", "started", "sending", "succeeded", "failed", "expired"]


class Entry(Struct, frozen=True, kw_only=True):
    """What is known of an operation. `wanted_at`: when the box first heard of it, by the time floor.

    `run`, `boot`: who began it, in which life of the machine. `well`, `message`: what it came to, from `sending` on.
    """

    action: OperationAction
    service: Service | None = None
    not_after: Instant
    wanted_at: Instant
    phase: Phase = "waiting"
    run: RunId | None = None
    boot: str = ""
    well: bool = True
    message: Message = ""


Ledger = Mapping[DocumentId, Entry]


def due(operations: Sequence[ManifestOperation], ledger: Ledger, latest: datetime) -> list[ManifestOperation]:
    """Those that were not begun yet, and may still be."""
    return [
        operation
        for operation in operations
        if operation.not_after >= latest
        and (operation.id not in ledger or ledger[operation.id].phase == "waiting")
    ]  # fmt: skip


def enter(ledger: Ledger, operations: Sequence[ManifestOperation], floor_at: datetime) -> dict[DocumentId, Entry]:
    """The ledger with these in it."""
    new = {
        o.id: Entry(action=o.action, service=o.service, not_after=o.not_after, wanted_at=floor_at)
        for o in operations
        if o.id not in ledger
    }
    return {**ledger, **new}


def kind_of(operation: ManifestOperation | Entry) -> Kind | None:
    """How much it disturbs; a restart of the agent itself disturbs nobody."""
    restarts = operation.action == "restart_service" and operation.service != AGENT
    return "disruptive" if restarts or operation.action == "reboot" else None


def describe(operation: ManifestOperation | Entry) -> str:
    """The operation as the beginning of a sentence."""
    return f"{_VERBS[operation.action]} {operation.service or ''}".rstrip()


def begin(entry: Entry, run: RunId, boot: str) -> Entry:
    """What is to be on disk before the operation is done."""
    return replace(entry, phase="started", run=run, boot=boot)


def ends_us(entry: Entry) -> bool:
    """Whether the operation, once asked for, ends this very process."""
    return entry.action == "reboot" or (entry.action == "restart_service" and entry.service == AGENT)


def take_up(entry: Entry, run: RunId, boot: str) -> Entry:
    """An entry at the start of a round: what another run began has come to its end by that."""
    if entry.phase != "started" or entry.run == run:
        return entry
    if entry.action == "reboot" and entry.boot != boot:
        return end(entry, True, "the box was started anew")
    if entry.action == "restart_service" and entry.service == AGENT:
        return end(entry, True, "the agent was started anew")
    return end(entry, False, "the agent or the box stopped before it came to its end; it is not tried again")


def expire(entry: Entry, latest: datetime) -> Entry:
    """An entry whose time is over before it began; a text that nobody took for long is given up."""
    if entry.phase == "waiting" and entry.not_after < latest:
        return replace(entry, phase="expired", message="its time was over before it could begin")
    if entry.phase == "sending" and entry.not_after + SENDING_GRACE < latest:
        return end(entry, False, "its text could not be handed over")
    return entry


def end(entry: Entry, well: bool, message: str) -> Entry:
    """The entry of an operation that came to this."""
    return replace(entry, phase="succeeded" if well else "failed", well=well, message=message[:2000])


def is_over(entry: Entry) -> bool:
    """Whether nothing more will become of it."""
    return entry.phase in ("succeeded", "failed", "expired")


def prune(ledger: Ledger, named: Set[DocumentId], floor_at: datetime) -> dict[DocumentId, Entry]:
    """The ledger without what is inert by itself, and without what was taken back before it began."""
    return {
        name: entry
        for name, entry in ledger.items()
        if not (is_over(entry) and entry.not_after < floor_at) and (entry.phase != "waiting" or name in named)
    }
