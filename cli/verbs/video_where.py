"""`neopro video where`: why a video is on which boxes."""

from pathlib import Path

from cli.checkout import Checkout
from cli.flags import Flag
from cli.fleet_view import read_fleet
from cli.library import layers_naming, read_library, sites_wanting
from cli.output import Output
from cli.words import size


def video_where(video: str, /, *, repository: Path | None = None, json: Flag = False) -> int:
    """Tell where a video is wanted: the sets that name it, the layers that name those, and the sites they come to.

    It is read from the checkout alone. Exit status 1: no site wants it.

    Examples:

    - `neopro video where noel`
    - `neopro video where noel --json`

    Parameters
    ----------
    video
        A video of the library, by its id.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print it as JSON.
    """
    output = Output(json)
    view = read_fleet(Checkout.find(repository))
    library = read_library(view)
    document = library.video(video)
    places = library.places.get(video, [])
    sets = {place.set for place in places}
    layers = list(layers_naming(view, sets))
    sites = sites_wanting(view, sets)
    output.data(
        {
            "video": video,
            "digest": document.digest,
            "size_bytes": document.size_bytes,
            "sets": [place.data for place in places],
            "layers": [{"layer": layer, "set": name} for layer, name in layers],
            "sites": sites,
        }
    )
    output.say(f"{video}  {document.name}, {size(document.size_bytes)}")
    output.say(f"sets    {', '.join(map(str, places)) or 'none; neopro set add puts it into one'}")
    if sets:
        said = ", ".join(layer if len(sets) == 1 else f"{layer} ({name})" for layer, name in layers)
        output.say(f"layers  {said or 'none names these sets under video_sets'}")
    output.say(f"sites   {_sites(sites, len(view.sites))}")
    return 0 if sites else 1


def _sites(sites: list[str], of: int) -> str:
    return f"{len(sites)} of {of}" + (f": {', '.join(sites)}" if sites else "")
