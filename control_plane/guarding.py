"""What a commit would change, by the plan that `neopro plan` shows, and whether the guards let it go."""

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime

from control_plane.compiling import compile_tree
from control_plane.core.compile import CompiledFleet
from control_plane.core.guards import Impact, Verdict, allowance_of, impact_of_marks, judge_impact
from control_plane.core.number import Mark
from control_plane.core.plan import guards_of, plan
from control_plane.git_source import GitSource
from schemas.api import ChangeImpact
from schemas.names import Revision, SiteId


class Guarding:
    """Judges commits by the guards of what is published and by their own."""

    def __init__(self, git: GitSource) -> None:
        self._git = git

    async def judge(
        self,
        published: tuple[Revision, CompiledFleet | None, Mapping[SiteId, Mark]],
        revision: Revision,
        compiled: CompiledFleet,
        now: datetime,
    ) -> tuple[ChangeImpact, str]:
        """The impact of `compiled` on what is published, and why it is held: empty when it may go.

        `published`: its revision, its compilation where this process holds it (else it is read from the clone and
        compiled again), and its marks.
        """
        base, before, marks = published
        if before is None:
            before = await compile_tree(await self._git.tree(base), compiled)
        messages = await self._git.messages(revision, base)
        return await asyncio.to_thread(_judge, before, marks, compiled, now, messages)


def _judge(
    before: CompiledFleet, marks: Mapping[SiteId, Mark], compiled: CompiledFleet, now: datetime, messages: Iterable[str]
) -> tuple[ChangeImpact, str]:
    if before.has_errors:
        # A server that has become stricter cannot plan from what it let through before; the guards hold all the same.
        impact = impact_of_marks(marks, compiled.sites)
        verdict = judge_impact(impact, guards_of(before, compiled), allowance_of(messages))
        return _told(impact, verdict, 0), verdict.sentence
    made = plan(before, compiled, None, now, messages=messages)
    return _told(made.impact, made.guard, made.totals.download_bytes), made.guard.sentence


def _told(impact: Impact, verdict: Verdict, download_bytes: int) -> ChangeImpact:
    return ChangeImpact(
        sites=impact.sites,
        removals=impact.removals,
        total=impact.total,
        download_bytes=download_bytes,
        sites_allowed=verdict.sites_allowed,
        removals_allowed=verdict.removals_allowed,
        trailer=verdict.trailer,
    )
