"""`neopro site show`: what is known of a site, for people."""

from pathlib import Path

import msgspec

from cli.checkout import Checkout
from cli.flags import Flag
from cli.fleet_view import groups_of, read_fleet
from cli.output import Output
from control_plane.core.resolve import SCALAR_KEYS
from control_plane.core.sites import SiteRecord


def site_show(site: str, /, *, repository: Path | None = None, json: Flag = False) -> None:
    """Show a site: where it is, whom to call, its groups, and in brief what it resolves to.

    `neopro show SITE` prints the whole resolved state, `neopro why SITE` the origin of every value.

    Examples:

    - `neopro site show rennes-fc`
    - `neopro site show rennes-fc --json`

    Parameters
    ----------
    site
        Its id.
    repository
        The checkout; without it, the one around the current folder.
    json
        Print it as JSON.
    """
    output = Output(json)
    record = read_fleet(Checkout.find(repository)).site(site)
    resolved = msgspec.to_builtins(record.resolved)
    output.data(
        {
            "site": site,
            "file": record.path,
            "document": msgspec.to_builtins(record.document),
            "groups": groups_of(record),
            "resolved": {key: value for key, value in resolved.items() if value not in (None, [], {})},
        }
    )
    for label, value in _facts(site, record):
        output.say(f"{label:<11} {value}")
    output.say(f"\n{record.path}; everything that it resolves to: neopro show {site}")


def _facts(name: str, record: SiteRecord) -> list[tuple[str, str]]:
    site, resolved = record.document, record.resolved
    place, contact = site.location, site.contact
    people = [] if contact is None else [part for part in (contact.name, contact.email, contact.phone) if part]
    facts = {
        "site": f"{name} ({site.state})",
        "name": site.name if site.club in (None, site.name) else f"{site.name}, {site.club}",
        "place": f"{place.city}, {place.region}, {place.country}; {site.timezone}",
        "sports": ", ".join(site.sports),
        "labels": ", ".join(f"{key}={value}" for key, value in site.labels.items()),
        "hardware": site.hardware or "",
        "contact": ", ".join(people),
        "identity": site.identity or "none: no box can speak for this site",
        "recipient": site.recipient or "",
        "tenant": site.tenant or "",
        "groups": ", ".join(groups_of(record)) or "none",
        "release": resolved.release or "none",
        "video sets": ", ".join(resolved.video_sets) or "none",
        "config": ", ".join(resolved.config),
        "also set": ", ".join(key for key in SCALAR_KEYS if key != "release" and getattr(resolved, key) is not None),
    }
    return [(label, value) for label, value in facts.items() if value]
