"""`neopro group members`: who is in a group."""

from pathlib import Path

from cli.checkout import Checkout
from cli.flags import Flag
from cli.fleet_view import read_fleet
from cli.output import Output


def group_members(group: str, /, *, repository: Path | None = None, json: Flag = False) -> int:
    """List the sites in a group, by the selectors that the server uses.

    Piped, it prints one id a line. Exit status 1: the group has no site.

    Examples:

    - `neopro group members bretagne`
    - `neopro group members bretagne --json`

    Parameters
    ----------
    group
        Its id.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print the ids as JSON.
    """
    output = Output(json)
    view = read_fleet(Checkout.find(repository))
    view.group(group)
    members = view.members(group)
    output.data({"group": group, "members": members})
    if not output.is_terminal:
        output.say("\n".join(members)) if members else None
    elif members:
        rows = [[name, view.sites[name].document.name, view.sites[name].document.location.city] for name in members]
        output.table(["SITE", "NAME", "CITY"], rows)
    if not members:
        output.note(f"no site is in {group}; its selector is in groups/{group}.yaml")
    return 0 if members else 1
