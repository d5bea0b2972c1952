"""`neopro site add`: a new club's box, as a file that explains itself."""

import msgspec

from cli.checkout import Checkout
from cli.documents import site_text
from cli.errors import CommandFailed
from cli.flags import Several
from cli.landing import WRITTEN, Landing, land
from schemas.desired import Site
from schemas.dsse import Refused, load_public


def site_add(
    site: str,
    /,
    *,
    name: str,
    city: str,
    region: str,
    country: str = "France",
    club: str | None = None,
    sport: Several[str] = None,
    hardware: str | None = None,
    timezone: str = "Europe/Paris",
    lat: float | None = None,
    lon: float | None = None,
    identity: str | None = None,
    email: str | None = None,
    landing: Landing = WRITTEN,
) -> None:
    """Add a site: write sites/SITE.yaml.

    Groups that select by sport, region or label pick it up by themselves. Without an identity the site is planned;
    `neopro-agent identity` on the box prints the line to add.

    Example:

    - `neopro site add quimper-basket --name "Quimper Basket" --city Quimper --region Bretagne --sport basketball`

    Parameters
    ----------
    site
        Its id: small letters, digits and hyphens.
    name
        The name that people see.
    city
        Where it is.
    region
        Where it is, as groups select it.
    country
        Where it is.
    club
        The club's name.
    sport
        A sport that is played there; can be given several times.
    hardware
        What the box is, such as rpi4-4gb.
    timezone
        Of its days and windows.
    lat
        Degrees, WGS 84.
    lon
        Degrees, WGS 84.
    identity
        The box's public key: ed25519:…
    email
        Whom to write to.
    """
    checkout = landing.checkout()
    path = f"sites/{site}.yaml"
    document: dict[str, object] = {
        "name": name,
        "location": {"city": city, "region": region, "country": country, "lat": lat, "lon": lon},
        "sports": sport or [],
        "timezone": timezone,
        **{
            key: value
            for key, value in {"club": club, "hardware": hardware, "identity": identity}.items()
            if value is not None
        },
        **({"contact": {"email": email}} if email else {}),
    }
    checked = _checked(checkout, site, document)
    text = site_text(
        checked.name,
        checked.location,
        club=checked.club,
        sports=checked.sports,
        hardware=checked.hardware,
        timezone=checked.timezone,
        identity=checked.identity,
        email=checked.contact.email if checked.contact else None,
    )
    land(landing, checkout, {path: text}, f"Add the site {site}", {"site": site})


def _checked(checkout: Checkout, site: str, document: dict[str, object]) -> Site:
    """The site as the schema reads it; CommandFailed with the first thing that is wrong."""
    from zoneinfo import available_timezones

    from schemas.names import SiteId

    try:
        msgspec.convert(site, SiteId)
    except msgspec.ValidationError:
        raise CommandFailed(f"cannot add {site!r}: an id has small letters, digits and hyphens, at most 63") from None
    if checkout.has(f"sites/{site}.yaml"):
        raise CommandFailed(f"cannot add {site}: sites/{site}.yaml is there already")
    if document["timezone"] not in available_timezones():
        raise CommandFailed(f"cannot add {site}: there is no time zone {document['timezone']}")
    try:
        checked = msgspec.convert(document, Site)
        if checked.identity:
            load_public(checked.identity)
    except (msgspec.ValidationError, Refused) as problem:
        raise CommandFailed(f"cannot add {site}: {problem}") from None
    return checked
