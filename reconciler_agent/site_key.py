"""The key that the box signs with: made on it, for its owner alone, and never leaving it."""

import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reconciler_agent.durable import Disk
from reconciler_agent.errors import SettingsInvalid
from reconciler_agent.roots import make_root
from schemas.dsse import public_line
from schemas.names import PublicKeyLine

KEY_PRIVATE: Final = ".neopro-agent"
MAX_KEY_BYTES: Final = 64 << 10


def load_key(path: Path) -> Ed25519PrivateKey:
    """The site's private key; SettingsInvalid when it is missing, open to others, or none."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_KEY_BYTES)
        key = serialization.load_pem_private_key(data, password=None)
    except FileNotFoundError:
        raise SettingsInvalid(f"cannot read {path}: there is no key; make one with `neopro-agent identity`") from None
    except OSError as problem:
        raise SettingsInvalid(f"cannot read {path}: {problem.strerror}") from None
    except (ValueError, TypeError):
        raise SettingsInvalid(f"cannot use {path} as the site's key: it is no PEM (PKCS#8) private key") from None
    if mode & 0o077:
        raise SettingsInvalid(f"cannot use {path}: others may read it; chmod 600 it, or make another key")
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsInvalid(f"cannot use {path} as the site's key: it is no Ed25519 key")
    return key


def make_identity(path: Path) -> PublicKeyLine:
    """The public line of the site's key; the key is made, durably and for its owner alone, if there is none."""
    if not path.exists():
        make_root(path.parent, 0o755)
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        disk = Disk(path.parent, KEY_PRIVATE, secrets.token_hex(16))
        try:
            disk.write_file(path.name, pem, 0o600)
            disk.forget()
        finally:
            disk.close()
    return public_line(load_key(path).public_key())
