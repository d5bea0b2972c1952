"""Quantities as people read them, and names as ids."""

import re
import unicodedata
from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def size(size_bytes: float) -> str:
    """Bytes in powers of ten, as disks are sold: 850 B, 7.2 kB, 38 MB."""
    unit = 0
    while size_bytes >= 999.5 and unit < len(_UNITS) - 1:
        size_bytes, unit = size_bytes / 1000, unit + 1
    digits = 1 if unit and size_bytes < 9.95 else 0
    return f"{size_bytes:.{digits}f} {_UNITS[unit]}"


def duration(seconds: float) -> str:
    """Minutes and seconds: 0:05, 1:30, 61:00."""
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"


def count(number: int, word: str) -> str:
    """1 site, 2 sites."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def slug(text: str) -> str:
    """An id out of a name: small letters without accents, digits and hyphens; at most 63 of them."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-")
