"""`neopro set list`: the video sets, and how many sites each comes to."""

from pathlib import Path

import msgspec

from cli.checkout import Checkout
from cli.flags import Flag
from cli.fleet_view import read_fleet
from cli.output import Output
from cli.video_library import read_library, sites_wanting
from cli.words import count
from schemas.desired import VideoSet


def set_list(*, repository: Path | None = None, json: Flag = False) -> int:
    """List the video sets: where they are shown on the box, how many videos they have, how many sites they come to.

    Exit status 1: there is none.

    Examples:

    - `neopro set list`
    - `neopro set list --json`

    Parameters
    ----------
    repository
        The checkout; without it, the one around the current folder.
    json
        Print the sets as JSON, with their videos and sites.
    """
    output = Output(json)
    view = read_fleet(Checkout.find(repository))
    sets = read_library(view).sets
    sites = {name: sites_wanting(view, {name}) for name in sets}
    output.data({"sets": [{"set": name, **_document(found), "sites": sites[name]} for name, found in sets.items()]})
    rows = [
        [name, str(len(found.videos)), str(len(sites[name])), _shown(found), found.name] for name, found in sets.items()
    ]
    if rows:
        output.table(["SET", "VIDEOS", "SITES", "SHOWN", "NAME"], rows)
    output.say(count(len(rows), "set"))
    return 0 if rows else 1


def _shown(video_set: VideoSet) -> str:
    """The category, the blocks of the remote control that show it, the loop that plays it."""
    category = video_set.category.name + (f" / {video_set.subcategory.name}" if video_set.subcategory else "")
    blocks = f" in {', '.join(video_set.blocks)}" if video_set.blocks else ""
    return category + blocks + (f", loop {video_set.loop}" if video_set.loop else "")


def _document(video_set: VideoSet) -> dict[str, object]:
    document: dict[str, object] = msgspec.to_builtins(video_set)
    return document
