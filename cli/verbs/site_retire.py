"""`neopro site retire`: a club leaves."""

from cli.checked import land_checked
from cli.edits import Edit
from cli.flags import Flag
from cli.fleet_view import FleetView, read_fleet
from cli.landing import WRITTEN, Files, Landing


def site_retire(site: str, /, *, delete: Flag = False, landing: Landing = WRITTEN) -> None:
    """Retire a site: its box is told, stops converging, and stays as it is.

    With --delete its file goes, too, and its name from the groups that list it: the box may not report any more. Do
    that once `neopro status` shows the site as Retired, so that the box has heard.

    Examples:

    - `neopro site retire vannes-rugby --commit`
    - `neopro site retire vannes-rugby --delete --branch goodbye-vannes`

    Parameters
    ----------
    site
        Its id.
    delete
        Delete its file, too.
    """
    checkout = landing.checkout()
    view = read_fleet(checkout)
    path = view.site(site).path
    files: dict[str, str | bytes | None] = {path: None}
    if delete:
        files |= _without(site, {file: checkout.read(file) for file in _files_listing(view, site)})
    else:
        edit = Edit(checkout.read(path), path)
        edit.set(("state",), "retired")
        files[path] = edit.text
    verb = "Delete" if delete else "Retire"
    land_checked(landing, checkout, files, f"{verb} the site {site}", {"site": site, "deleted": delete})


def _files_listing(view: FleetView, site: str) -> list[str]:
    """The files of the groups that list the site by name."""
    return [view.reading.named("groups")[name][0] for name, group in view.groups.items() if site in (group.sites or ())]


def _without(site: str, texts: dict[str, str]) -> Files:
    edits = {path: Edit(text, path) for path, text in texts.items()}
    for edit in edits.values():
        edit.remove(("sites",), site)
    return {path: edit.text for path, edit in edits.items()}
