"""Secrets by age: never from an argument, never printed, never written in the open."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pyrage

from cli.errors import CommandFailed

_PREFIX: Final = "AGE-SECRET-KEY-1"
_MAX_KEY_FILE_BYTES: Final = 64 << 10


def read_identity(path: Path) -> Any:
    """The age identity in a key file as age-keygen writes it; CommandFailed where there is none, or others may read it.

    An X25519 identity of pyrage.
    """
    try:
        with path.expanduser().open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read(_MAX_KEY_FILE_BYTES).decode("ascii", "replace")
    except OSError as problem:
        raise CommandFailed(f"cannot read the recovery key {path}: {problem.strerror}") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise CommandFailed(f"cannot use the recovery key {path}: others may read it; run: chmod 600 {path}")
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith(_PREFIX)]
    try:
        (line,) = lines
        return pyrage.x25519.Identity.from_str(line)
    except (ValueError, pyrage.IdentityError):
        # Not `from problem`: nothing of the file is to be seen.
        raise CommandFailed(f"cannot use the recovery key {path}: it must hold one line {_PREFIX}…") from None


def decrypt(data: bytes, identity: Any, what: str) -> bytes:
    """The plain bytes; CommandFailed where they are not for this key."""
    try:
        return bytes(pyrage.decrypt(data, [identity]))
    except pyrage.DecryptError:
        public = identity.to_public()
        raise CommandFailed(f"cannot decrypt {what}: it is not encrypted to this recovery key ({public})") from None


def encrypt(data: bytes, recipients: Iterable[str]) -> bytes:
    """An age file that the owner of any of the recipients can read; CommandFailed where one is no recipient."""
    known = []
    for line in dict.fromkeys(recipients):
        try:
            known.append(pyrage.x25519.Recipient.from_str(line))
        except (ValueError, pyrage.RecipientError):
            raise CommandFailed(f"cannot encrypt to {line[:80]!r}: it is no recipient (age1…)") from None
    return bytes(pyrage.encrypt(data, known))
