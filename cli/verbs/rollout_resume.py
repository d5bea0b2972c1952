"""`neopro rollout resume`: go on with a rollout that halted."""

from cli.errors import CommandFailed
from cli.flags import Flag
from cli.fleet_view import read_fleet
from cli.landing import WRITTEN, Landing, land_message
from cli.releases import Kind, read_shelf, sites_on
from control_plane.core.rollout_trailer import resuming
from schemas.rollouts import RolloutKind


def rollout_resume(version: str, /, *, agent: Flag = False, landing: Landing = WRITTEN) -> None:
    """Go on with the rollouts of a version that halted: make a commit that changes no file and says so.

    One that holds goes on from the wave that it had reached, and what failed until then counts no more; one that was
    rolled back begins anew with its first wave. A rollout that has not halted stays as it is.

    Examples:

    - `neopro rollout resume 2.2.0 --commit`
    - `neopro rollout resume 1.3.0 --agent --branch go-on --message "Two boxes had a full disk"`

    Parameters
    ----------
    version
        The version that is rolled out.
    agent
        The agent of that version, and not the release.
    """
    checkout = landing.checkout()
    view = read_fleet(checkout)
    kind: Kind = "agent" if agent else "app"
    word: RolloutKind = "agent" if agent else "release"
    read_shelf(checkout, view, kind).require(version)
    if not sites_on(view, kind, version):
        raise CommandFailed(
            f"cannot go on with {word} {version}: no site is to run it; see: neopro release show {version}"
            f"{' --agent' if agent else ''}"
        )
    subject = f"Go on with the rollout of {word} {version}"
    land_message(landing, checkout, subject, resuming(word, version), {"kind": word, "version": version})
