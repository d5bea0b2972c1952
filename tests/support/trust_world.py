"""The people who sign for a box: root, release and manifest keys, and the documents that they make."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reconciler_agent.core import trust as core
from schemas import dsse, trust
from schemas.manifest import HEAD_TYPE, ListRef, SiteHead, SiteManifest, encode_canonical
from schemas.names import digest_of

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BUILD = NOW - 100 * DAY
GENERATION = int(NOW.timestamp() * 1000)
ROOT, ROOT2, RELEASE, RELEASE2, MANIFEST, MANIFEST2, EVE = (
    Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 8)
)
SITE = "rennes-fc"
TREE = digest_of(b"tree of 2.2.0")
BODY = encode_canonical(SiteManifest(schema=1, poll_interval_s=60, timezone="Europe/Paris"))


def line(key: Ed25519PrivateKey) -> str:
    return dsse.public_line(key.public_key())


def role(*keys: Ed25519PrivateKey, threshold: int = 1) -> trust.Role:
    return trust.Role(keys=[dsse.key_id(line(key)) for key in keys], threshold=threshold)


def root(
    version: int = 1,
    *,
    root: trust.Role | None = None,
    release: trust.Role | None = None,
    manifest: trust.Role | None = None,
    **changed: Any,
) -> trust.TrustRoot:
    """A root whose roles have one key each, unless told otherwise."""
    plain = trust.TrustRoot(
        version=version,
        issued_at=NOW - 30 * DAY,
        expires_at=NOW + 300 * DAY,
        keys={dsse.key_id(line(k)): line(k) for k in (ROOT, ROOT2, RELEASE, RELEASE2, MANIFEST, MANIFEST2)},
        roles=trust.Roles(
            root=root or role(ROOT), release=release or role(RELEASE), manifest=manifest or role(MANIFEST)
        ),
    )
    return msgspec.structs.replace(plain, **changed)


def sign_root(document: trust.TrustRoot, *keys: Ed25519PrivateKey) -> bytes:
    return dsse.sign(trust.ROOT_TYPE, msgspec.json.encode(document), keys or (ROOT,))


def release_list(version: int = 1, *keys: Ed25519PrivateKey, **changed: Any) -> bytes:
    """A signed list that allows release 2.2.0."""
    plain = trust.ReleaseList(
        version=version,
        issued_at=NOW - DAY,
        expires_at=NOW + 90 * DAY,
        releases=[trust.AllowedRelease(kind="app", version="2.2.0", tree=TREE)],
    )
    document = msgspec.structs.replace(plain, **changed)
    return dsse.sign(trust.RELEASE_LIST_TYPE, msgspec.json.encode(document), keys or (RELEASE,))


LIST = release_list()


def head_document(**changed: Any) -> SiteHead:
    plain = SiteHead(
        site=SITE,
        generation=GENERATION,
        manifest=digest_of(BODY),
        commit="a" * 40,
        issued_at=NOW - timedelta(hours=1),
        expires_at=NOW + 7 * DAY,
        root_version=1,
        release_list=ListRef(version=1, sha256=digest_of(LIST)),
    )
    return msgspec.structs.replace(plain, **changed)


def head(*keys: Ed25519PrivateKey, **changed: Any) -> bytes:
    """A signed head of SITE."""
    return dsse.sign(HEAD_TYPE, encode_canonical(head_document(**changed)), keys or (MANIFEST,))


def sign_text(payload: bytes, kind: str, keys: Sequence[Ed25519PrivateKey]) -> bytes:
    """An envelope over any bytes, whatever they say."""
    return dsse.sign(kind, payload, keys)


def provisioned(first: bytes | None = None) -> core.TrustState:
    """A box that knows its root, and nothing else."""
    return core.first_state(first or sign_root(root()), BUILD)


def listed(first: bytes | None = None) -> core.TrustState:
    """A box that has its root and the release list."""
    return core.accept_release_list(provisioned(first), LIST, NOW, True)


def settled(first: bytes | None = None) -> core.TrustState:
    """A box that has accepted a head."""
    return core.accept_head(listed(first), head(), NOW, True, SITE)
