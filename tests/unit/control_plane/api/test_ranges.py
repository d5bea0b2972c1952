"""Byte ranges against what slicing does."""

from hypothesis import given
from hypothesis import strategies as st

from control_plane.api.ranges import Part, Piece, Unsatisfiable, parse_content_range, parse_range

SIZES = st.integers(0, 50)


@given(size=SIZES, first=st.integers(0, 60), last=st.none() | st.integers(0, 60))
def test_range_from_the_start_is_that_slice(size: int, first: int, last: int | None) -> None:
    data = bytes(range(size))
    try:
        part = parse_range(f"bytes={first}-{'' if last is None else last}", size)
    except Unsatisfiable:
        assert first >= size
        return
    if last is not None and last < first:
        assert part is None
    else:
        assert part is not None
        assert data[part.offset : part.offset + part.length] == data[first : None if last is None else last + 1]
        assert part.length > 0


@given(size=SIZES, length=st.integers(0, 60))
def test_range_from_the_end_is_the_tail(size: int, length: int) -> None:
    try:
        part = parse_range(f"bytes=-{length}", size)
    except Unsatisfiable:
        assert length == 0 or size == 0
        return
    assert part == Part(max(0, size - length), min(length, size))


@given(st.text())
def test_any_other_text_asks_for_the_whole_or_fails_cleanly(text: str) -> None:
    try:
        part = parse_range(text, 10)
    except Unsatisfiable:
        return
    assert part is None or 0 < part.length <= 10


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_content_range_makes_sense_or_is_none(first: int, last: int, total: int) -> None:
    piece = parse_content_range(f"bytes {first}-{last}/{total}")
    assert piece == (Piece(first, last - first + 1, total) if first <= last < total else None)
