"""How far a commit got: who is there, who is missing and why."""

import subprocess
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from cli.checkout import Checkout
from cli.output import Output
from cli.sites_table import show_sites

if TYPE_CHECKING:
    from cli.remote import Remote
    from schemas.api import Change, SiteSummary
    from schemas.rollouts import RolloutInfo

PLANNED: Final = "NoIdentity"
"""The reason of a site whose file names no box."""
NAMED: Final = 5


class Progress(NamedTuple):
    """A commit and the sites that are not there yet; `change` is None while the control plane does not know it.

    `planned`: those of the changed sites that have no box yet, for which nobody waits. `rollouts`: those that it began
    and for which sites still wait.
    """

    change: "Change | None"
    missing: "list[SiteSummary]"
    planned: "list[SiteSummary]"
    rollouts: "list[RolloutInfo]"

    @property
    def is_done(self) -> bool:
        """Whether every site that the commit changed and that has a box is there."""
        published = self.change is not None and self.change.verdict == "published"
        return published and not self.missing and not self.rollouts

    @property
    def may_move(self) -> bool:
        """Whether it is worth waiting for: what was refused, held or halted needs another commit."""
        if self.change is None:
            return True
        rolling = any(rollout.phase == "rolling" for rollout in self.rollouts)
        return self.change.verdict == "published" and (bool(self.missing) or rolling)


def full_id(commit: str, checkout: Checkout | None) -> str:
    """The id of what git calls so in the checkout (`HEAD`, a branch, an abbreviation); the same text elsewhere."""
    if checkout is None:
        return commit
    asked = ["git", "-C", str(checkout.root), "rev-parse", "--verify", "--quiet", "--end-of-options"]
    try:
        answer = subprocess.run([*asked, f"{commit}^{{commit}}"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return commit
    return answer.stdout.strip() if answer.returncode == 0 else commit


def ask(remote: "Remote", commit: str) -> Progress:
    """How far the commit is now."""
    change = remote.change(commit)
    if change is None:
        return Progress(None, [], [], [])
    rollouts = [one for one in remote.rollouts() if one.commit == change.commit and one.waiting]
    if not change.missing:
        return Progress(change, [], [], rollouts)
    names = {*change.missing}
    sites = [site for site in remote.fleet().sites if site.site in names]
    missing = [site for site in sites if site.reason != PLANNED]
    return Progress(change, missing, [site for site in sites if site.reason == PLANNED], rollouts)


def show(output: Output, progress: Progress, now: datetime) -> None:
    """A line for the commit, and a table of who is missing and why."""
    from cli.rollouts import line_of

    output.data(progress._asdict())
    if progress.change is None:
        output.say("the control plane has not looked at this commit yet; was it pushed?")
        return
    for line in _lines(progress.change):
        output.say(line)
    for rollout in progress.rollouts:
        output.say(line_of(rollout))
    if progress.planned:
        names = ", ".join(site.site for site in progress.planned[:NAMED])
        more = " …" if len(progress.planned) > NAMED else ""
        output.say(f"{len(progress.planned)} have no box yet: {names}{more}")
    if progress.missing:
        output.say()
        show_sites(output, progress.missing, now)


def _lines(change: "Change") -> Iterator[str]:
    yield f"{change.commit[:7]} {change.subject!r}, {change.author}: {_verdict(change)}"
    yield from (f"  {problem}" for problem in change.problems[:10])


def _verdict(change: "Change") -> str:
    if change.verdict != "published":
        return f"{change.verdict}; boxes keep what was published before"
    if change.sites == 0:
        return "published; it changed no site"
    return f"{change.converged} of {change.sites} sites are there"
