"""The order of effects: what happens to a commit from the fetch to its publication, and how heads stay fresh.

Every step can be run again from any point: nothing is served before the one transaction of `publications.publish`, and
what is served is never touched by a commit that is refused. One ingest or renewal runs at a time in a process; between
processes the publishing transaction decides, and the one that comes second looks again.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Struct

from control_plane.compiling import compile_tree
from control_plane.core.commit_signature import signature_fault, signature_of
from control_plane.core.compile import CompiledFleet, changed_sites
from control_plane.core.number import Mark
from control_plane.core.trust import require_continued
from control_plane.documents import DocumentCache
from control_plane.errors import ClockBehind, CommitRefused, DatabaseUnavailable, FleetError, Superseded
from control_plane.git_objects import Tree
from control_plane.git_source import CommitInfo, GitSource
from control_plane.guarding import Guarding
from control_plane.issuing import Issue, Issuer, Trust, trust_of
from control_plane.objects import ObjectStore
from control_plane.presence import Presence
from control_plane.rolling import HeldSite, Rolling, Standing, Turn
from control_plane.signer import Signer
from control_plane.store import publications, remotes
from control_plane.store.news import News, SignedHead
from control_plane.store.pool import Connection, Pool, connection
from control_plane.store.publications import CommitLook, Published, TrustRow, Word
from schemas.api import ChangeImpact, CommitSignature
from schemas.desired import Revoked
from schemas.names import Revision, SiteId
from schemas.trust import TrustRoot, read_root

Clock = Callable[[], datetime]
"""Now, in UTC."""

RENEW_AFTER: Final = timedelta(days=1)
CLOCK_TOLERANCE: Final = timedelta(days=1)
RENEW_BATCH: Final = 1000
_TRIES: Final = 5


class Outcome(Struct, frozen=True, kw_only=True):
    """How a look at the remote ended. `sites`: how many got a new generation; `problems`: rendered, sorted."""

    verdict: Literal["unchanged", "published", "refused", "held"]
    revision: Revision
    sites: int = 0
    problems: list[str] = []
    seconds: float = 0.0


class _Known(Struct, frozen=True, kw_only=True):
    """What this process knows of the publication with this serial, so that it need not be read or compiled again.

    `held`: what sites are served that rollouts have not reached; not known where `compiled` is not.
    """

    serial: int
    marks: dict[SiteId, Mark]
    compiled: CompiledFleet | None
    held: Mapping[SiteId, HeldSite] = {}
    trust: Trust | None
    """What every head names; None: some may name older documents."""

    @property
    def standing(self) -> Standing:
        """As rollouts look at it."""
        return Standing(self.compiled, self.marks, self.held)

    def after(
        self, published: Published, news: News, compiled: CompiledFleet, turn: Turn, trust: Trust | None
    ) -> "_Known":
        """What is known once `news` are published."""
        marks = {**self.marks, **{site: mark for site, (mark, _) in news.heads.items()}, **news.rows}
        return _Known(serial=published.serial, marks=marks, compiled=compiled, held=turn.held, trust=trust)


class _Judged(NamedTuple):
    """A commit that may be published, what that does to rollouts, and what the plan of it counted."""

    compiled: CompiledFleet
    turn: Turn
    impact: ChangeImpact | None


class Pipeline:
    """Takes commits in and keeps heads fresh; holds nothing that cannot be read or compiled again."""

    def __init__(
        self,
        pool: Pool,
        git: GitSource,
        objects: ObjectStore,
        signer: Signer,
        clock: Clock,
        *,
        documents: DocumentCache | None = None,
    ) -> None:
        self._pool, self._git, self._issuer, self._clock = pool, git, Issuer(signer), clock
        self._guarding = Guarding(git)
        self._documents = documents
        self._busy = asyncio.Lock()
        self._known: _Known | None = None
        self._compiled: CompiledFleet | None = None
        self._refused: Outcome | None = None
        self._signable = 0
        self._presence = Presence(pool, objects)
        self._rolling = Rolling(pool, clock)

    async def ingest(self) -> Outcome:
        """Look at the remote once and publish what is new; the `remote` row keeps how it went.

        Raises what kept it from looking: RemoteUnreachable, NotFastForward, ClockBehind, KeyUnusable,
        ObjectsUnavailable, DatabaseUnavailable. A commit with errors is no exception but the outcome `refused`.
        """
        async with self._busy:
            seen: list[Revision] = []
            try:
                outcome = await self._look(seen)
            except DatabaseUnavailable:
                raise
            except Exception as problem:
                said = str(problem) if isinstance(problem, FleetError) else f"a bug in the server: {problem!r}"
                await self._note(seen, said)
                raise
            await self._note(seen, "")
            return outcome

    async def renew(self) -> int:
        """Sign the heads anew that are older than a day or name older trust; how many. Commits are not looked at."""
        async with self._busy:
            return await self._renew()

    async def roll(self) -> int:
        """Look how rollouts do and move them on; how many sites that gives a new generation.

        What follows from a look is published in one transaction, or, when another process was first, not at all: it is
        looked at again next time. CommitRefused: what is published cannot be compiled any more.
        """
        async with self._busy:
            base = await self._current()
            if base is None or not await self._rolling.has_work():
                return 0
            known = await self._knowledge(base)
            compiled = known.compiled or await self._compile_again(base)
            turn = await self._rolling.look(known.standing, compiled)
            if turn.absent:
                raise CommitRefused(f"cannot move a rollout on: in {base.revision[:12]} {turn.absent}", [turn.absent])
            if turn.changes:
                return await self._move(base, known, compiled, turn)
            self._known = msgspec.structs.replace(known, compiled=compiled, held=turn.held)
            return 0

    async def _compile_again(self, base: Published) -> CompiledFleet:
        compiled = await compile_tree(await self._git.tree(base.revision), self._compiled, self._documents)
        if compiled.has_errors:
            why = (
                f"cannot compile commit {base.revision[:12]} again, which is published: this server has become stricter"
            )
            raise CommitRefused(why, [str(problem) for problem in compiled.problems])
        return compiled

    async def _move(self, base: Published, known: _Known, compiled: CompiledFleet, turn: Turn) -> int:
        """Publish what rollouts came to, by the commit that is published."""
        now = self._clock()
        self._require_clock(base, None)
        async with connection(self._pool) as conn:
            trust = await self._published_trust(conn)
            assert trust is not None, "something is published"
            news = await asyncio.to_thread(self._news, known, Issue(base.revision, trust, now), compiled, turn)
            try:
                published = await publications.publish_again(conn, base, news, now=now)
            except Superseded:
                return 0
        self._known = known.after(published, news, compiled, turn, known.trust)
        return len(news.heads)

    def _news(self, known: _Known, issue: Issue, compiled: CompiledFleet, turn: Turn) -> News:
        changed = changed_sites(known.compiled, compiled) | turn.moved if known.compiled else None
        news = self._issuer.news(issue, turn.served(compiled), known.marks, changed)
        return news._replace(rolled=turn.changes)

    async def keep_documents(self) -> None:
        """Write down what was parsed, so that it need not be after a restart; nobody waits for that."""
        if self._documents is not None:
            await asyncio.to_thread(self._documents.keep)

    async def _look(self, seen: list[Revision]) -> Outcome:
        started = time.monotonic()
        for attempt in range(_TRIES):
            seen[:] = [await self._git.fetch()]
            try:
                outcome = await self._take(seen[0])
                break
            except Superseded:
                if attempt == _TRIES - 1:
                    raise
        return msgspec.structs.replace(outcome, seconds=time.monotonic() - started)

    async def _take(self, revision: Revision) -> Outcome:
        base = await self._current()
        if base and base.revision == revision:
            await self._require_key(base)
            return Outcome(verdict="unchanged", revision=revision)
        if self._refused and self._refused.revision == revision:
            return self._refused
        if base:
            await self._git.require_descendant(revision, base.revision)
        commit = await self._git.commit(revision)
        self._require_clock(base, commit.committed_at)
        try:
            tree = await self._git.tree(revision)
            compiled = await compile_tree(tree, self._compiled, self._documents)
        except CommitRefused as problem:
            return await self._refuse(base, commit, problem.problems, Revoked(), final=True)
        return await self._judge(base, commit, tree, compiled)

    async def _judge(self, base: Published | None, commit: CommitInfo, tree: Tree, compiled: CompiledFleet) -> Outcome:
        """Publish what was compiled, or say why not. Who may not commit may not revoke either."""
        untrusted = await self._untrusted(commit, compiled)
        if untrusted or compiled.has_errors:
            revoked = Revoked() if untrusted else compiled.revoked
            return await self._refuse(base, commit, (*untrusted, *compiled.problems), revoked, final=True)
        self._compiled = compiled
        if absent := await self._presence.absent(compiled, tree):
            # Looked at again next time: the upload may well come after the commit.
            return await self._refuse(base, commit, (*compiled.problems, *absent), compiled.revoked, final=False)
        known = await self._knowledge(base)
        impact, why = None, ""
        if base:
            before = (base.revision, known.compiled, known.marks)
            impact, why = await self._guarding.judge(before, commit.revision, compiled, self._clock())
        if why:
            told = (why, *compiled.problems)
            return await self._refuse(base, commit, told, compiled.revoked, final=True, verdict="held", impact=impact)
        messages = await self._git.messages(commit.revision, base.revision) if base else []
        turn = await self._rolling.take(known.standing, commit.revision, compiled, messages)
        if turn.absent:
            told = (turn.absent, *compiled.problems)  # judged again next time: the rollout goes on meanwhile
            return await self._refuse(base, commit, told, compiled.revoked, final=False, verdict="held", impact=impact)
        return await self._publish(base, known, commit, _Judged(compiled, turn, impact))

    async def _untrusted(self, commit: CommitInfo, compiled: CompiledFleet) -> tuple[object, ...]:
        """Why the commit must not count, whatever it says: judged by the root that is published, else by its own."""
        async with connection(self._pool) as conn:
            envelopes = await publications.newest_trust(conn)
        root = compiled.root if envelopes is None else read_root(envelopes[0], None)
        fault = signature_fault(root.commit_signers if root else [], commit.signature, commit.signed)
        unsigned = [f"commit {commit.revision[:12]}: error SignatureRefused: {fault}"] if fault else []
        return (*unsigned, *(require_continued(compiled.trust_documents, *envelopes) if envelopes else ()))

    async def _signed_by(self, commit: CommitInfo, own: TrustRoot | None) -> CommitSignature:
        """Who signed it, by the root that is published, else by its own."""
        async with connection(self._pool) as conn:
            envelopes = await publications.newest_trust(conn)
        root = own if envelopes is None else read_root(envelopes[0], None)
        return signature_of(root.commit_signers if root else [], commit.signature, commit.signed)

    async def _publish(self, base: Published | None, known: _Known, commit: CommitInfo, judged: _Judged) -> Outcome:
        compiled, turn, impact = judged
        assert compiled.root is not None, "a commit without a trust root has errors"
        self._issuer.require_allowed(compiled.root)
        now = self._clock()
        trust = trust_of(compiled)
        news = await asyncio.to_thread(self._news, known, Issue(commit.revision, trust, now), compiled, turn)
        look = _look_of(commit, compiled.problems, await self._signed_by(commit, compiled.root), impact)
        async with connection(self._pool) as conn:
            published = await publications.publish(
                conn,
                base,
                look,
                news,
                now=now,
                trust=[TrustRow(d.kind, d.version, d.envelope) for d in compiled.trust_documents],
                revoked=compiled.revoked.identities,
                documents=compiled.library(),
                seen=self._presence.seen,
            )
        settled = trust if known.trust == trust or not known.marks else None
        self._known = known.after(published, news, compiled, turn, settled)
        if settled is None:
            await self._renew()
        return Outcome(verdict="published", revision=commit.revision, sites=len(news.heads), problems=look.problems)

    async def _refuse(
        self,
        base: Published | None,
        commit: CommitInfo,
        problems: Iterable[object],
        revoked: Revoked,
        *,
        final: bool,
        verdict: Literal["refused", "held"] = "refused",
        impact: ChangeImpact | None = None,
    ) -> Outcome:
        """Keep serving what is published; `final`: nothing but another commit changes that."""
        look = _look_of(commit, problems, await self._signed_by(commit, None), impact)
        async with connection(self._pool) as conn:
            now_published = await publications.refuse(
                conn, base, look, revoked.identities, now=self._clock(), verdict=verdict
            )
        self._follow(base, now_published)
        outcome = Outcome(verdict=verdict, revision=commit.revision, problems=look.problems)
        self._refused = outcome if final else None
        return outcome

    async def _renew(self) -> int:
        renewed = 0
        while True:
            async with connection(self._pool) as conn:
                base, trust = await publications.current(conn), await self._published_trust(conn)
                if base is None or trust is None:
                    return renewed
                now = self._clock()
                self._require_clock(base, None)
                batch = await publications.outdated_heads(
                    conn, trust.root_version, trust.release_list.sha256, now - RENEW_AFTER, RENEW_BATCH
                )
                if not batch:
                    self._settle(base, trust)
                    return renewed
                heads = await asyncio.to_thread(self._sign_anew, batch, Issue(base.revision, trust, now))
                try:
                    self._follow(base, await publications.replace_heads(conn, base, heads))
                except Superseded:
                    continue
                renewed += len(batch)

    def _sign_anew(self, batch: Sequence[Word], issue: Issue) -> dict[SiteId, SignedHead]:
        return {word.site: self._issuer.sign(word, issue) for word in batch}

    async def _published_trust(self, conn: Connection) -> Trust | None:
        envelopes = await publications.newest_trust(conn)
        return None if envelopes is None else self._issuer.trust_of(*envelopes)

    async def _current(self) -> Published | None:
        async with connection(self._pool) as conn:
            return await publications.current(conn)

    async def _knowledge(self, base: Published | None) -> _Known:
        if base is None:
            return _Known(serial=0, marks={}, compiled=None, trust=None)
        if self._known and self._known.serial == base.serial:
            return self._known
        async with connection(self._pool) as conn:
            marks = await publications.marks(conn)
        return _Known(serial=base.serial, marks=marks, compiled=None, trust=None)

    def _follow(self, base: Published | None, now: Published | None) -> None:
        """Our own write changed no mark, only the serial."""
        if base and now and self._known and self._known.serial == base.serial:
            self._known = msgspec.structs.replace(self._known, serial=now.serial)

    def _settle(self, base: Published, trust: Trust) -> None:
        """Every head names `trust` as of this publication."""
        if self._known and self._known.serial == base.serial:
            self._known = msgspec.structs.replace(self._known, trust=trust)

    async def _require_key(self, base: Published) -> None:
        """KeyUnusable when the published root does not list ours: told now, not when the heads begin to expire."""
        if self._signable != base.serial:
            async with connection(self._pool) as conn:
                await self._published_trust(conn)
            self._signable = base.serial

    def _require_clock(self, base: Published | None, committed_at: datetime | None) -> None:
        newest = max(filter(None, (base and base.published_at, committed_at)), default=None)
        now = self._clock()
        if newest and now < newest - CLOCK_TOLERANCE:
            raise ClockBehind(
                f"cannot publish: our clock says {now:%Y-%m-%d %H:%M} UTC, which lies before the newest publication or "
                f"commit ({newest:%Y-%m-%d %H:%M}); set the clock"
            )

    async def _note(self, seen: Sequence[Revision], error: str) -> None:
        async with connection(self._pool) as conn:
            await remotes.record_look(conn, self._clock(), seen[0] if seen else None, error)


def _look_of(
    commit: CommitInfo, problems: Iterable[object], signature: CommitSignature, impact: ChangeImpact | None
) -> CommitLook:
    return CommitLook(
        revision=commit.revision,
        author=commit.author,
        subject=commit.subject,
        committed_at=commit.committed_at,
        problems=[str(problem) for problem in problems],
        impact=impact,
        signature=signature,
    )
