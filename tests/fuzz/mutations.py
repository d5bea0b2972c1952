"""Ways to break a text: bytes, lines, tokens, nesting, sizes, Unicode. All chance comes from the generator given."""

import random
import re
from collections.abc import Callable, Sequence
from typing import Final

Mutation = Callable[[random.Random, bytes], bytes]

_TOKEN: Final = re.compile(rb"[A-Za-z0-9_.+-]+|\s+|[^A-Za-z0-9_.+\s-]")
_BYTES: Final = (b"\0", b"\r", b"\t", b"\x1b", b"\x7f", b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5", b"\xff\xfe")
_TOKENS: Final = (
    *(
        b"&x",
        b"*x",
        b"!",
        b"!!str",
        b"!t",
        b"<<",
        b"<<: *x",
        b"? ",
        b": ",
        b"- ",
        b"|",
        b">-",
        b"|2",
        b"%YAML 1.2\n",
        b"---\n",
    ),
    *(b"...\n", b"'", b'"', b"[", b"]", b"{", b"}", b",", b"#", b" #", b"@", b"`", b"\\", b'"\\x07"', b'"\\U0001f600"'),
    *(
        b"no",
        b"Yes",
        b"on",
        b"null",
        b"~",
        b"true",
        b"012",
        b"0o17",
        b"0x1F",
        b"0b1",
        b"1_000",
        b"1:30",
        b"1e3",
        b"1e999",
    ),
    *(b".inf", b".nan", b"-0", b"9" * 30, b"9007199254740993", b"0." + b"3" * 40, b"2026-01-01", b"2026-02-30"),
    *(b"2026-01-01T00:00:00Z", b"99999d", b"0s", b"24:00", b"101%", b"-1", b"1.5", b"sha256:" + b"a" * 64, b"ed25519:"),
    *(b"key: value\n", b"\n", b"\n\n", b"  ", b"\t", b"a: b: c", b"not", b"labels.", b"2.1.3", b"9.9.9", b">=2"),
)
_TEXTS: Final = (
    *(
        "\u202e",
        "\u2066",
        "\u200f",
        "\u2028",
        "\u0085",
        "\ufeff",
        "\u00a0",
        "e\u0301",
        "\u00e9",
        "\U0001f600",
        "\U0010ffff",
    ),
    *("\uffff", "\ud7ff", "ı", "ﬁ", "ß", "İ", "\u0301" * 50, "Ω", "中文", "\u3000", "\u00ad"),
)
_SIZES: Final = (10, 100, 1_000, 3_000)
MAX_INPUT_BYTES: Final = 20_000
"""Mutations of mutations stop growing here; `huge` alone goes further, seldom."""


def _spot(chance: random.Random, data: bytes) -> int:
    return chance.randrange(len(data) + 1)


def _span(chance: random.Random, data: bytes) -> tuple[int, int]:
    start = _spot(chance, data)
    return start, min(len(data), start + chance.choice((1, 2, 5, 20, 100)))


def flip(chance: random.Random, data: bytes) -> bytes:
    """One byte is another."""
    if not data:
        return b"\0"
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def insert_bytes(chance: random.Random, data: bytes) -> bytes:
    """Bytes that are no text, or control it."""
    at = _spot(chance, data)
    return data[:at] + chance.choice(_BYTES) + data[at:]


def insert_token(chance: random.Random, data: bytes) -> bytes:
    """A word that means something to some reader of YAML."""
    at = _spot(chance, data)
    return data[:at] + chance.choice(_TOKENS) + data[at:]


def replace_token(chance: random.Random, data: bytes) -> bytes:
    """A word of the text becomes another that means something."""
    found = list(_TOKEN.finditer(data))
    if not found:
        return chance.choice(_TOKENS)
    match = chance.choice(found)
    return data[: match.start()] + chance.choice(_TOKENS) + data[match.end() :]


def swap_tokens(chance: random.Random, data: bytes) -> bytes:
    """Two words change places."""
    words = _TOKEN.findall(data)
    if len(words) > 1:
        one, other = chance.randrange(len(words)), chance.randrange(len(words))
        words[one], words[other] = words[other], words[one]
    return b"".join(words)


def insert_text(chance: random.Random, data: bytes) -> bytes:
    """A character that looks like nothing, like another, or that moves its neighbours."""
    at = _spot(chance, data)
    return data[:at] + chance.choice(_TEXTS).encode("utf-8", "surrogatepass") + data[at:]


def delete(chance: random.Random, data: bytes) -> bytes:
    """A piece is gone."""
    start, end = _span(chance, data)
    return data[:start] + data[end:]


def repeat(chance: random.Random, data: bytes) -> bytes:
    """A piece is there several times."""
    start, end = _span(chance, data)
    return data[:start] + data[start:end] * chance.choice((2, 3, 50)) + data[end:]


def cut(chance: random.Random, data: bytes) -> bytes:
    """The end is gone."""
    return data[: _spot(chance, data)]


def lines(chance: random.Random, data: bytes) -> bytes:
    """Lines are deleted, doubled, swapped or indented."""
    rows = data.split(b"\n")
    at, other = chance.randrange(len(rows)), chance.randrange(len(rows))
    match chance.randrange(5):
        case 0:
            del rows[at]
        case 1:
            rows.insert(other, rows[at])
        case 2:
            rows[at], rows[other] = rows[other], rows[at]
        case 3:
            rows[at] = b" " * chance.choice((1, 2, 4)) + rows[at]
        case _:
            rows[at] = rows[at].lstrip()
    return b"\n".join(rows)


def nest(chance: random.Random, data: bytes) -> bytes:
    """Brackets, braces, dashes or question marks without end, closed or not."""
    opening, closing = chance.choice(
        (
            (b"[", b"]"),
            (b"{a: ", b"}"),
            (b"- ", b""),
            (b"? ", b""),
            (b"[{a: ", b"}]"),
            (b"&a ", b""),
            (b"a:\n ", b""),
            (b"(", b")"),
        )
    )
    deep = chance.choice((3, 15, 19, 20, 21, 40, *_SIZES))
    at = _spot(chance, data)
    return data[:at] + opening * deep + b"1" + closing * chance.choice((deep, 0, deep - 1)) + data[at:]


def huge(chance: random.Random, data: bytes) -> bytes:
    """A scalar that is much longer than anybody writes."""
    piece = chance.choice(
        (b"x", b"9", b" ", b"\n", b"\\x41", b"'", b'"', "é".encode(), b"a, ", b"k: 1\n", b"%TAG !a! b\n")
    )
    size = chance.choice(_SIZES) if chance.random() < 0.98 else 200_000
    at = _spot(chance, data)
    return data[:at] + piece * (size // len(piece)) + data[at:]


_COMMON: Final = (flip, insert_bytes, insert_token, replace_token, swap_tokens, insert_text, delete, repeat, cut, lines)
_SELDOM: Final = (nest, huge)


def spliced(chance: random.Random, one: bytes, other: bytes) -> bytes:
    """The beginning of one text and the end of another."""
    return one[: _spot(chance, one)] + other[_spot(chance, other) :]


def mutated(chance: random.Random, data: bytes, others: Sequence[bytes]) -> bytes:
    """One to eight mutations, one after the other; now and then of two texts at once."""
    if chance.random() < 0.1:
        data = spliced(chance, data, chance.choice(others))
    for _ in range(chance.choice((1, 1, 1, 2, 2, 3, 5, 8))):
        mutation: Mutation = chance.choice(_SELDOM if chance.random() < 0.04 else _COMMON)
        data = mutation(chance, data)
        if len(data) > MAX_INPUT_BYTES:
            break
    return data
