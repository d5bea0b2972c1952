"""Where a layer is written: a site's file, a group's, or the fleet's defaults."""

from typing import Any, NamedTuple

from cli.checkout import Checkout
from cli.errors import CommandFailed
from schemas.desired import Fleet, Group, Site


class LayerPlace(NamedTuple):
    """A layer in a file: `at` are the keys above it, `kind` the file's kind, `name` how people call it."""

    path: str
    at: tuple[str, ...]
    kind: type[Any]
    name: str


def layer_place(checkout: Checkout, *, site: str | None, group: str | None, fleet: bool) -> LayerPlace:
    """The one layer that is meant; CommandFailed when it is none or several, or there is no such document."""
    if sum((site is not None, group is not None, fleet)) != 1:
        raise CommandFailed("cannot tell which layer is meant: name one of --site S, --group G and --fleet")
    if site is not None:
        return LayerPlace(checkout.path_of("sites", site), (), Site, site)
    if group is not None:
        return LayerPlace(checkout.path_of("groups", group), (), Group, f"the group {group}")
    return LayerPlace("fleet.yaml", ("defaults",), Fleet, "the fleet")
