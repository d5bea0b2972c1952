"""`neopro site list`: the sites of a checkout, or those that fit."""

from pathlib import Path

from cli.checkout import Checkout
from cli.flags import Flag
from cli.fleet_view import FleetView, groups_of, read_fleet
from cli.output import Output
from control_plane.core.sites import SiteRecord
from schemas.desired import SiteState


def site_list(
    *,
    group: str | None = None,
    region: str | None = None,
    sport: str | None = None,
    state: SiteState | None = None,
    label: str | None = None,
    release: str | None = None,
    repository: Path | None = None,
    json: Flag = False,
) -> int:
    """List the sites, or those for which everything that is asked holds.

    Exit status 1: no site fits.

    Examples:

    - `neopro site list --region Bretagne --sport rugby`
    - `neopro site list --group beta --json`
    - `neopro site list --label offer=premium --release 2.1.3`

    Parameters
    ----------
    group
        In this group, by the selectors that the server uses.
    region
        In this region.
    sport
        Where this sport is played.
    state
        active, suspended or retired.
    label
        With this label, whatever its value, or NAME=VALUE.
    release
        That are to run this release.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print the sites as JSON.
    """
    output = Output(json)
    view = read_fleet(Checkout.find(repository))
    if group is not None:
        view.group(group)
    rows = [
        _row(name, record)
        for name, record in view.sites.items()
        if _fits(record, region, sport, state, label)
        and (group is None or group in groups_of(record))
        and (release is None or record.resolved.release == release)
    ]
    _tell(output, view, rows)
    return 0 if rows else 1


def _fits(record: SiteRecord, region: str | None, sport: str | None, state: str | None, label: str | None) -> bool:
    site = record.document
    name, equals, value = (label or "").partition("=")
    return (
        (region is None or site.location.region == region)
        and (sport is None or sport in site.sports)
        and (state is None or site.state == state)
        and (label is None or (site.labels.get(name) == value if equals else name in site.labels))
    )


def _row(name: str, record: SiteRecord) -> dict[str, object]:
    site = record.document
    return {
        "site": name,
        "name": site.name,
        "city": site.location.city,
        "region": site.location.region,
        "sports": site.sports,
        "state": site.state,
        "release": record.resolved.release,
        "groups": groups_of(record),
    }


def _tell(output: Output, view: FleetView, rows: list[dict[str, object]]) -> None:
    output.data({"sites": rows, "unread": view.unread})
    cells = [[_cell(row[key]) for key in ("site", "name", "city", "state", "release", "groups")] for row in rows]
    if cells:
        output.table(["SITE", "NAME", "CITY", "STATE", "RELEASE", "GROUPS"], cells, {"suspended": "33", "retired": "2"})
    output.say(f"{len(rows)} of {len(view.sites)} sites")
    if view.unread:
        output.note(f"{len(view.unread)} files could not be read, {view.unread[0]} first; neopro validate says why")


def _cell(value: object) -> str:
    if isinstance(value, list):
        return " ".join(value)
    return "-" if value is None else str(value)
