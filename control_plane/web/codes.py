"""A secret of one-time codes as people take it: a QR code, an address, and the text to be typed."""

import segno
from msgspec import Struct

from control_plane.core import totp


class Offer(Struct, frozen=True, kw_only=True):
    """A secret that is shown. `qr`: an SVG made here, whose only text is ours."""

    qr: str
    text: str
    address: str


def offer_of(secret: str, name: str) -> Offer:
    """The secret for the account of that name."""
    address = totp.address_of(secret, name)
    qr = segno.make(address, error="m").svg_inline(scale=5, border=4, dark="#000", light="#fff", omitsize=False)
    return Offer(qr=qr, text=totp.in_groups(secret), address=address)
