"""Byte ranges of RFC 9110, section 14: one range at a time; several, or another unit, are answered with the whole."""

import re
from typing import Final, NamedTuple

_RANGE: Final = re.compile(r"bytes=\s*(\d{0,15})\s*-\s*(\d{0,15})\s*", re.IGNORECASE)
_CONTENT_RANGE: Final = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", re.IGNORECASE)


class Unsatisfiable(Exception):
    """No byte of the range exists (416)."""


class Part(NamedTuple):
    """`length` bytes from `offset` on."""

    offset: int
    length: int


def parse_range(header: str | None, size: int) -> Part | None:
    """The part asked for of `size` bytes; None for the whole. Unsatisfiable."""
    found = _RANGE.fullmatch(header.strip()) if header else None
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = min(int(found[2]), size)
        if length == 0:
            raise Unsatisfiable
        return Part(size - length, length)
    first, last = int(found[1]), int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None
    if first >= size:
        raise Unsatisfiable
    return Part(first, min(last, size - 1) - first + 1)


class Piece(NamedTuple):
    """A piece of an upload: `length` bytes from `offset` on, of `total`."""

    offset: int
    length: int
    total: int


def parse_content_range(header: str) -> Piece | None:
    """`bytes FIRST-LAST/TOTAL` of a request; None when it is anything else."""
    found = _CONTENT_RANGE.fullmatch(header.strip())
    if found is None:
        return None
    first, last, total = (int(number) for number in found.groups())
    return Piece(first, last - first + 1, total) if first <= last < total else None
