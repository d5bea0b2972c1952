"""The only holder of the online key (manifest role): signs site heads, nothing else.

Private keys are PEM files (PKCS#8, RFC 5958; Ed25519, RFC 8410) that only their owner may read.
"""

import contextlib
import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from control_plane.errors import KeyUnusable
from schemas.dsse import key_id, public_line, sign_as
from schemas.manifest import HEAD_TYPE, SiteHead, encode_canonical
from schemas.names import PublicKeyLine
from schemas.trust import TrustRoot, role_keys

_MAX_KEY_BYTES = 4096


class Signer:
    """Signs heads with one key; make it with `load`."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self.public: PublicKeyLine = public_line(key.public_key())
        self._keys = [(key_id(self.public), key)]

    @classmethod
    def load(cls, path: Path) -> "Signer":
        """The signer of the key file at `path`; KeyUnusable when there is none, or others may read it."""
        return cls(read_private_key(path))

    def require_allowed(self, root: TrustRoot) -> None:
        """KeyUnusable unless `root` lets this key sign heads, alone."""
        keys, threshold = role_keys(root, "manifest")
        if self.public not in keys.values():
            raise KeyUnusable(
                f"cannot sign for boxes: trust root {root.version} does not list this manifest key ({self.public}); "
                "load the key that it lists, or publish a root that lists this one"
            )
        if threshold > 1:
            raise KeyUnusable(
                f"cannot sign for boxes: trust root {root.version} asks for {threshold} manifest signatures, and the "
                "control plane holds one key; publish a root whose manifest threshold is 1"
            )

    def sign_head(self, head: SiteHead) -> bytes:
        """The envelope of this head, as it is sent."""
        return sign_as(HEAD_TYPE, encode_canonical(head), self._keys)


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """The key in a PEM file of mode 0600 or less; KeyUnusable says what to mend."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MAX_KEY_BYTES)
    except OSError as problem:
        raise KeyUnusable(f"cannot read the key {path}: {problem.strerror}; make keys with: neopro keys init") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyUnusable(f"cannot use the key {path}: others may read it; run: chmod 600 {path}")
    try:
        key = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise KeyUnusable(f"cannot use the key {path}: it is not an unencrypted PEM (PKCS#8) private key") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyUnusable(f"cannot use the key {path}: it is not an Ed25519 key")
    return key


def write_private_key(path: Path) -> Ed25519PrivateKey:
    """Make a key and keep it at `path` (0600, durable); KeyUnusable where a file is: no key is ever replaced."""
    key = Ed25519PrivateKey.generate()
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.closing(_Staged(staged)) as file:
            file.write(text)
            os.link(staged, path)  # unlike a rename, it fails where a file is
        _sync_folder(path.parent)
    except FileExistsError:
        raise KeyUnusable(f"cannot write the key {path}: a file is there, and a key is never replaced") from None
    except OSError as problem:
        raise KeyUnusable(f"cannot write the key {path}: {problem.strerror}") from None
    return key


class _Staged:
    """A file of mode 0600 that is removed again when closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.unlink(missing_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)
        os.fsync(self._fd)

    def close(self) -> None:
        os.close(self._fd)
        self._path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
