"""The control plane's key: where it is kept, whether it may sign, what it signs."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from control_plane.errors import KeyUnusable
from control_plane.signer import Signer, read_private_key, write_private_key
from schemas.dsse import Refused, key_id, public_line
from schemas.manifest import ListRef, SiteHead
from schemas.names import digest_of
from schemas.trust import Role, Roles, TrustRoot, read_head

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def root_for(*manifest_keys: Ed25519PrivateKey, threshold: int = 1) -> TrustRoot:
    others = [Ed25519PrivateKey.generate() for _ in range(2)]
    lines = [public_line(k.public_key()) for k in (*manifest_keys, *others)]
    ids = [key_id(line) for line in lines]
    return TrustRoot(
        version=3,
        issued_at=NOW,
        expires_at=NOW + timedelta(days=365),
        keys=dict(zip(ids, lines, strict=True)),
        roles=Roles(
            root=Role(keys=ids[-1:], threshold=1),
            release=Role(keys=ids[-2:-1], threshold=1),
            manifest=Role(keys=ids[:-2], threshold=threshold),
        ),
    )


def head() -> SiteHead:
    return SiteHead(
        site="rennes",
        generation=7,
        manifest=digest_of(b"m"),
        commit="a" * 40,
        issued_at=NOW,
        expires_at=NOW + timedelta(days=7),
        root_version=3,
        release_list=ListRef(version=1, sha256=digest_of(b"l")),
    )


def write_pem(path: Path, key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey, how: KeySerializationEncryption) -> None:
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))


def test_head_that_the_root_allows_is_read_back(tmp_path: Path) -> None:
    key = write_private_key(tmp_path / "manifest.key")
    signer, root = Signer.load(tmp_path / "manifest.key"), root_for(key)
    signer.require_allowed(root)
    assert read_head(signer.sign_head(head()), root) == head()
    with pytest.raises(Refused):
        read_head(signer.sign_head(head()), root_for(Ed25519PrivateKey.generate()))


def test_key_that_the_root_does_not_list_is_refused(tmp_path: Path) -> None:
    signer = Signer(write_private_key(tmp_path / "other.key"))
    with pytest.raises(KeyUnusable, match="trust root 3 does not list this manifest key"):
        signer.require_allowed(root_for(Ed25519PrivateKey.generate()))


def test_root_that_wants_two_signatures_is_refused(tmp_path: Path) -> None:
    key = write_private_key(tmp_path / "k.key")
    with pytest.raises(KeyUnusable, match="asks for 2 manifest signatures"):
        Signer(key).require_allowed(root_for(key, Ed25519PrivateKey.generate(), threshold=2))


def test_written_key_is_private_and_the_same_when_read(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "root.key"
    key = write_private_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert read_private_key(path).private_bytes_raw() == key.private_bytes_raw()
    assert [p.name for p in path.parent.iterdir()] == ["root.key"]


def test_key_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    key = write_private_key(path)
    with pytest.raises(KeyUnusable, match="never replaced"):
        write_private_key(path)
    assert read_private_key(path).private_bytes_raw() == key.private_bytes_raw()
    assert [p.name for p in tmp_path.iterdir()] == ["root.key"]


def test_key_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(KeyUnusable, match="cannot write the key"):
        write_private_key(tmp_path / "file" / "root.key")


def test_absent_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(KeyUnusable, match=r"No such file or directory; make keys with: neopro keys init"):
        Signer.load(tmp_path / "none.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    write_private_key(tmp_path / "k.key")
    (tmp_path / "k.key").chmod(mode)
    with pytest.raises(KeyUnusable, match=r"others may read it; run: chmod 600"):
        Signer.load(tmp_path / "k.key")


def test_keys_of_other_kinds_are_refused(tmp_path: Path) -> None:
    write_pem(tmp_path / "ec.key", ec.generate_private_key(ec.SECP256R1()), NoEncryption())
    with pytest.raises(KeyUnusable, match="not an Ed25519 key"):
        Signer.load(tmp_path / "ec.key")
    write_pem(tmp_path / "locked.key", Ed25519PrivateKey.generate(), BestAvailableEncryption(b"secret"))
    with pytest.raises(KeyUnusable, match="not an unencrypted PEM"):
        Signer.load(tmp_path / "locked.key")
    (tmp_path / "ec.key").write_bytes(b"\0" * 100)
    with pytest.raises(KeyUnusable, match="not an unencrypted PEM"):
        Signer.load(tmp_path / "ec.key")
