"""`neopro video where`: why a video is on which boxes."""

import os
from pathlib import Path

from cli.checkout import Checkout
from cli.flags import Flag
from cli.fleet_view import read_fleet
from cli.output import Output
from cli.video_library import layers_naming, read_library, sites_wanting
from cli.words import size
from schemas.names import Digest, SiteId


def video_where(video: str, /, *, offline: Flag = False, repository: Path | None = None, json: Flag = False) -> int:
    """Tell where a video is wanted and where it is: sets, layers, sites, and the boxes that have it.

    What is wanted is read from the checkout. Where a control plane is configured it is asked which boxes reported
    that they are as a manifest with this very file says. Exit status 1: no site wants it.

    Examples:

    - `neopro video where noel`
    - `neopro video where noel --json`

    Parameters
    ----------
    video
        A video of the library, by its id.
    offline
        Ask no control plane.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print it as JSON.
    """
    output = Output(json)
    checkout = Checkout.find(repository)
    view = read_fleet(checkout)
    library = read_library(view)
    document = library.video(video)
    places = library.places.get(video, [])
    sets = {place.set for place in places}
    layers = list(layers_naming(view, sets))
    sites = sites_wanting(view, sets)
    there = None if offline else _boxes_with(checkout, document.digest)
    output.data(
        {
            "video": video,
            "digest": document.digest,
            "size_bytes": document.size_bytes,
            "sets": [place.data for place in places],
            "layers": [{"layer": layer, "set": name} for layer, name in layers],
            "sites": sites,
            "there": there,
        }
    )
    output.say(f"{video}  {document.name}, {size(document.size_bytes)}")
    output.say(f"sets    {', '.join(map(str, places)) or 'none; neopro set add puts it into one'}")
    if sets:
        said = ", ".join(layer if len(sets) == 1 else f"{layer} ({name})" for layer, name in layers)
        output.say(f"layers  {said or 'none names these sets under video_sets'}")
    output.say(f"sites   {_sites(sites, len(view.sites))}")
    if there is not None:
        output.say(f"there   {_sites([site for site in sites if site in there], len(sites))}")
        if others := [site for site in there if site not in sites]:
            output.say(f"still   {', '.join(others)}: there, and no longer wanted")
    return 0 if sites else 1


def _sites(sites: list[str], of: int) -> str:
    return f"{len(sites)} of {of}" + (f": {', '.join(sites)}" if sites else "")


def _boxes_with(checkout: Checkout, digest: Digest) -> list[SiteId] | None:
    """The sites whose box reported a manifest with this file as reached; None where no control plane is configured."""
    from cli.remote import Remote, find_target_if_any

    target = find_target_if_any(os.environ, checkout)
    if target is None:
        return None
    with Remote(target) as remote:
        reached = {one.site: one.manifest for one in remote.observations().sites if one.manifest}
        manifests = remote.manifests(set(reached.values()))
    holding = {name for name, manifest in manifests.items() if any(file.digest == digest for file in manifest.content)}
    return sorted(site for site, manifest in reached.items() if manifest in holding)
