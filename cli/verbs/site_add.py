"""`neopro site add`: a new club's box, as a file that explains itself."""

import msgspec

from cli.checked import land_checked
from cli.checkout import Checkout
from cli.documents import site_text
from cli.errors import CommandFailed
from cli.flags import Several
from cli.landing import WRITTEN, Landing
from cli.values import read_assignment
from schemas.desired import AgeRecipient, Site
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
    label: Several[str] = None,
    identity: str | None = None,
    recipient: str | None = None,
    email: str | None = None,
    landing: Landing = WRITTEN,
) -> None:
    """Add a site: write sites/SITE.yaml.

    Groups that select by sport, region or label pick it up by themselves. Without an identity the site is planned;
    `neopro-agent identity` on the box prints the lines to add, then or later by `neopro site edit`.

    Examples:

    - `neopro site add quimper-basket --name "Quimper Basket" --city Quimper --region Bretagne --sport basketball`
    - `neopro site add brest-xv --name "Brest XV" --city Brest --region Bretagne --label offer=premium --commit`

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
    label
        NAME=VALUE, for groups to select by; can be given several times.
    identity
        The box's public key: ed25519:…
    recipient
        The box's key for secrets: age1…
    email
        Whom to write to.
    """
    checkout = landing.checkout()
    given = {
        "name": name,
        "club": club,
        "location": {"city": city, "region": region, "country": country, "lat": lat, "lon": lon},
        "sports": sport or [],
        "labels": {".".join(word.path): word.text for word in map(read_assignment, label or ())},
        "hardware": hardware,
        "timezone": timezone,
        "identity": identity,
        "recipient": recipient,
        "contact": {"email": email} if email else None,
    }
    checked = _checked(checkout, site, {key: value for key, value in given.items() if value is not None})
    files = {f"sites/{site}.yaml": _text(checked)}
    land_checked(landing, checkout, files, f"Add the site {site}", {"site": site})


def _text(site: Site) -> str:
    return site_text(
        site.name,
        site.location,
        club=site.club,
        sports=site.sports,
        labels=site.labels,
        hardware=site.hardware,
        timezone=site.timezone,
        identity=site.identity,
        recipient=site.recipient,
        email=site.contact.email if site.contact else None,
    )


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
    try:
        msgspec.convert(document.get("recipient"), AgeRecipient | None)
    except msgspec.ValidationError:
        raise CommandFailed(f"cannot add {site}: --recipient is no age1… of 62 characters") from None
    if document["timezone"] not in available_timezones():
        raise CommandFailed(f"cannot add {site}: there is no time zone {document['timezone']}")
    try:
        checked = msgspec.convert(document, Site)
        if checked.identity:
            load_public(checked.identity)
    except (msgspec.ValidationError, Refused) as problem:
        raise CommandFailed(f"cannot add {site}: {problem}") from None
    return checked
