"""`neopro why`: where a site's values come from."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output

if TYPE_CHECKING:
    from cli.git_history import Past
    from control_plane.core.compile import Origin

Blames = Mapping[str, Mapping[int, "Past | None"]]


def why(site: str, key: str | None = None, /, *, repository: Path | None = None, json: Flag = False) -> None:
    """Tell where a site's values come from: file, line and layer, and the commit, author and day of that line.

    Layers are fleet, then the site's groups by ascending priority, then the site itself; the highest that sets a key
    wins. Values are told as the files on disk give them.

    Examples:

    - `neopro why rennes-fc`
    - `neopro why rennes-fc release`
    - `neopro why rennes-fc config.scoreOverlay`
    - `neopro why rennes-fc video_sets.annonces-nationales --json`

    Parameters
    ----------
    site
        Its id.
    key
        A key (config.scoreOverlay.position) or the beginning of several; without it, all of them.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print it as JSON.
    """
    output = Output(json)
    checkout = Checkout.find(repository)
    found = _wanted(_origins(checkout, site), site, key)
    blames = _blames(checkout, {origin.file for origin in found})
    output.data([_data(origin, blames) for origin in found])
    for origin in found:
        output.say(f"{origin.key}: {_value(origin)}")
        output.say(f"    {origin.layer}, {origin.file}:{origin.line}{_past(origin, blames)}")


def _origins(checkout: Checkout, site: str) -> list["Origin"]:
    from cli.verbs.validate import read_folder
    from control_plane.core.compile import compile_commit, explain

    compiled = compile_commit(*read_folder(checkout.root))
    found = explain(compiled, site)
    if not found and site not in compiled.state.sites.records:
        near = get_close_matches(site, compiled.state.sites.records, 1)
        hint = f"did you mean {near[0]}?" if near else "neopro site list tells the ids"
        raise CommandFailed(f"cannot explain {site}: there is no such site that can be read; {hint}")
    return found


def _wanted(origins: list["Origin"], site: str, key: str | None) -> list["Origin"]:
    """Those at or below the key; CommandFailed, with the nearest, where nothing sets it."""
    found = [o for o in origins if key is None or o.key == key or o.key.startswith(f"{key}.")]
    if found or key is None:
        return found
    near = get_close_matches(key, [origin.key for origin in origins], 1)
    hint = f"did you mean {near[0]}?" if near else f"neopro why {site} lists what is set"
    raise CommandFailed(f"no layer sets {key} for {site}: it is not managed; {hint}", status=1)


def _blames(checkout: Checkout, files: Iterable[str]) -> Blames:
    from cli.git_history import blame_of

    return {file: blame_of(checkout, file) for file in files}


def _past(origin: "Origin", blames: Blames) -> str:
    lines = blames[origin.file]
    if origin.line not in lines:
        return ""
    past = lines[origin.line]
    return "; not committed yet" if past is None else f"; {past.commit[:8]} {past.date} {past.author}: {past.subject}"


def _value(origin: "Origin") -> str:
    from control_plane.core.plan_details import value

    return "yes" if origin.key.startswith("video_sets.") else value(_shown(origin))


def _shown(origin: "Origin") -> Any:
    from control_plane.core.plan_changes import masked

    return masked(origin.value)


def _data(origin: "Origin", blames: Blames) -> dict[str, object]:
    past = blames[origin.file].get(origin.line)
    git = {"commit": past.commit, "author": past.author, "date": past.date, "subject": past.subject} if past else {}
    return {
        "key": origin.key,
        "value": _shown(origin),
        "layer": origin.layer,
        "file": origin.file,
        "line": origin.line,
        "column": origin.column,
        **git,
    }
