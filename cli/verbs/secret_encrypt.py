"""`neopro secret encrypt`: a secret that only the boxes it is for can read."""

import getpass
import sys
from typing import Final, Literal

import msgspec

from cli.checked import land_checked
from cli.edits import Edit
from cli.errors import CommandFailed
from cli.flags import Flag, Several
from cli.fleet_view import FleetView, read_fleet
from cli.landing import WRITTEN, Landing
from cli.layers import layer_place
from cli.output import Output
from schemas.desired import Hotspot, Secret
from schemas.dsse import encode_base64
from schemas.names import SiteId

MAX_SECRET_BYTES: Final = 4096
_WPA_PASSPHRASE: Final = range(8, 64)


def secret_encrypt(
    *,
    site: Several[str] = None,
    group: str | None = None,
    all_sites: Flag = False,
    skip: Flag = False,
    set: Literal["hotspot"] | None = None,
    ssid: str | None = None,
    landing: Landing = WRITTEN,
) -> None:
    """Encrypt a secret to boxes: ask for it (or read standard input), print age:BASE64 for their documents.

    Each site's file says its box's key as `recipient`. Whoever reads the repository sees the text and not the secret.
    With --set it is written into the layer of the site, the group or the fleet.

    Examples:

    - `neopro secret encrypt --site rennes-fc`
    - `neopro secret encrypt --group bretagne --set hotspot --ssid NEOPRO --commit`
    - `neopro secret encrypt --all-sites < passphrase.txt`

    Parameters
    ----------
    site
        For this site's box; can be given several times.
    group
        For the boxes of this group as it is now.
    all_sites
        For every box.
    skip
        Leave boxes without a `recipient` out, and say which.
    set
        Write it: hotspot, with --ssid, as the Wi-Fi of these boxes.
    ssid
        The name of the Wi-Fi.
    """
    checkout = landing.checkout()
    output = Output(landing.json)
    if sum((bool(site), group is not None, all_sites)) != 1:
        raise CommandFailed("cannot tell for whom the secret is: name one of --site S, --group G and --all-sites")
    if (set is None) != (ssid is None):
        raise CommandFailed("cannot set the hotspot: --set hotspot and --ssid NAME belong together")
    if set and site and len(site) > 1:
        raise CommandFailed("cannot write one secret into several sites: name one --site, or a group of them")
    view = read_fleet(checkout)
    recipients = _recipients(output, view, site, group, skip=skip)
    text = _encrypted(_ask(set), recipients)
    if set is None or ssid is None:
        output.data({"secret": text, "sites": sorted(recipients)})
        output.say(text)
        return
    place = layer_place(checkout, site=site[0] if site else None, group=group, fleet=all_sites)
    edit = Edit(checkout.read(place.path), place.path)
    for key, value in (("ssid", _checked_ssid(ssid, text)), ("passphrase", text)):
        edit.set((*place.at, "hotspot", key), value)
    subject = f"Set the hotspot of {place.name}"
    land_checked(landing, checkout, {place.path: edit.text}, subject, {"sites": sorted(recipients)})


def _recipients(
    output: Output, view: FleetView, site: list[str] | None, group: str | None, *, skip: bool
) -> dict[SiteId, str]:
    """The boxes' keys by site; CommandFailed where one is missing and not to be skipped."""
    if group is not None:
        view.group(group)
    names = site or (view.members(group) if group is not None else list(view.sites))
    found = {name: view.site(name).document for name in names}
    missing = sorted(name for name, document in found.items() if document.recipient is None)
    # A club that is planned or has left has no box to write for; of all others somebody must have thought.
    expected = [name for name in missing if found[name].identity and found[name].state != "retired"]
    if (expected or missing == sorted(names)) and not skip:
        first, *rest = expected or missing
        more = f" and {len(rest)} more" if rest else ""
        raise CommandFailed(
            f"cannot encrypt for {first}{more}: no `recipient` is written there; on the box, "
            "neopro-agent identity prints it (--skip leaves such boxes out)"
        )
    if missing:
        output.note(f"left out, since no `recipient` is written there: {', '.join(missing)}")
    known = {name: document.recipient for name, document in found.items() if document.recipient is not None}
    if not known:
        raise CommandFailed("cannot encrypt: there is no box to encrypt for")
    return known


def _ask(purpose: str | None) -> bytes:
    """The secret, from the terminal without echo, or from standard input without the newline at its end."""
    if sys.stdin.isatty():
        text = getpass.getpass("The secret (it is not shown): ")
        if text != getpass.getpass("Again: "):
            raise CommandFailed("cannot take the secret: the two were not the same")
        secret = text.encode()
    else:
        secret = sys.stdin.buffer.read(MAX_SECRET_BYTES + 2).removesuffix(b"\n").removesuffix(b"\r")
    if not secret or len(secret) > MAX_SECRET_BYTES:
        raise CommandFailed(f"cannot take the secret: it must have 1 to {MAX_SECRET_BYTES} bytes")
    if purpose == "hotspot" and not (secret.isascii() and len(secret) in _WPA_PASSPHRASE):
        raise CommandFailed("cannot take the passphrase: Wi-Fi wants 8 to 63 letters, digits and signs without accents")
    return secret


def _encrypted(secret: bytes, recipients: dict[SiteId, str]) -> str:
    from cli.secrets import encrypt

    text = "age:" + encode_base64(encrypt(secret, recipients.values()))
    try:
        return msgspec.convert(text, Secret)
    except msgspec.ValidationError:
        raise CommandFailed(f"cannot write one secret for {len(recipients)} boxes: do it group by group") from None


def _checked_ssid(ssid: str, text: str) -> str:
    """The name of the Wi-Fi; CommandFailed for one that no box takes."""
    try:
        return msgspec.convert({"ssid": ssid, "passphrase": text}, Hotspot).ssid
    except msgspec.ValidationError:
        raise CommandFailed(
            f"cannot set the hotspot: the name of a Wi-Fi has 1 to 32 characters, not {len(ssid)}"
        ) from None
