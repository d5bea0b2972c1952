"""Numbers as plans write them."""

from datetime import datetime


def count(number: int, word: str, many: str = "") -> str:
    """`1 site`, `12,000 sites`."""
    return f"{number:,} {word if number == 1 else many or word + 's'}"


def megabytes(size_bytes: int) -> str:
    """`1.2 GB`: three digits at most, powers of ten, as disks and links are sold."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 9.95 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.0f} TB" if size >= 9.95 else f"{size:.1f} TB"


def span(seconds: float) -> str:
    """`3 d`, `90 min`: the largest unit that says it well."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or seconds == size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def instant(at: datetime) -> str:
    """`2026-11-27 03:00 UTC`."""
    return f"{at:%Y-%m-%d %H:%M} UTC"


def short(names: list[str], most: int = 5) -> str:
    """`a, b, c and 4 more`."""
    left = len(names) - most
    return ", ".join(names[:most]) + (f" and {left:,} more" if left > 0 else "")
