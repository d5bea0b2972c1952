"""Names, digests, quantities: annotated strings with their patterns, and how to read them.

Everything here is a plain ``str`` at run time; msgspec enforces the pattern where a document enters.
"""

import hashlib
import re
from typing import Annotated, Final

from msgspec import Meta


def whole(pattern: str) -> str:
    """A pattern that the whole text must fit: Python's `$` alone would let a newline pass at the end.

    Written so that JSON Schema's dialect (ECMA 262) reads it alike.
    """
    return f"^{pattern}$(?!\\n)"


ID_PATTERN: Final = whole(r"[a-z0-9][a-z0-9-]{0,62}")
SEMVER_PATTERN: Final = whole(
    r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z.-]+)?"
)

SiteId = Annotated[str, Meta(pattern=ID_PATTERN, description="Id of a site (a box): the stem of its file.")]
DocumentId = Annotated[str, Meta(pattern=ID_PATTERN, description="Id of a document: the stem of its file.")]
Digest = Annotated[str, Meta(pattern=whole(r"sha256:[0-9a-f]{64}"), description="SHA-256 of the exact bytes.")]
Revision = Annotated[str, Meta(pattern=whole(r"[0-9a-f]{40,64}"), description="Object id of a Git commit.")]
Version = Annotated[str, Meta(pattern=SEMVER_PATTERN, max_length=64, description="Version, as in semver.org 2.0.0.")]
KeyId = Annotated[
    str, Meta(pattern=whole(r"[0-9a-f]{64}"), description="SHA-256 of the raw public key, in hexadecimal.")
]
PublicKeyLine = Annotated[
    str, Meta(pattern=whole(r"ed25519:[A-Za-z0-9+/]{43}="), description="An Ed25519 public key: ed25519:BASE64.")
]
Duration = Annotated[
    str, Meta(pattern=whole(r"[1-9][0-9]{0,5}(s|m|h|d)"), description="A duration: 30s, 15m, 12h or 14d.")
]
Rate = Annotated[
    str, Meta(pattern=whole(r"[1-9][0-9]{0,5}(kB|MB|GB)/s"), description="A rate: 500kB/s, 2MB/s (powers of ten).")
]
TimeOfDay = Annotated[str, Meta(pattern=whole(r"([01][0-9]|2[0-3]):[0-5][0-9]"), description="A time of day: 03:00.")]
Percent = Annotated[str, Meta(pattern=whole(r"(100|[1-9]?[0-9])%"), description="A share: 95%.")]

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_BYTES: Final = {"kB": 10**3, "MB": 10**6, "GB": 10**9}


def duration_s(text: Duration) -> int:
    """Seconds in a checked Duration."""
    return int(text[:-1]) * _SECONDS[text[-1]]


def rate_bytes_s(text: Rate) -> int:
    """Bytes a second in a checked Rate."""
    number, unit = re.fullmatch(r"(\d+)(kB|MB|GB)/s", text).groups()  # type: ignore[union-attr]
    return int(number) * _BYTES[unit]


def at_least(version: str, bound: str) -> bool:
    """Whether a version meets `>=X.Y.Z`; a pre-release comes before its release (SemVer 2.0.0, 11.3).

    What is no such version meets nothing.
    """
    if not re.fullmatch(SEMVER_PATTERN, version):
        return False
    core, _, prerelease = version.partition("+")[0].partition("-")
    numbers = tuple(int(part) for part in core.split("."))
    wanted = tuple(int(part) for part in bound.removeprefix(">=").split("."))
    wanted += (0,) * (3 - len(wanted))
    return numbers > wanted or (numbers == wanted and not prerelease)


def digest_of(data: bytes) -> Digest:
    """The Digest of these bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
