"""`neopro status`: the fleet on one screen."""

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cli.checkout import Checkout
from cli.flags import Flag
from cli.output import Output

if TYPE_CHECKING:
    from schemas.api import Change, FleetStatus, SiteSummary

WATCH_S: Final = 1.0
UNSETTLED: Final = frozenset(("Progressing", "Degraded", "Offline"))
_STYLE: Final = {"Synced": "32", "Progressing": "36", "Degraded": "31", "Offline": "31"}


def status(
    *,
    watch: Flag = False,
    repository: Path | None = None,
    json: Flag = False,
) -> int:
    """Show every site: its state, release and commit, how old its last report is, and what is wrong.

    Exit status 0: every box that reports has what Git says; 1: some do not (yet); 2: the control plane could not be
    asked. Needs NEOPRO_URL and NEOPRO_TOKEN, or a checkout that knows them (git config neopro.url, neopro.tokenfile).

    Examples:

    - `neopro status`
    - `neopro status --watch`
    - `neopro status --json`

    Parameters
    ----------
    watch
        Show it again when it changes, until Ctrl-C.
    repository
        The checkout whose settings to use; without it, the one around the current folder, if any.
    json
        Print it as JSON; with --watch, one document after the other.
    """
    from cli.remote import Remote, find_target

    output = Output(json)
    with Remote(find_target(os.environ, Checkout.find_if_any(repository))) as remote:
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
    return 1 if any(site.standing in UNSETTLED for site in fleet.sites) else 0


def _show(output: Output, fleet: "FleetStatus", now: datetime) -> None:
    output.data(fleet)
    counts = ", ".join(f"{number} {standing}" for standing, number in fleet.standings.items() if number)
    output.say(f"{len(fleet.sites)} sites: {counts or 'none yet'}")
    if fleet.remote_error:
        output.say(f"the Git remote: {fleet.remote_error}")
    for change in fleet.changes[:1]:
        output.say(_change(change))
        for problem in change.problems[:10]:
            output.say(f"  {problem}")
    output.say()
    rows = [_row(site, now) for site in fleet.sites]
    output.table(("SITE", "STATE", "RELEASE", "COMMIT", "REPORT", ""), rows, _STYLE)


def _change(change: "Change") -> str:
    if change.verdict == "held":
        return f"{change.commit[:7]} {change.subject!r} is held by a guard:"
    if change.verdict == "refused":
        return f"{change.commit[:7]} {change.subject!r} was refused:"
    return f"{change.commit[:7]} {change.subject!r}: {change.converged} of {change.sites} sites"


def _row(site: "SiteSummary", now: datetime) -> Sequence[str]:
    release = site.release.version if site.release else "-"
    if site.desired_release and site.desired_release != release:
        release = f"{release} → {site.desired_release}"
    age = _age((now - site.last_report_at).total_seconds()) if site.last_report_at else "never"
    why = site.message if site.standing != "Synced" else ""
    return (site.site, site.standing, release, site.commit[:7], age, why)


def _age(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _essence(fleet: "FleetStatus") -> object:
    """What makes it worth showing again: not the clock."""
    return fleet.changes, [(site.site, site.standing, site.message, site.reported_generation) for site in fleet.sites]
