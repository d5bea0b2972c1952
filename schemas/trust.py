"""The documents that say which keys may sign what: trust root and release list (TUF specification 5.3, 5.6)."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from schemas.dsse import Refused, decode_base64, key_id, load_public, open_envelope, strict_json, verify
from schemas.manifest import HEAD_TYPE, Instant, SiteHead
from schemas.names import Digest, KeyId, PublicKeyLine, Version

ROOT_TYPE = "application/vnd.neopro.root.v1+json"
RELEASE_LIST_TYPE = "application/vnd.neopro.release-list.v1+json"

DocumentVersion = Annotated[int, Meta(ge=1, lt=2**31)]


class Role(Struct, frozen=True, kw_only=True):
    """Who may sign for a role, and how many distinct keys of them must."""

    keys: Annotated[list[KeyId], Meta(min_length=1, max_length=16)]
    threshold: Annotated[int, Meta(ge=1, le=16)]


class Roles(Struct, frozen=True, kw_only=True):
    """The three roles that sign for boxes; separate, so that no online key can allow code."""

    root: Role
    release: Role
    manifest: Role


class TrustRoot(Struct, frozen=True, kw_only=True):
    """Version N is signed by the thresholds of N-1 and of N. `trust/root-N.json` in Git.

    `commit_signers`: SSH public keys (`ssh-ed25519 …`) that may sign commits; empty: commits need no signature.
    """

    version: DocumentVersion
    issued_at: Instant
    expires_at: Instant
    keys: dict[KeyId, PublicKeyLine]
    roles: Roles
    commit_signers: list[str] = []
    critical: list[str] = []


class AllowedRelease(Struct, frozen=True, kw_only=True):
    """A release that boxes may run: `tree` is the digest of its listing."""

    kind: Literal["app", "agent"]
    version: Version
    tree: Digest


class ReleaseList(Struct, frozen=True, kw_only=True):
    """Every allowed release; leaving one out of the next version revokes it. `trust/release-list-N.json` in Git."""

    version: DocumentVersion
    issued_at: Instant
    expires_at: Instant
    releases: list[AllowedRelease]
    critical: list[str] = []


MAX_DOCUMENT_BYTES: Final = 1 << 20
MAX_HEAD_BYTES: Final = 16 << 10
RoleName = Literal["root", "release", "manifest"]


def role_keys(root: TrustRoot, role: RoleName) -> tuple[Mapping[KeyId, PublicKeyLine], int]:
    """The keys that may sign for a role, and the threshold."""
    wanted: Role = getattr(root.roles, role)
    return {k: root.keys[k] for k in wanted.keys}, wanted.threshold


def read_root(envelope: bytes, trusted: TrustRoot | None) -> TrustRoot:
    """The trust root in `envelope`, signed by its own threshold and, if given, by that of its predecessor `trusted`.

    TUF specification 5.3.4 and 5.3.5: with `trusted`, the version must be exactly one higher. Expiry is not looked at:
    it is checked by the caller on the last root of the walk (5.3.10). Raises Refused.
    """
    # The shape is read before the signature only to learn which keys it claims; nothing of it is used until verified.
    claimed = _sound(strict_json(decode_base64(open_envelope(envelope, MAX_DOCUMENT_BYTES).payload), TrustRoot))
    verify(envelope, ROOT_TYPE, *role_keys(claimed, "root"), MAX_DOCUMENT_BYTES)
    if trusted is not None:
        verify(envelope, ROOT_TYPE, *role_keys(trusted, "root"), MAX_DOCUMENT_BYTES)
        if claimed.version != trusted.version + 1:
            raise Refused(f"root {claimed.version} cannot follow root {trusted.version}")
    return claimed


def read_release_list(envelope: bytes, root: TrustRoot) -> ReleaseList:
    """The release list in `envelope`, signed by the release role of `root`; the caller checks version and expiry."""
    payload = verify(envelope, RELEASE_LIST_TYPE, *role_keys(root, "release"), MAX_DOCUMENT_BYTES)
    return strict_json(payload, ReleaseList)


def read_head(envelope: bytes, root: TrustRoot) -> SiteHead:
    """The head in `envelope`, signed by the manifest role of `root`; the caller checks site, generation and dates."""
    payload = verify(envelope, HEAD_TYPE, *role_keys(root, "manifest"), MAX_HEAD_BYTES)
    return strict_json(payload, SiteHead)


def _sound(root: TrustRoot) -> TrustRoot:
    """A root whose keys are sound, known under their own id, and whose roles share no key; else Refused."""
    for name, line in root.keys.items():
        load_public(line)
        if key_id(line) != name:
            raise Refused(f"key {name[:16]}… is not listed under its own id")
    seen: set[KeyId] = set()
    for role in (root.roles.root, root.roles.release, root.roles.manifest):
        keys = set(role.keys)
        if len(keys) != len(role.keys) or role.threshold > len(keys) or not keys <= root.keys.keys():
            raise Refused("a role names a key twice or not in the root, or asks for more signatures than it has keys")
        if keys & seen:
            raise Refused("two roles share a key; root, release and manifest keys must be separate")
        seen |= keys
    return root
