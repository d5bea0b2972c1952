"""How a new box gets known: a one-time token that an operator makes, what the box sends with it, what is answered.

The token's text is put together on the operator's machine. Its last part pins the trust root of the operator's own
checkout, so that a control plane which is taken over cannot give a new box other roots; the control plane sees the
secret alone, and keeps a hash of it.
"""

import base64
import hashlib
import re
from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta, Struct

from schemas.desired import AgeRecipient
from schemas.manifest import Instant
from schemas.names import PublicKeyLine, SiteId, whole

MAX_REQUEST_BYTES: Final = 4096
SECRET_LENGTH: Final = 32
"""Digits of base 62: 190 bits."""
_TEXT: Final = re.compile(
    r"enrol\.(?P<site>[a-z0-9][a-z0-9-]{0,62})\.(?P<secret>[0-9A-Za-z]{32})"
    r"\.(?P<version>[1-9][0-9]{0,9})\.(?P<root>[0-9A-Za-z_-]{43})"
)

Secret = Annotated[str, Meta(pattern=whole(r"[0-9A-Za-z]{32}"), description="The secret of an enrolment token.")]
Fact = Annotated[str, Meta(pattern=whole(r"[^\x00-\x1f\x7f]{0,100}"), description="One printable line.")]
EnrolmentState = Literal["unused", "pending", "accepted", "expired", "revoked"]
"""`pending`: a box has sent its keys; `accepted`: the published commit names them."""


class EnrolmentToken(NamedTuple):
    """What a technician is given. `root_version`, `root_sha256`: the trust root that the box is to begin with."""

    site: SiteId
    secret: str
    root_version: int
    root_sha256: str

    @property
    def text(self) -> str:
        """As it is handed on."""
        return f"enrol.{self.site}.{self.secret}.{self.root_version}.{self.root_sha256}"


def read_token(text: str) -> EnrolmentToken:
    """The parts of a token; ValueError says that it is none. A text that was cut is none."""
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise ValueError("it is no enrolment token: enrol.SITE.SECRET.N.DIGEST; copy it again, whole")
    return EnrolmentToken(found["site"], found["secret"], int(found["version"]), found["root"])


def pin(root: bytes) -> str:
    """The digest of a trust root's exact bytes, as a token carries it: SHA-256 in base64url without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(root).digest()).rstrip(b"=").decode()


class EnrolmentRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a new box sends, with a token of the site signed by the very key (`schemas.site_token`).

    `hostname`, `model`, `agent_version`: by what a person recognises the box; nothing is decided by them.
    """

    secret: Secret
    site: SiteId
    identity: PublicKeyLine
    recipient: AgeRecipient
    hostname: Fact = ""
    model: Fact = ""
    agent_version: Fact = ""


class EnrolmentAnswer(Struct, frozen=True, kw_only=True):
    """What became of it: an operator is to let the box in, or did already."""

    site: SiteId
    state: Literal["pending", "accepted"]


class NewEnrolment(Struct, frozen=True, kw_only=True):
    """A token that was made, the only time that its secret is seen."""

    site: SiteId
    secret: Secret
    expires_at: Instant


class Enrolment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token without its secret, and the box that used it."""

    site: SiteId
    state: EnrolmentState
    made_by: str
    created_at: Instant
    expires_at: Instant
    asked_at: Instant | None = None
    identity: PublicKeyLine | None = None
    recipient: AgeRecipient | None = None
    hostname: str = ""
    model: str = ""
    agent_version: str = ""
