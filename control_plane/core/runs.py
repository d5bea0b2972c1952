"""Runs of agents that speak for one site: one follows the other, unless two machines have one identity.

An agent makes up the id of its run when it starts, and never goes back to an earlier one. A run that was followed by
another and comes again once may have been held up on the way; runs that come in turn are two machines.
"""

from typing import Final, NamedTuple

from msgspec import Struct

from schemas.status import RunId

MAX_EARLIER: Final = 4
FORKED: Final = 3
"""So many returns: a report that overtook another on the way makes two of them, a second machine makes more."""


class Run(NamedTuple):
    """A run, and the newest report of it."""

    id: RunId
    sequence: int


class Runs(Struct, frozen=True, omit_defaults=True, gc=False):
    """What was there before the run that spoke last, the newest first; `returns`: how often one of them came again."""

    earlier: tuple[Run, ...] = ()
    returns: int = 0

    @property
    def forked(self) -> bool:
        """Whether two machines speak for the site."""
        return self.returns >= FORKED


def follow(spoke_last: Run | None, known: Runs, now: Run) -> Runs | None:
    """What is known after the report `now`; None when that report is no news, or was overtaken by later ones."""
    if spoke_last is None:
        return Runs()
    if now.id == spoke_last.id:
        return known if now.sequence > spoke_last.sequence else None
    before = next((run for run in known.earlier if run.id == now.id), None)
    if before is not None and now.sequence <= before.sequence:
        return None
    others = [run for run in known.earlier if run.id != now.id]
    earlier = (spoke_last, *others)[:MAX_EARLIER]
    return Runs(earlier, known.returns + 1 if before is not None else 0)
