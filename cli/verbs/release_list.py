"""`neopro release list`: every release, whether boxes may run it, and how many are to."""

from pathlib import Path
from typing import Final

from cli.checkout import Checkout
from cli.flags import Flag
from cli.fleet_view import read_fleet
from cli.output import Output
from cli.releases import Kind, read_shelf, sites_on
from cli.words import count, size

STYLES: Final = {"revoked": "31", "not in the list": "33", "other files": "31"}


def release_list(*, agent: Flag = False, repository: Path | None = None, json: Flag = False) -> int:
    """List the releases, the newest first: whether the signed list allows them, and how many sites are to run them.

    Exit status 1: there is none.

    Examples:

    - `neopro release list`
    - `neopro release list --agent --json`

    Parameters
    ----------
    agent
        The agent's releases.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print the releases as JSON.
    """
    output = Output(json)
    checkout = Checkout.find(repository)
    view = read_fleet(checkout)
    kind: Kind = "agent" if agent else "app"
    shelf = read_shelf(checkout, view, kind)
    newest_first = list(shelf.documents.items())[::-1]
    sites = {version: sites_on(view, kind, version) for version, _ in newest_first}
    output.data(
        {
            "releases": [
                {
                    "version": version,
                    "standing": shelf.standing(version),
                    "sites": sites[version],
                    "size_bytes": document.size_bytes,
                    "tree": document.tree,
                    "changelog": document.changelog,
                }
                for version, document in newest_first
            ]
        }
    )
    rows = [
        [
            version,
            shelf.standing(version),
            str(len(sites[version])),
            size(document.size_bytes),
            first_line(document.changelog),
        ]
        for version, document in newest_first
    ]
    if rows:
        output.table(["VERSION", "STANDING", "SITES", "SIZE", "CHANGES"], rows, STYLES)
    output.say(count(len(rows), "release"))
    return 0 if rows else 1


def first_line(text: str) -> str:
    """The first line of a changelog."""
    return text.strip().partition("\n")[0] or "-"
