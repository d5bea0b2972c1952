"""How a box proves who it is: a short-lived EdDSA JWT made with its own key (RFC 7519, RFC 8037, RFC 8725).

One algorithm, one audience, ten minutes; the header is compared, never interpreted.
"""

import base64
from datetime import datetime, timedelta
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.dsse import Refused
from schemas.names import SiteId

AUDIENCE: Final = "neopro-fleet"
LIFETIME: Final = timedelta(minutes=10)
LEEWAY: Final = timedelta(minutes=1)
MAX_BYTES: Final = 1024
_HEADER: Final = base64.urlsafe_b64encode(b'{"alg":"EdDSA","typ":"JWT"}').rstrip(b"=")


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What the token says; instants in seconds since 1970."""

    iss: SiteId
    aud: str
    iat: int
    exp: int


class OutsideLifetime(Refused):
    """The token is genuine, but the box's clock or patience is off; the box corrects itself and tries once more."""


def make(site: SiteId, key: Ed25519PrivateKey, now: datetime) -> str:
    """A token of `site`, good for ten minutes from `now`."""
    issued = int(now.timestamp())
    claims = Claims(iss=site, aud=AUDIENCE, iat=issued, exp=issued + int(LIFETIME.total_seconds()))
    signed = _HEADER + b"." + base64.urlsafe_b64encode(msgspec.json.encode(claims)).rstrip(b"=")
    return (signed + b"." + base64.urlsafe_b64encode(key.sign(signed)).rstrip(b"=")).decode()


def claimed_site(token: str) -> SiteId:
    """Whose token it says it is, unverified: only to look up the key to verify it with. Refused if it is none."""
    return _claims(_split(token)[1]).iss


def verify(token: str, key: Ed25519PublicKey, now: datetime) -> Claims:
    """The claims of a genuine token that is current at `now` (a minute of leeway); else Refused."""
    header, body, signature = _split(token)
    try:
        key.verify(_decode(signature), header + b"." + body)
    except InvalidSignature:
        raise Refused("the token's signature does not hold") from None
    claims = _claims(body)
    if claims.aud != AUDIENCE:
        raise Refused("the token is for another audience")
    if claims.exp - claims.iat > LIFETIME.total_seconds():
        raise Refused("the token lives too long")
    instant = now.timestamp()
    if not claims.iat - LEEWAY.total_seconds() <= instant <= claims.exp + LEEWAY.total_seconds():
        raise OutsideLifetime("the token is not current; check the box's clock")
    return claims


def _split(token: str) -> tuple[bytes, bytes, bytes]:
    parts = token.encode("ascii", "replace").split(b".")
    if len(token) > MAX_BYTES or len(parts) != 3 or parts[0] != _HEADER:
        raise Refused("it is not a token of a box")
    return parts[0], parts[1], parts[2]


def _claims(body: bytes) -> Claims:
    try:
        return msgspec.json.decode(_decode(body), type=Claims)
    except msgspec.DecodeError:
        raise Refused("the token's claims do not parse") from None


def _decode(part: bytes) -> bytes:
    try:
        data = base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise Refused("the token is not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part:
        raise Refused("the token's base64url is not canonical")
    return data
