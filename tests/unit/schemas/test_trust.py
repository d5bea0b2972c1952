"""Trust roots and release lists: walked one by one, each role by its own keys."""

from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas import dsse, trust
from schemas.manifest import HEAD_TYPE

ROOT_A, ROOT_B, RELEASE, MANIFEST, EVE = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 6))
AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def line(key: Ed25519PrivateKey) -> str:
    return dsse.public_line(key.public_key())


def role(*keys: Ed25519PrivateKey, threshold: int = 1) -> trust.Role:
    return trust.Role(keys=[dsse.key_id(line(key)) for key in keys], threshold=threshold)


def root(version: int = 1, **changed: object) -> trust.TrustRoot:
    everybody = [ROOT_A, ROOT_B, RELEASE, MANIFEST, EVE]
    plain = trust.TrustRoot(
        version=version,
        issued_at=AT,
        expires_at=LATER,
        keys={dsse.key_id(line(key)): line(key) for key in everybody},
        roles=trust.Roles(root=role(ROOT_A), release=role(RELEASE), manifest=role(MANIFEST)),
    )
    return msgspec.structs.replace(plain, **changed)


def signed(document: msgspec.Struct, kind: str, *keys: Ed25519PrivateKey) -> bytes:
    return dsse.sign(kind, msgspec.json.encode(document), keys)


def roles(**changed: trust.Role) -> trust.Roles:
    return msgspec.structs.replace(root().roles, **changed)


def test_first_root_is_read_by_its_own_keys() -> None:
    assert trust.read_root(signed(root(), trust.ROOT_TYPE, ROOT_A), None) == root()


def test_next_root_needs_the_thresholds_of_both() -> None:
    rotated = root(2, roles=roles(root=role(ROOT_B)))
    assert trust.read_root(signed(rotated, trust.ROOT_TYPE, ROOT_A, ROOT_B), root()).version == 2
    for missing in (ROOT_A, ROOT_B):
        with pytest.raises(dsse.Refused, match="0 of the 1"):
            trust.read_root(signed(rotated, trust.ROOT_TYPE, missing), root())


@pytest.mark.parametrize("version", [1, 3])
def test_root_that_is_not_the_successor_is_refused(version: int) -> None:
    with pytest.raises(dsse.Refused, match="cannot follow"):
        trust.read_root(signed(root(version), trust.ROOT_TYPE, ROOT_A), root())


@pytest.mark.parametrize(
    "unsound",
    [
        root(roles=roles(release=role(MANIFEST))),
        root(roles=roles(manifest=role(ROOT_A))),
        root(roles=roles(release=role(RELEASE, EVE, threshold=3))),
        root(roles=roles(release=role(RELEASE, RELEASE, threshold=2))),
        root(keys={k: v for k, v in root().keys.items() if v != line(MANIFEST)}),
        root(keys={**root().keys, "ab" * 32: line(EVE)}),
        root(keys={**root().keys, "ab" * 32: "ed25519:" + dsse.encode_base64(bytes(32))}),
    ],
)
def test_root_with_unsound_keys_or_roles_is_refused(unsound: trust.TrustRoot) -> None:
    with pytest.raises(dsse.Refused):
        trust.read_root(signed(unsound, trust.ROOT_TYPE, ROOT_A), None)


RELEASES = trust.ReleaseList(version=1, issued_at=AT, expires_at=LATER, releases=[])


@pytest.mark.parametrize("key", [ROOT_A, MANIFEST, EVE])
def test_release_list_signed_by_another_role_is_refused(key: Ed25519PrivateKey) -> None:
    with pytest.raises(dsse.Refused):
        trust.read_release_list(signed(RELEASES, trust.RELEASE_LIST_TYPE, key), root())
    assert trust.read_release_list(signed(RELEASES, trust.RELEASE_LIST_TYPE, RELEASE), root()) == RELEASES


def test_release_list_is_no_head() -> None:
    with pytest.raises(dsse.Refused, match="signed as"):
        trust.read_head(signed(RELEASES, trust.RELEASE_LIST_TYPE, MANIFEST), root())
    with pytest.raises(dsse.Refused, match="parse"):
        trust.read_head(signed(RELEASES, HEAD_TYPE, MANIFEST), root())
