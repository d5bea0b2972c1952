"""`neopro config set`: one key of the box's configuration, in one layer."""

from cli.checked import land_checked
from cli.edits import Edit
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.landing import WRITTEN, Landing
from cli.layers import layer_place
from cli.values import as_written, free_value
from control_plane.core.rules import REFUSED_CONFIG


def config_set(
    key: str,
    value: str | None = None,
    /,
    *,
    site: str | None = None,
    group: str | None = None,
    fleet: Flag = False,
    unset: Flag = False,
    landing: Landing = WRITTEN,
) -> None:
    """Set a key of the configuration for a site, a group or the fleet; or, with --unset, take it out of that layer.

    VALUE is read as JSON or YAML: true, 24, [a, b], {a: b}; everything else is text. `null` means 'not managed from
    here on': the box then keeps what the club has, whatever lower layers say. Categories, sponsors and the password
    cannot be set: they come from video sets, or are the club's.

    Examples:

    - `neopro config set --site rennes-fc scoreOverlay.position bottom`
    - `neopro config set --fleet liveScoreEnabled true --commit`
    - `neopro config set --group rugby scoreOverlay '{position: top-left, offsetX: 12}'`
    - `neopro config set --group rugby scoreOverlay --unset`

    Parameters
    ----------
    key
        The key; a key within another as scoreOverlay.position.
    value
        Its value.
    site
        In this site's layer, the highest.
    group
        In this group's layer.
    fleet
        In the defaults of fleet.yaml, the lowest layer.
    unset
        Take the key out of the layer, so that lower layers decide.
    """
    if (value is None) != unset:
        raise CommandFailed(f"cannot set {key}: write its value behind it, or --unset to take it out of the layer")
    if (top := key.partition(".")[0]) in REFUSED_CONFIG:
        raise CommandFailed(f"cannot set {key}: {REFUSED_CONFIG[top]}")
    path = tuple(key.split("."))
    if not all(path):
        raise CommandFailed(f"cannot set {key!r}: write a key within another as scoreOverlay.position")
    checkout = landing.checkout()
    place = layer_place(checkout, site=site, group=group, fleet=fleet)
    edit = Edit(checkout.read(place.path), place.path)
    if value is None:
        edit.delete((*place.at, "config", *path))
    else:
        edit.set((*place.at, "config", *path), as_written(free_value(key, value)))
    subject = f"Unset {key} for {place.name}" if unset else f"Set {key} for {place.name}"
    land_checked(landing, checkout, {place.path: edit.text}, subject, {"key": key, "file": place.path})
