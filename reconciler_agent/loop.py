"""The agent's loop: hear news, verify, converge, commit, report; then wait for news or for time to pass.

Offline it goes on with the last accepted manifest. Every AgentError becomes a condition; a bug is logged, reported as
Degraded/InternalError, and backed off from: the loop never ends because of what it met.
"""

import logging
import random
import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from msgspec.structs import replace

from reconciler_agent.analytics import Analytics
from reconciler_agent.belongings import Belongings
from reconciler_agent.converge import Convergence, Progress
from reconciler_agent.core import attempt
from reconciler_agent.core.clock import backoff_s
from reconciler_agent.core.diff import Changes
from reconciler_agent.core.report import Failure, Round, enqueue, tell, transitions
from reconciler_agent.core.trust import TrustState, accept_manifest, current_head, is_stale, pass_time
from reconciler_agent.errors import AccessDenied, AgentError, DigestMismatch, NetworkTrouble, Superseded
from reconciler_agent.history import History
from reconciler_agent.hotspot import Hotspot
from reconciler_agent.news import News
from reconciler_agent.notify import Notifier
from reconciler_agent.observe import Health, SystemClock
from reconciler_agent.operations import Operations
from reconciler_agent.poll import Poller
from reconciler_agent.reporting import Content, Reporter
from reconciler_agent.self_update import SelfUpdate
from reconciler_agent.state import State, Store
from reconciler_agent.steps import Steps
from reconciler_agent.upkeep import Upkeep
from schemas.manifest import Generation, SiteHead, SiteManifest
from schemas.names import digest_of
from schemas.status import RunningRelease

LOOK_S: Final = 0.5
"""Between two looks at something that settles."""
HEALTH_INTERVAL: Final = timedelta(minutes=5)

log = logging.getLogger("neopro-agent")


class Parts(NamedTuple):
    """What the loop is made of; `app.py` puts it together."""

    store: Store
    convergence: Convergence
    steps: Steps
    news: News
    health: Health
    reporter: Reporter
    operations: Operations
    analytics: Analytics
    belongings: Belongings
    hotspot: Hotspot
    history: History
    self_update: SelfUpdate
    upkeep: Upkeep
    poller: Poller
    clock: SystemClock
    notifier: Notifier


class Loop:
    """One agent's life. `heal_s`: seconds between two rounds without news."""

    def __init__(self, parts: Parts, heal_s: float, wake: threading.Event) -> None:
        self._parts = parts
        self._store = parts.store
        self._heal_s = heal_s
        self._wake = wake
        self._stopping = False
        self._passed_s = parts.clock.monotonic()
        self._handled: bytes | None = None
        self._refused: Failure | None = None
        self._head: tuple[bytes | None, SiteHead | None] = (None, None)
        self._manifest: tuple[bytes | None, SiteManifest | None] = (None, None)
        self._running: RunningRelease | None = None
        self._unhealthy: Sequence[str] = ()
        self._looked_s = float("-inf")
        self._said = ""
        self._sound = True

    def stop(self) -> None:
        """End after the step that is under way; may be called from a signal handler."""
        self._stopping = True
        self._wake.set()

    def run_forever(self) -> None:
        """Converge until stopped."""
        self._parts.poller.start()
        self._parts.notifier.ready()
        failures = 0
        while not self._stopping:
            self._wake.clear()
            found = self._guarded()
            failures = failures + 1 if found is None or found.failures or found.connection else 0
            self._rest(self._pause_s(found, failures))
        self._parts.notifier.stopping()
        self._parts.poller.stop()

    def settle(self, envelope: bytes | None, trouble: AgentError | None = None) -> Round:
        """Rounds until nothing is under way any more; the last one."""
        while True:
            found = self.reconcile_once(envelope, trouble)
            if not found.working or self._stopping:
                return found
            self._parts.clock.sleep(LOOK_S)

    def reconcile_once(self, envelope: bytes | None = None, trouble: AgentError | None = None) -> Round:
        """One round: take the head in `envelope` if there is one, converge, commit, report.

        `trouble`: what keeps the box from news, if the caller met some.
        """
        self._pass_time()
        self._parts.upkeep.begin()
        connection = self._hear(envelope) or (None if trouble is None else _failure(trouble))
        head, manifest = self._current()
        if head is not None and manifest is not None and head.state == "active":
            found = self._converge(head, manifest, connection)
        else:
            failures = [self._refused] if self._refused else []
            state = head.state if head is not None else None
            found = Round(state=state, failures=failures, connection=connection, stale=self._is_stale())
        self._conclude(found)
        return found

    def _guarded(self) -> Round | None:
        """A round, whatever happens in it; None when it could not be brought to its end.

        A round that a bug ended is not told to the watchdog: when nothing else comes, the agent starts anew.
        """
        poller = self._parts.poller
        self._sound = True
        try:
            return self.reconcile_once(poller.envelope, poller.trouble)
        except AgentError as problem:
            log.error("%s", problem)
            self._report_end(_failure(problem))
        except Exception as problem:
            log.exception("a bug ended this round")
            self._sound = False
            self._report_end(Failure(reason="InternalError", message=f"A bug ended a round: {problem!r}"[:500]))
        return None

    def _report_end(self, failure: Failure) -> None:
        """Tell what ended a round. Nothing is written: the disk may be what failed."""
        try:
            head, manifest = self._current()
            state = head.state if head is not None else None
            content = self._content(Round(state=state, manifest=manifest, failures=[failure]))
            self._store.hold(self._with_told(content))
            self._parts.reporter.tell(content)
        except AgentError as problem:
            log.error("%s", problem)
        except Exception:
            log.exception("a bug could not be reported")

    def _pause_s(self, found: Round | None, failures: int) -> float:
        """Until the next round, if nothing wakes the loop before."""
        if found is not None and found.working:
            return LOOK_S
        rest_s = self._heal_s
        if failures:
            rest_s = min(rest_s, max(1.0, backoff_s(failures, self._heal_s, random.random())))  # noqa: S311
        return max(0.05, min(rest_s, self._parts.reporter.wait_s()))

    def _rest(self, pause_s: float) -> None:
        """Until something wakes us or the pause is over, telling the watchdog meanwhile that we rest."""
        ping_s = self._parts.notifier.ping_s or pause_s
        while not self._stopping:
            if self._sound:
                self._parts.notifier.alive()
            if self._wake.wait(min(pause_s, ping_s)) or (pause_s := pause_s - ping_s) <= 0:
                return

    # News

    def _pass_time(self) -> None:
        clock, state = self._parts.clock, self._store.state
        now_s = clock.monotonic()
        trust = pass_time(state.trust, now_s - self._passed_s, clock.now(), clock.synchronised())
        self._passed_s = now_s
        self._store.hold(replace(state, trust=trust))
        if self._store.kept is None:  # of what was not written again nothing may be told
            self._store.checkpoint()

    def _hear(self, envelope: bytes | None) -> Failure | None:
        """Take a head that was not taken yet; what kept us from it if that was the network."""
        if envelope is None or envelope == self._handled:
            return None
        state = self._store.state
        try:
            accepted = self._parts.news.take(state.trust, state.body, envelope, self._keep_trust)
        except (NetworkTrouble, AccessDenied, DigestMismatch) as problem:
            return _failure(problem)
        except AgentError as problem:
            self._note_refusal(_failure(problem))
            return None
        self._handled, self._refused = envelope, None
        self._parts.reporter.hurry()
        before, _ = self._current()
        self._store.keep(replace(self._store.state, trust=accepted.trust, body=accepted.body))
        head, _ = self._current()
        if head is not None and (before is None or before.generation != head.generation):
            self._parts.steps.say("info", "HeadAccepted", f"Generation {head.generation} ({head.state}) was accepted.")
        return None

    def _keep_trust(self, trust: TrustState) -> None:
        self._store.keep(replace(self._store.state, trust=trust))

    def _note_refusal(self, failure: Failure) -> None:
        if failure != self._refused:
            self._parts.steps.say("error", failure.reason, failure.message)
        self._refused = failure

    def _current(self) -> tuple[SiteHead | None, SiteManifest | None]:
        """The accepted head, and its manifest if its bytes are at hand; parsed once."""
        state = self._store.state
        if self._head[0] is not state.trust.head:
            self._head = (state.trust.head, current_head(state.trust))
        head = self._head[1]
        if self._manifest[0] is not state.body:
            self._manifest = (state.body, None)
        if head is not None and state.body is not None and self._manifest[1] is None:
            fits = digest_of(state.body) == head.manifest
            self._manifest = (state.body, accept_manifest(head, state.body) if fits else None)
        return head, self._manifest[1]

    def _is_stale(self) -> bool:
        clock = self._parts.clock
        head, _ = self._current()
        return is_stale(head, self._store.state.trust, clock.now(), clock.synchronised())

    # Converging

    def _converge(self, head: SiteHead, manifest: SiteManifest, connection: Failure | None) -> Round:
        self._parts.poller.interval_s = float(manifest.poll_interval_s)

        def words(sentence: str) -> None:
            if self._stopping:
                raise Superseded("cannot go on: the agent is to end")
            if sentence != self._said:
                log.info("%s", sentence)
                self._said = sentence
            self._parts.notifier.alive()
            now = Round(
                state=head.state,
                manifest=manifest,
                working=f"{sentence}.",
                unhealthy=self._unhealthy,
                releases=self._store.state.releases,
                active=self._active(),
            )
            self._parts.reporter.mention(self._content(now))

        def on_bytes(_count: int) -> None:
            self._parts.notifier.alive()
            if self._stopping or self._parts.poller.envelope not in (None, self._handled):
                raise Superseded("cannot go on: there is news to look at first")

        self._parts.belongings.prepare(manifest, online=connection is None)
        progress = self._parts.convergence.converge(manifest, words, on_bytes)
        self._running = progress.running.running
        steady = not progress.settling and not progress.superseded
        at_rest = steady and self._store.state.releases.attempt is None
        own = self._parts.self_update.advance(manifest.agent, steady=at_rest, on_work=words, on_bytes=on_bytes)
        self._stopping = self._stopping or own.hands_over
        reachable = connection is None and progress.trouble is None
        hotspot = self._parts.hotspot.advance(manifest, steady=at_rest and not own.hands_over, online=reachable)
        others = [one for one in (own.difference, hotspot.difference) if one is not None]
        self._commit(head, manifest, progress, not others)
        self._look(progress)
        superseded = progress.superseded or own.superseded
        met = progress.trouble or own.trouble
        trouble = connection or (None if met is None else _failure(met))
        done = self._parts.operations.advance(manifest, steady=steady and not own.hands_over, online=trouble is None)
        self._parts.analytics.drain(manifest, online=trouble is None)
        self._parts.belongings.finish(manifest, online=trouble is None, on_bytes=on_bytes)
        beside = (own.failure, hotspot.failure, *self._parts.belongings.failures)
        return Round(
            state=head.state,
            manifest=manifest,
            changes=progress.changes,
            failures=[f for f in (self._refused, *progress.failures, *beside) if f],
            waiting=(*progress.waiting, *own.waiting, *hotspot.waiting),
            operations=(*own.notes, *done.waiting),
            connection=trouble,
            stale=self._is_stale(),
            working=progress.settling or ("There is news." if superseded else done.working),
            unhealthy=self._unhealthy,
            releases=self._store.state.releases,
            active=self._active(),
            others=others,
        )

    def _commit(self, head: SiteHead, manifest: SiteManifest, progress: Progress, alike: bool) -> None:
        """The generation is reached when nothing is left to do but graces, and its own release and agent run.

        `alike`: nothing else differs.
        """
        state = self._store.state
        left = replace(progress.changes, unneeded_content=(), removable_content=(), unneeded_trees=())
        open_ends = progress.failures or progress.waiting or progress.trouble or progress.settling
        own = alike and attempt.choose(state.releases, manifest.release) == manifest.release
        if state.committed == head.generation or left != Changes() or open_ends or progress.superseded or not own:
            return
        self._store.keep(replace(state, committed=head.generation))
        self._parts.steps.say("info", "Converged", f"Generation {head.generation} is reached.")

    def _look(self, progress: Progress) -> None:
        """Now and then, and after work, see whether the services of the release in force are well."""
        now_s = self._parts.clock.monotonic()
        target = self._store.state.releases.good
        if target is None or self._store.state.releases.attempt is not None:
            self._unhealthy = ()
        elif progress.worked or self._unhealthy or now_s - self._looked_s >= HEALTH_INTERVAL.total_seconds():
            self._looked_s = now_s
            self._unhealthy = self._parts.health.look(target.services, target.health.checks).problems

    def _active(self) -> str | None:
        """The version of ours that is active."""
        running = self._running
        return running.version if running is not None and running.tree is not None else None

    # Telling

    def _conclude(self, found: Round) -> None:
        content = self._content(found)
        self._store.keep(self._with_told(content))
        synced = next(c for c in content.told.conditions if c.type == "Synced")
        self._parts.notifier.status(f"{synced.reason}: {synced.message}")
        self._parts.reporter.tell(content)
        wanted = found.manifest.agent if found.manifest is not None else None
        polled, reported = self._handled is not None, self._parts.reporter.delivered
        if self._parts.self_update.prove(wanted, polled=polled, reported=reported):
            self._wake.set()  # the next report says so
        self._parts.upkeep.end()
        self._store.settle()

    def _with_told(self, content: Content) -> State:
        state, uptime_s = self._store.state, self._parts.clock.uptime()
        turned = transitions(state.told, content.told, self._parts.history.boot(), uptime_s)
        return replace(state, told=content.told, transitions=enqueue(state.transitions, turned))

    def _content(self, found: Round) -> Content:
        """What is to be told: words for the round, and of what was reached only that which a cut would not undo."""
        kept = self._store.kept
        return Content(
            told=tell(found, self._store.state.told, self._parts.clock.now()),
            generation=kept.committed if kept is not None else None,
            head_generation=self._kept_generation(kept),
            release=self._running,
            last_event=kept.last_event if kept is not None else 0,
        )

    def _kept_generation(self, kept: State | None) -> Generation | None:
        """Of the newest head that was accepted and is on disk."""
        if kept is None or kept.trust.head is None:
            return None
        head, _ = self._current()
        if kept.trust.head != self._store.state.trust.head:
            head = current_head(kept.trust)
        return head.generation if head is not None else None


def _failure(problem: AgentError) -> Failure:
    return Failure(reason=problem.reason, message=str(problem)[:2000])
