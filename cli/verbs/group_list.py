"""`neopro group list`: every group, how many sites it has, and what it sets."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from cli.checkout import Checkout
from cli.flags import Flag
from cli.fleet_view import read_fleet
from cli.output import Output
from control_plane.core.resolve import SCALAR_KEYS
from schemas.desired import Group, Layer


def group_list(*, repository: Path | None = None, json: Flag = False) -> None:
    """List the groups by ascending priority, as they are layered: the last one that sets a key wins.

    Examples:

    - `neopro group list`
    - `neopro group list --json`

    Parameters
    ----------
    repository
        The checkout; without it, the one around the current folder.
    json
        Print the groups as JSON, whole.
    """
    output = Output(json)
    view = read_fleet(Checkout.find(repository))
    groups = sorted(view.groups.items(), key=lambda item: (item[1].priority, item[0]))
    members = {name: view.members(name) for name, _ in groups}
    output.data({"groups": [{"group": name, "members": members[name], **_document(group)} for name, group in groups]})
    rows = [
        [name, str(group.priority), str(len(members[name])), group.type, ", ".join(settings(group)) or "-"]
        for name, group in groups
    ]
    if rows:
        output.table(["GROUP", "PRIORITY", "SITES", "TYPE", "SETS"], rows)
    output.say(f"{len(groups)} groups")


def settings(layer: Layer) -> Iterator[str]:
    """What a layer sets, in brief."""
    for key in ("release", "agent", "rollout"):
        if (value := getattr(layer, key)) is not None:
            yield f"{key} {value}"
    yield from (f"+{name}" for name in layer.video_sets)
    yield from (f"-{name}" for name in layer.without_video_sets)
    yield from (f"config.{key}" for key in layer.config)
    rest = [key for key in SCALAR_KEYS if key not in ("release", "agent", "rollout")]
    yield from (key for key in rest if getattr(layer, key) is not None)


def _document(group: Group) -> dict[str, object]:
    document: dict[str, object] = msgspec.to_builtins(group)
    return {key: value for key, value in document.items() if value not in (None, [], {})}
