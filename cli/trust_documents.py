"""Trust roots and release lists, as operators sign them (TUF specification, 5.3 and 5.6). Keys in, bytes out."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.dsse import key_id, public_line, sign
from schemas.manifest import encode_canonical
from schemas.names import Version
from schemas.trust import RELEASE_LIST_TYPE, ROOT_TYPE, AllowedRelease, ReleaseList, Role, Roles, TrustRoot

ROOT_LIFETIME: Final = timedelta(days=3 * 365)
LIST_LIFETIME: Final = timedelta(days=365)


def make_root(root: Ed25519PrivateKey, release: Ed25519PrivateKey, manifest: Ed25519PrivateKey, now: datetime) -> bytes:
    """The envelope of trust root 1: one key a role."""
    lines = [public_line(key.public_key()) for key in (root, release, manifest)]
    roles = [Role(keys=[key_id(line)], threshold=1) for line in lines]
    document = TrustRoot(
        version=1,
        issued_at=_whole_second(now),
        expires_at=_whole_second(now) + ROOT_LIFETIME,
        keys={key_id(line): line for line in lines},
        roles=Roles(root=roles[0], release=roles[1], manifest=roles[2]),
    )
    return sign(ROOT_TYPE, encode_canonical(document), [root])


def make_release_list(
    previous: ReleaseList | None,
    allowed: Iterable[AllowedRelease],
    key: Ed25519PrivateKey,
    now: datetime,
    without: Collection[tuple[str, Version]] = (),
) -> bytes:
    """The envelope of the list that follows `previous`: what it allowed, with `allowed` added or in its place.

    `without`: kind and version of releases that it allows no more.
    """
    releases = {(entry.kind, entry.version): entry for entry in (previous.releases if previous else [])}
    releases |= {(entry.kind, entry.version): entry for entry in allowed}
    releases = {name: entry for name, entry in releases.items() if name not in without}
    document = ReleaseList(
        version=previous.version + 1 if previous else 1,
        issued_at=_whole_second(now),
        expires_at=_whole_second(now) + LIST_LIFETIME,
        releases=[releases[name] for name in sorted(releases)],
    )
    return sign(RELEASE_LIST_TYPE, encode_canonical(document), [key])


def _whole_second(instant: datetime) -> datetime:
    return instant.replace(microsecond=0)
