"""`neopro status`: the fleet on one screen, or how far one commit got."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli import change as changes
from cli.checkout import Checkout
from cli.flags import Flag
from cli.output import Output
from cli.sites_table import show_sites

if TYPE_CHECKING:
    from cli.remote import Remote
    from schemas.api import Change, FleetStatus

WATCH_S: Final = 1.0
UNSETTLED: Final = frozenset(("Progressing", "Degraded", "Offline"))


def status(
    *,
    change: str | None = None,
    watch: Flag = False,
    repository: Path | None = None,
    json: Flag = False,
) -> int:
    """Show every site: its state, release and commit, how old its last report is, and what is wrong.

    Those that need attention come first. With --change, how far one commit got: how many of the sites that it changes
    are there, which are missing and why; with --watch, until all are there. Where sites wait for their wave of a
    rollout, that is said as well.

    Exit status 0: every box that reports has what Git says, or the commit is everywhere; 1: not (yet); 2: the control
    plane could not be asked. `neopro help environment` tells how to name it.

    Examples:

    - `neopro status`
    - `neopro status --watch`
    - `neopro status --change HEAD --watch`
    - `neopro status --json`

    Parameters
    ----------
    change
        A commit, as git knows it in the checkout (HEAD, a branch, an id), or its id.
    watch
        Show it again when it changes, until Ctrl-C, or until the commit is everywhere.
    repository
        The checkout whose settings to use; without it, the one around the current folder, if any.
    json
        Print it as JSON; with --watch, one document after the other.
    """
    from cli.remote import Remote, find_target

    output = Output(json)
    checkout = Checkout.find_if_any(repository)
    with Remote(find_target(os.environ, checkout)) as remote:
        if change is not None:
            return _follow(output, remote, changes.full_id(change, checkout), watch)
        fleet = remote.fleet()
        _show(output, fleet, datetime.now(UTC))
        while watch:
            time.sleep(WATCH_S)
            before, fleet = fleet, remote.fleet()
            if output.is_terminal:
                output.clear()
                _show(output, fleet, datetime.now(UTC))
            elif _essence(fleet) != _essence(before):
                output.say()
                _show(output, fleet, datetime.now(UTC))
    settled = not any(site.standing in UNSETTLED for site in fleet.sites)
    return 0 if settled and not any(rollout.waiting for rollout in fleet.rollouts) else 1


def _follow(output: Output, remote: "Remote", commit: str, watch: bool) -> int:
    progress = changes.ask(remote, commit)
    changes.show(output, progress, datetime.now(UTC))
    while watch and progress.may_move:
        time.sleep(WATCH_S)
        before, progress = progress, changes.ask(remote, commit)
        if progress != before:
            if output.is_terminal:
                output.clear()
            changes.show(output, progress, datetime.now(UTC))
    return 0 if progress.is_done else 1


def _show(output: Output, fleet: "FleetStatus", now: datetime) -> None:
    from cli.rollouts import line_of

    output.data(fleet)
    counts = ", ".join(f"{number} {standing}" for standing, number in fleet.standings.items() if number)
    output.say(f"{len(fleet.sites)} sites: {counts or 'none yet'}")
    if fleet.remote_error:
        output.say(f"the Git remote: {fleet.remote_error}")
    for change in fleet.changes[:1]:
        output.say(_change(change))
        for problem in change.problems[:10]:
            output.say(f"  {problem}")
    for rollout in fleet.rollouts:
        output.say(line_of(rollout))
    output.say()
    show_sites(output, fleet.sites, now)


def _change(change: "Change") -> str:
    if change.verdict != "published":
        fate = "is held" if change.verdict == "held" else f"was {change.verdict}"
        return f"{change.commit[:7]} {change.subject!r} {fate}:"
    return f"{change.commit[:7]} {change.subject!r}: {change.converged} of {change.sites} sites"


def _essence(fleet: "FleetStatus") -> object:
    """What makes it worth showing again: not the clock."""
    return (
        fleet.changes,
        fleet.rollouts,
        [(site.site, site.standing, site.message, site.reported_generation) for site in fleet.sites],
    )
