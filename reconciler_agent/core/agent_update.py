"""Another release of the agent itself: what is wanted, what runs and what failed, to the next step towards it.

    fetch · verify · download · stage | on trial, in a life of its own | good: the next agent says so
    the trial fails (the launcher saw it): the agent before runs, and remembers the bad one until another is wanted

An agent disturbs nobody who watches: it waits for no window, only for the end of a release's activation and test.
"""

from typing import Final, Literal

from msgspec import Struct

from schemas.manifest import AgentTarget, Instant
from schemas.names import Digest
from schemas.status import Message

WITHIN_S: Final = 900
"""How long a new agent may take to complete a poll and a report, while the control plane can be reached."""


class Trial(Struct, frozen=True, kw_only=True):
    """`trial.json`: an agent on trial, as the launcher keeps it (`launcher.KINDS`); `version` and `tree` are ours.

    `failed`: why it is over, empty while it is not. `url`, `ca`: where the launcher looks whether there is a network.
    """

    slot: str
    lives: int = 0
    boot: str = ""
    stood: bool = False
    failed: str = ""
    url: str
    ca: str
    within_s: int = WITHIN_S
    version: str
    tree: Digest


class BadAgent(Struct, frozen=True, kw_only=True):
    """A release of the agent that failed here, and how."""

    version: str
    tree: Digest
    message: Message
    at: Instant


class Updates(Struct, frozen=True, kw_only=True):
    """What must be remembered of the agent's own releases."""

    bad: BadAgent | None = None


class Seen(Struct, frozen=True, kw_only=True):
    """The slots of this box. `running`: the one that this process came from; `staged`: those found whole in this life.

    `trial`: what is on trial, or was and failed.
    """

    running: str
    good: str
    staged: frozenset[str] = frozenset()
    trial: Trial | None = None


Next = Literal["rest", "unable", "refused", "switched_off", "stage", "settle", "begin"]
"""`unable`: this agent runs from no slot. `settle`: it is staged, and something is under way. `begin`: its trial."""


def slot_of(target: AgentTarget) -> str:
    """The name of a release's slot."""
    return f"{target.version}-{target.tree.partition(':')[2][:8]}"


def decide(
    wanted: AgentTarget | None, seen: Seen | None, known: Updates, version: str, *, updates: bool, steady: bool
) -> Next:
    """The next step. `seen`: None where this agent, of `version`, runs from no slot. `updates`: they are allowed."""
    running = version if seen is None else seen.running
    if wanted is None or running == (wanted.version if seen is None else slot_of(wanted)):
        return "rest"
    if seen is None:
        return "unable"
    if known.bad is not None and known.bad.tree == wanted.tree:
        return "refused"
    if not updates:
        return "switched_off"
    if slot_of(wanted) not in seen.staged:
        return "stage"
    return "begin" if steady else "settle"


def face(known: Updates, wanted: AgentTarget | None, running: str) -> Updates:
    """What is known, in view of what is wanted now: another release, or the bad one running after all, clears it."""
    bad = known.bad
    if bad is None or (wanted is not None and wanted.tree == bad.tree and slot_of(wanted) != running):
        return known
    return Updates()


def condemn(known: Updates, trial: Trial, now: Instant) -> Updates:
    """What is known after a trial that failed."""
    if known.bad is not None and known.bad.tree == trial.tree:
        return known
    return Updates(bad=BadAgent(version=trial.version, tree=trial.tree, message=trial.failed[:2000], at=now))
