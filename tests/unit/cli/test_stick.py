"""Sticks whose file system cannot have what is to be written."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.errors import CommandFailed
from cli.stick import FAT_BYTES, Stick


@contextmanager
def no_file_larger_than(size_bytes: int) -> Iterator[None]:
    """Files of this process are limited as a file system limits them, and the kernel answers the same (EFBIG)."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, usual[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def test_file_that_the_file_system_cannot_have_is_told_before_a_byte_is_fetched(tmp_path: Path) -> None:
    stick = Stick(tmp_path)
    stick.folder.mkdir()
    with (
        no_file_larger_than(FAT_BYTES - 1),
        pytest.raises(
            CommandFailed, match=r"^cannot bring a file of 4.3 GB to the stick: .* format it as exFAT or ext4$"
        ),
    ):
        stick.require_takes(FAT_BYTES)
    stick.require_takes(FAT_BYTES)
    assert list(stick.folder.iterdir()) == []
