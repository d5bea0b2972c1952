"""Passwords: hashed by argon2id with the library's parameters, and made where somebody needs a first one."""

import secrets
import string
from functools import cache
from typing import Final

import pyotp
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

from control_plane.core.people import MAX_PASSWORD, plain

_HASHER: Final = PasswordHasher()
_LETTERS: Final = "".join(sorted(set(string.ascii_lowercase + string.digits) - set("0o1l")))
_GROUPS: Final = 5
_GROUP: Final = 4


def hashed(password: str) -> str:
    """The hash as it is kept (PHC string format). Takes some 50 ms and 64 MiB: run it in a thread."""
    return _HASHER.hash(plain(password))


def is_right(kept: str | None, password: str) -> bool:
    """Whether the password is the one; without a hash as long as with one, so that nobody learns who has an account."""
    if len(password) > MAX_PASSWORD:
        return False
    try:
        return _HASHER.verify(kept or _nobodys(), plain(password)) and kept is not None
    except VerificationError:
        return False


def is_dated(kept: str) -> bool:
    """Whether the hash was made with other parameters than now: the next login makes it anew."""
    return _HASHER.check_needs_rehash(kept)


def make_password() -> str:
    """A first password, to be typed once and changed: 100 bits, in groups, without letters that look alike."""
    groups = ("".join(secrets.choice(_LETTERS) for _ in range(_GROUP)) for _ in range(_GROUPS))
    return "-".join(groups)


def make_totp_secret() -> str:
    """A secret of 160 bits, in base32 (RFC 4226, section 4)."""
    return pyotp.random_base32()


@cache
def _nobodys() -> str:
    return _HASHER.hash(secrets.token_urlsafe())
