"""`neopro config get`: what the box's configuration is to be, in one layer or resolved for a site."""

from pathlib import Path
from typing import Any

from cli.checkout import Checkout
from cli.edits import Edit, flow, scalar
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.fleet_view import read_fleet
from cli.layers import layer_place
from cli.output import Output


def config_get(
    site: str | None = None,
    key: str | None = None,
    /,
    *,
    group: str | None = None,
    fleet: Flag = False,
    repository: Path | None = None,
    json: Flag = False,
) -> int:
    """Print configuration: as it resolves for SITE, or as one layer writes it (--group, --fleet).

    Exit status 1: KEY is not managed there, so the box keeps what the club has. `neopro why SITE config.KEY` tells
    where a value comes from.

    Examples:

    - `neopro config get rennes-fc`
    - `neopro config get rennes-fc scoreOverlay.position`
    - `neopro config get --fleet liveScoreEnabled`
    - `neopro config get --group rugby --json`

    Parameters
    ----------
    site
        A site: what all layers come to.
    key
        A key, a key within another as scoreOverlay.position; without it, everything.
    group
        What this group writes, and nothing else.
    fleet
        What fleet.yaml writes, and nothing else.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print the value as JSON.
    """
    output = Output(json)
    checkout = Checkout.find(repository)
    if (group or fleet) and site and key is None:
        site, key = None, site  # with a layer named, the one word is the key
    whole = _resolved(checkout, site) if site and not (group or fleet) else _written(checkout, site, group, fleet)
    path = tuple(key.split(".")) if key else ()
    found, value = _at(whole, path)
    output.data(value)
    if not found:
        output.note(f"{key} is not managed {'there' if site is None else f'for {site}'}")
        return 1
    for line in _lines(value):
        output.say(line)
    return 0


def _resolved(checkout: Checkout, site: str) -> dict[str, Any]:
    return read_fleet(checkout).site(site).resolved.config


def _written(checkout: Checkout, site: str | None, group: str | None, fleet: bool) -> dict[str, Any]:
    if site is None and group is None and not fleet:
        raise CommandFailed("cannot tell whose configuration is meant: name a SITE, --group G or --fleet")
    place = layer_place(checkout, site=site, group=group, fleet=fleet)
    return Edit(checkout.read(place.path), place.path).get((*place.at, "config")) or {}


def _at(value: Any, path: tuple[str, ...]) -> tuple[bool, Any]:
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return False, None
        value = value[key]
    return True, value


def _lines(value: Any) -> list[str]:
    """A value alone as it is; a map as one line a leaf."""
    if not isinstance(value, dict):
        return [flow(value) if isinstance(value, list) else value if isinstance(value, str) else scalar(value)]
    return [f"{name}: {text}" for name, text in _leaves(value, "")]


def _leaves(value: dict[str, Any], above: str) -> list[tuple[str, str]]:
    found = []
    for key, item in value.items():
        if isinstance(item, dict) and item:
            found += _leaves(item, f"{above}{key}.")
        else:
            found.append((f"{above}{key}", flow(item) if isinstance(item, dict | list) else scalar(item)))
    return found
