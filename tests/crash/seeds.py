"""Five bugs that every writer of files makes once, put under the agent from outside: the matrix must catch each."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from reconciler_agent.system_calls import Calls


def no_fsync_of_a_file(calls: Calls) -> Calls:
    """The bytes of a file may come later than its name."""
    return calls._replace(fsync=_unless(stat.S_ISREG, calls.fsync))


def no_fsync_of_a_directory(calls: Calls) -> Calls:
    """A name may come later than its writer says."""
    return calls._replace(fsync=_unless(stat.S_ISDIR, calls.fsync))


def unlink_before_symlink(calls: Calls) -> Calls:
    """A link is replaced in two steps: for a moment there is none."""

    def rename(name: str, final: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if stat.S_ISLNK(os.lstat(name, dir_fd=src_dir_fd).st_mode):
            with suppress(FileNotFoundError):
                calls.unlink(final, dir_fd=dst_dir_fd)
        calls.rename(name, final, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    return calls._replace(rename=rename)


def write_in_place(calls: Calls) -> Calls:
    """An existing file is opened and written over, and synced in the end as if that would help."""

    def overwrite(name: str, folder: int, data: bytes) -> None:
        handle = calls.create(name, os.O_WRONLY | os.O_TRUNC, dir_fd=folder)
        calls.write(handle, data)
        calls.fsync(handle)
        os.close(handle)

    def rename(name: str, final: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if not _is_file(final, dst_dir_fd):
            calls.rename(name, final, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            return
        overwrite(final, dst_dir_fd, _content(name, src_dir_fd))
        calls.unlink(name, dir_fd=src_dir_fd)

    def exchange(folder_a: int, name_a: str, folder_b: int, name_b: str) -> None:
        if not (_is_file(name_a, folder_a) and _is_file(name_b, folder_b)):
            calls.exchange(folder_a, name_a, folder_b, name_b)
            return
        a, b = _content(name_a, folder_a), _content(name_b, folder_b)
        overwrite(name_b, folder_b, a)
        overwrite(name_a, folder_a, b)

    return calls._replace(rename=rename, exchange=exchange)


def success_reported_early(calls: Calls) -> Calls:
    """fsync says that it is done, and does it before the next call: what is told in between is told too early."""
    owed: list[int] = []

    def pay() -> None:
        while owed:
            handle = owed.pop()
            calls.fsync(handle)
            os.close(handle)

    def after_paying(call: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any, **named: Any) -> Any:
            pay()
            return call(*arguments, **named)

        return made

    def fsync(handle: int) -> None:
        pay()
        owed.append(os.dup(handle))

    late = Calls(*(after_paying(call) for call in calls))
    return late._replace(fsync=fsync)


SEEDS = (no_fsync_of_a_file, no_fsync_of_a_directory, unlink_before_symlink, write_in_place, success_reported_early)


def _content(name: str, folder: int) -> bytes:
    with open(name, "rb", opener=lambda path, flags: os.open(path, flags, dir_fd=folder)) as file:
        return file.read()


def _is_file(name: str, folder: int) -> bool:
    try:
        return stat.S_ISREG(os.lstat(name, dir_fd=folder).st_mode)
    except FileNotFoundError:
        return False


def _unless(is_kind: Callable[[int], bool], fsync: Callable[[int], None]) -> Callable[[int], None]:
    def made(handle: int) -> None:
        if not is_kind(os.fstat(handle).st_mode):
            fsync(handle)

    return made
