"""What ends some day: documents of trust, signed heads, and the certificate that this server answers with."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from control_plane.core.alerts import Expiring
from control_plane.errors import SettingsInvalid
from control_plane.store import publications, views
from control_plane.store.pool import Connection
from schemas.trust import read_release_list, read_root

TRUST_WARNING: Final = timedelta(days=30)
CERTIFICATE_WARNING: Final = timedelta(days=21)
HEAD_WARNING: Final = timedelta(days=7) / 3
"""A third of a head's validity: it should have been renewed six days ago."""


async def of_fleet(conn: Connection) -> Sequence[Expiring]:
    """What the published commit brought, and what was signed for it; DatabaseUnavailable."""
    found = []
    if envelopes := await publications.newest_trust(conn):
        root = read_root(envelopes[0], None)
        allowed = read_release_list(envelopes[1], root)
        found += [
            Expiring(what="trust root", at=root.expires_at, warn=TRUST_WARNING),
            Expiring(what="release list", at=allowed.expires_at, warn=TRUST_WARNING),
        ]
    if at := await views.first_expiry(conn):
        found.append(Expiring(what="head of a site", at=at, warn=HEAD_WARNING))
    return found


def certificate(path: Path) -> Expiring:
    """The first certificate in a PEM file; SettingsInvalid."""
    try:
        at = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError) as problem:
        raise SettingsInvalid(f"cannot read tls_certificate {path}: {problem}") from None
    return Expiring(what="certificate of this server", at=at, warn=CERTIFICATE_WARNING)
