"""`neopro release show`: a release, whole: what it is, whether boxes may run it, who is to."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from cli.checkout import Checkout
from cli.flags import Flag
from cli.fleet_view import read_fleet
from cli.output import Output
from cli.releases import Kind, layers_naming, read_shelf, sites_on
from cli.words import size
from schemas.desired import AgentRelease, Release


def release_show(version: str, /, *, agent: Flag = False, repository: Path | None = None, json: Flag = False) -> None:
    """Show a release: whether the signed list allows it, the layers that name it, the sites, patches and changes.

    Examples:

    - `neopro release show 2.2.0`
    - `neopro release show 2.2.0 --json`

    Parameters
    ----------
    version
        Its version.
    agent
        The agent's release of that version.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print it as JSON.
    """
    output = Output(json)
    checkout = Checkout.find(repository)
    view = read_fleet(checkout)
    kind: Kind = "agent" if agent else "app"
    shelf = read_shelf(checkout, view, kind)
    document = shelf.require(version)
    layers, sites = list(layers_naming(view, kind, version)), sites_on(view, kind, version)
    standing = {"standing": shelf.standing(version), "layers": layers, "sites": sites}
    output.data({**msgspec.to_builtins(document), **standing})
    output.say(f"{version}  {shelf.standing(version)}, {size(document.size_bytes)}")
    output.say(f"tree     {document.tree}")
    for line in _facts(document):
        output.say(line)
    output.say(f"layers   {', '.join(layers) or 'none names it'}")
    output.say(f"sites    {len(sites)} of {len(view.sites)}" + (f": {', '.join(sites)}" if sites else ""))
    for line in document.changelog.strip().splitlines():
        output.say(f"  {line}".rstrip())


def _facts(document: Release | AgentRelease) -> Iterator[str]:
    """What only releases of the applications have."""
    if isinstance(document, Release):
        requires = [f"from {document.requires.from_}"] if document.requires.from_ else []
        requires += [f"agent {document.requires.agent}"] if document.requires.agent else []
        requires += [" or ".join(document.requires.hardware)] if document.requires.hardware else []
        yield f"needs    {', '.join(requires) or 'nothing'}"
        yield f"restarts {', '.join(document.services)}; healthy within {document.health.within}"
        patches = [f"from {patch.from_}: {size(patch.size_bytes)}" for patch in document.patches]
        yield f"patches  {', '.join(patches) or 'none'}"
