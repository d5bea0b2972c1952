"""One-shot operations, done: each is in the ledger, durably, before anything is done for it (`core.operations`).

They follow convergence in a round. What disturbs (a reboot, a restart of a service) waits for a window and for the
screen, as other disruptive steps do, and for the end of a release's test; the rest is done at once. Texts (logs, the
self-test) are kept on disk until the control plane has them, one at a time.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol

import zstandard
from msgspec import Struct
from msgspec.structs import replace

from reconciler_agent.core import attempt, operations
from reconciler_agent.core.agent_update import Updates
from reconciler_agent.core.operations import Entry
from reconciler_agent.core.redact import redact, secrets_of
from reconciler_agent.core.report import enqueue, numbered
from reconciler_agent.core.trust import latest_instant
from reconciler_agent.errors import AccessDenied, AgentError, NetworkTrouble
from reconciler_agent.gate import Gatekeeper
from reconciler_agent.journal import DEFAULT_S, READABLE, Journal
from reconciler_agent.observe import SystemClock
from reconciler_agent.self_test import Examined, examine, write
from reconciler_agent.services import ServiceManager
from reconciler_agent.state import Store
from schemas.manifest import ManifestOperation, SiteManifest
from schemas.names import DocumentId
from schemas.status import Reason, RunId, Waiting

END_S: Final = 300.0
"""How long the box, or the agent, may go on after it was asked to start anew."""
_REASONS: Final[dict[str, Reason]] = {
    "succeeded": "OperationSucceeded",
    "failed": "OperationFailed",
    "expired": "OperationExpired",
}

Said = tuple[Literal["info", "warning", "error"], Reason, str]

log = logging.getLogger("neopro-agent")


class Desk(Protocol):
    """Who takes the texts of operations."""

    def log(self, operation: DocumentId, packed: bytes) -> None:
        """Hand over a text, as zstd; it was kept when this returns."""


class Hands(NamedTuple):
    """What operations are done with; `allowed`: the box's own settings have them done."""

    allowed: bool
    services: ServiceManager
    journal: Journal
    examined: Examined
    desk: Desk
    gates: Gatekeeper
    clock: SystemClock
    read_configuration: Callable[[], object]


class Progress(Struct, frozen=True, kw_only=True):
    """`waiting`: operations that are to be done, and not yet. `working`: what was done that wants another round."""

    waiting: tuple[Waiting, ...] = ()
    working: str = ""


class Operations:
    """Does the operations of manifests, at most once each."""

    def __init__(self, hands: Hands, store: Store, run: RunId) -> None:
        self._hands = hands
        self._store = store
        self._run_id = run
        self._asked_s: dict[DocumentId, float] = {}
        self._tidy = False

    def advance(self, manifest: SiteManifest, *, steady: bool, online: bool) -> Progress:
        """Do what can be done now. `steady`: nothing of convergence is under way; `online`: there was no trouble."""
        if not manifest.operations and not self._store.state.operations:
            return Progress()
        self._go_on(manifest)
        if online:
            self._send()
        latest = self._latest()
        due = operations.due(manifest.operations, self._store.state.operations, latest)
        self._keep(operations.enter(self._store.state.operations, due, self._floor_at()))
        waiting: list[Waiting] = []
        working = ""
        for operation in due:
            if self._is_ending():
                break
            if (hold := self._hold(manifest, operation, steady)) is not None:
                waiting.append(hold)
                continue
            self._do(operation)
            working = f"{operations.describe(operation)}." if operation.action == "retry" else working
            steady = steady and operations.kind_of(operation) is None  # one disturbance a round
        self._tidy_up()
        return Progress(waiting=tuple(waiting), working=working)

    # What was begun

    def _go_on(self, manifest: SiteManifest) -> None:
        """Take up what another run left, end what is over, forget what is inert."""
        known, boot, latest = self._store.state.operations, self._hands.clock.boot(), self._latest()
        now: dict[DocumentId, Entry] = {}
        for name, entry in known.items():
            now[name] = operations.expire(operations.take_up(entry, self._run_id, boot), latest)
            if now[name].phase == "started" and self._is_overdue(name):
                now[name] = operations.end(entry, False, f"nothing came of it within {END_S:.0f} s")
        named = {operation.id for operation in manifest.operations}
        left = operations.prune(now, named, self._floor_at())
        self._asked_s = {name: asked_s for name, asked_s in self._asked_s.items() if name in left}
        self._keep(left, told=now)

    def _is_ending(self) -> bool:
        """Whether the box, or the agent, was asked to start anew: what began now would be cut off."""
        return any(entry.phase == "started" for entry in self._store.state.operations.values())

    def _is_overdue(self, name: DocumentId) -> bool:
        now_s = self._hands.clock.monotonic()
        return now_s - self._asked_s.setdefault(name, now_s) >= END_S

    def _send(self) -> None:
        """Hand over the text that waits; trouble with the network leaves it for the next round."""
        for name, entry in self._store.state.operations.items():
            if entry.phase != "sending":
                continue
            packed = self._store.text(name)
            try:
                if packed is not None:
                    self._hands.desk.log(name, packed)
            except (NetworkTrouble, AccessDenied) as problem:
                log.info("%s", problem)
                return
            ended = operations.end(entry, entry.well, entry.message)
            lost = operations.end(entry, False, "its text was lost on the disk")
            self._set(name, ended if packed is not None else lost)
            self._tidy = False

    # What is due

    def _hold(self, manifest: SiteManifest, operation: ManifestOperation, steady: bool) -> Waiting | None:
        """Why it waits; None: it may be done now."""
        entry = self._store.state.operations[operation.id]
        kind = operations.kind_of(operation)
        step = f"Operation {operation.id}"
        if not self._hands.allowed:
            message = f"{step} waits: remote commands are switched off on this box ([features] in its site.conf)."
            return Waiting(step=step, reason="SwitchedOff", message=message)
        if kind is None and operation.action != "retry":
            if _makes_text(operation) and any(e.phase == "sending" for e in self._store.state.operations.values()):
                message = f"{step} waits until the text of another one is handed over."
                return Waiting(step=step, reason="Sending", message=message)
            return None
        if not steady or self._store.state.releases.attempt is not None:
            return Waiting(step=step, reason="Converging", message=f"{step} waits until the box is at rest.")
        if kind is None or (hold := self._hands.gates.hold(manifest, kind, entry.wanted_at)) is None:
            return None
        message = f"{operations.describe(operation)} ({operation.id}) waits {hold.why}."
        return Waiting(step=step, reason=hold.reason, message=message, until=_sooner(hold.until, operation.not_after))

    def _do(self, operation: ManifestOperation) -> None:
        """Once: what happens after this is on disk is never done again."""
        name = operation.id
        entry = operations.begin(self._store.state.operations[name], self._run_id, self._hands.clock.boot())
        self._set(name, entry)
        try:
            self._set(name, self._act(operation, entry))
        except AgentError as problem:
            self._set(name, operations.end(entry, False, str(problem)))

    def _act(self, operation: ManifestOperation, entry: Entry) -> Entry:
        done = entry
        match operation.action:
            case "reboot":
                self._asked_s[operation.id] = self._hands.clock.monotonic()
                self._hands.services.reboot()
            case "restart_service":
                self._asked_s[operation.id] = self._hands.clock.monotonic()
                self._hands.services.restart(operation.service or "")
                if not operations.ends_us(entry):
                    done = operations.end(entry, True, f"{operation.service} was started anew")
            case "fetch_logs":
                done = self._fetch_logs(operation, entry)
            case "self_test":
                done = self._test(operation, entry)
            case "retry":
                done = self._retry(entry)
        return done

    def _fetch_logs(self, operation: ManifestOperation, entry: Entry) -> Entry:
        units = [operation.service] if operation.service is not None else READABLE
        since_s = operation.since_s or DEFAULT_S
        text = self._hands.journal.read(units, since_s)
        self._keep_text(operation.id, text)
        message = f"{len(text.splitlines())} lines of {', '.join(units)} were fetched"
        return replace(entry, phase="sending", message=message)

    def _test(self, operation: ManifestOperation, entry: Entry) -> Entry:
        checks = examine(self._hands.examined, self._store.state.releases.good)
        self._keep_text(operation.id, write(checks))
        failed = [f"{check.name}: {check.problem}" for check in checks if check.problem]
        message = f"{len(failed)} of {len(checks)} checks failed: {'; '.join(failed)}"
        well = f"all {len(checks)} checks passed"
        return replace(entry, phase="sending", well=not failed, message=(message if failed else well)[:2000])

    def _retry(self, entry: Entry) -> Entry:
        """The ledger and what it sets free are written at once: a kill between them would try for ever, or never."""
        state = self._store.state
        again = replace(state, releases=attempt.retry(state.releases), agent=Updates())
        self._store.hold(again)
        freed = [f"agent {state.agent.bad.version}"] if state.agent.bad is not None else []
        if again.releases != state.releases:
            freed.append(f"release {state.releases.bad.target.version if state.releases.bad is not None else ''}")
        what = f"{' and '.join(freed)} may be tried again" if freed else "nothing had been given up"
        return operations.end(entry, True, what)

    # The ledger

    def _keep_text(self, name: DocumentId, text: str) -> None:
        clean = redact(text, secrets_of(self._hands.read_configuration()))
        self._store.keep_text(name, zstandard.ZstdCompressor(level=9).compress(clean.encode()))

    def _set(self, name: DocumentId, entry: Entry) -> None:
        self._keep({**self._store.state.operations, name: entry})

    def _keep(self, ledger: Mapping[DocumentId, Entry], told: Mapping[DocumentId, Entry] | None = None) -> None:
        """Write the ledger, and in the same write an event for each that has come to its end (`told` has them all)."""
        state = self._store.state
        said: list[Said] = []
        for name, entry in (told or ledger).items():
            before = state.operations.get(name)
            if operations.is_over(entry) and (before is None or not operations.is_over(before)):
                sentence = f"Operation {name} ({entry.action}): {entry.message}."
                said.append(("info" if entry.phase == "succeeded" else "warning", _REASONS[entry.phase], sentence))
        new = numbered(state.last_event, self._hands.clock.now(), *said)
        if not new and dict(ledger) == state.operations:
            return
        events = enqueue(state.events, new) if new else state.events
        self._store.keep(replace(state, operations=dict(ledger), events=events, last_event=state.last_event + len(new)))

    def _tidy_up(self) -> None:
        """Delete texts that nobody waits for any more: once in the life of this process, and after each hand-over."""
        if not self._tidy:
            self._store.drop_texts({n for n, e in self._store.state.operations.items() if e.phase == "sending"})
            self._tidy = True

    def _latest(self) -> datetime:
        clock = self._hands.clock
        return latest_instant(self._store.state.trust, clock.now(), clock.synchronised())

    def _floor_at(self) -> datetime:
        return self._store.state.trust.time_floor_at


def _makes_text(operation: ManifestOperation) -> bool:
    return operation.action in ("fetch_logs", "self_test")


def _sooner(until: datetime | None, not_after: datetime) -> datetime | None:
    """An opening that lies behind the end of the operation is none."""
    return until if until is not None and until <= not_after else None
