"""Versions in their order (pure)."""

from schemas.names import Version

Order = tuple[int, int, int]


def order(version: Version) -> Order:
    """A version as it is ordered; what follows the three numbers (a pre-release) does not count."""
    numbers = [int(digits) if (digits := part.partition("-")[0]).isdecimal() else 0 for part in version.split(".")]
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return major, minor, patch
