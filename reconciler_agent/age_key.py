"""The box's own age key, beside the one that it signs with: what is for this box alone is encrypted to it."""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from reconciler_agent.durable import Disk
from reconciler_agent.errors import BackupUnreadable, SettingsInvalid
from reconciler_agent.roots import make_root

if TYPE_CHECKING:
    import pyrage

PRIVATE: Final = ".neopro-agent"
MAX_KEY_BYTES: Final = 4 << 10
_PREFIX: Final = "AGE-SECRET-KEY-1"


def path_of(site_key: Path) -> Path:
    """Where the age key lies: `site.key.age`."""
    return site_key.with_name(site_key.name + ".age")


def make_recipient(path: Path) -> str:
    """The public line (age1…) of the key; it is made, durably and for its owner alone, if there is none."""
    import pyrage

    if not path.exists():
        make_root(path.parent, 0o755)
        disk = Disk(path.parent, PRIVATE, secrets.token_hex(16))
        try:
            disk.write_file(path.name, f"{pyrage.x25519.Identity.generate()}\n".encode(), 0o600)
            disk.forget()
        finally:
            disk.close()
    return str(load(path).to_public())


def decrypt(path: Path, data: bytes) -> bytes:
    """What was encrypted to this box; BackupUnreadable when it was not, or when there is no key."""
    import pyrage

    try:
        return bytes(pyrage.decrypt(data, [load(path)]))
    except SettingsInvalid as problem:
        raise BackupUnreadable(f"cannot read the backup: {problem}") from None
    except pyrage.DecryptError:
        raise BackupUnreadable(
            "cannot read the backup: it is not encrypted to this box; its site's file must name the `recipient` that "
            "`neopro-agent identity` prints here"
        ) from None


def encrypt(data: bytes, recipient: str) -> bytes:
    """An age file for the owner of the recipient; BackupUnreadable when that is none."""
    import pyrage

    try:
        return bytes(pyrage.encrypt(data, [pyrage.x25519.Recipient.from_str(recipient)]))
    except (ValueError, pyrage.RecipientError):
        raise BackupUnreadable(f"cannot make the backup: {recipient[:80]!r} is no recipient (age1…)") from None


class Reader(Protocol):
    """Where bytes come from."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""


class Writer(Protocol):
    """Where bytes go."""

    def write(self, data: bytes) -> int:
        """Take all of them; how many that is."""

    def flush(self) -> None:
        """Nothing is held back."""


def new_identity() -> str:
    """A new secret key, for what this box encrypts itself."""
    import pyrage

    return str(pyrage.x25519.Identity.generate())


def encrypt_stream(source: Reader, target: Writer, recipient: str, identity: str) -> None:
    """An age file for the owner of the recipient and for the identity, a few kB in memory at a time.

    BackupUnreadable when one of them is none; what `source` or `target` raise leaves as OSError.
    """
    import pyrage

    try:
        whom = [pyrage.x25519.Recipient.from_str(recipient), pyrage.x25519.Identity.from_str(identity).to_public()]
    except (ValueError, pyrage.RecipientError, pyrage.IdentityError):
        raise BackupUnreadable(f"cannot encrypt: {recipient[:80]!r} is no recipient (age1…)") from None
    try:
        pyrage.encrypt_io(source, target, whom)
    except pyrage.EncryptError as problem:
        raise OSError(str(problem)) from None


def decrypt_stream(source: Reader, target: Writer, identity: str) -> None:
    """The other way round; BackupUnreadable when it is not for that identity, OSError when it is cut or changed."""
    import pyrage

    try:
        pyrage.decrypt_io(source, target, [pyrage.x25519.Identity.from_str(identity)])
    except (ValueError, pyrage.DecryptError, pyrage.IdentityError):
        raise BackupUnreadable("cannot decrypt: it is not encrypted to the key of this backup") from None


def load(path: Path) -> "pyrage.x25519.Identity":
    """The key; SettingsInvalid when it is missing, open to others, or none."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(MAX_KEY_BYTES).decode("ascii", "replace")
    except FileNotFoundError:
        raise SettingsInvalid(f"there is no {path}; make it with `neopro-agent identity`") from None
    except OSError as problem:
        raise SettingsInvalid(f"cannot read {path}: {problem.strerror}") from None
    if mode & 0o077:
        raise SettingsInvalid(f"cannot use {path}: others may read it; chmod 600 it, or make another key")
    import pyrage

    try:
        (line,) = [line.strip() for line in text.splitlines() if line.strip().startswith(_PREFIX)]
        return pyrage.x25519.Identity.from_str(line)
    except (ValueError, pyrage.IdentityError):  # not `from problem`: nothing of the file is to be seen
        raise SettingsInvalid(f"cannot use {path} as the box's age key: it must hold one line {_PREFIX}…") from None
