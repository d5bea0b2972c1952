"""A life that ends at a system call: in a fork of this process, which has imported everything.

A point is a number of a call that changes the file system (`system_calls.Calls`), and where in it the agent dies:
before it, in the middle of it (half of a write), or after it.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from reconciler_agent.system_calls import SYSTEM, Calls


class Point(NamedTuple):
    """The `number`th call (from 1), and where in it."""

    number: int
    where: str


def counting(
    on_call: Callable[[int, str, tuple[Any, ...]], None], after: Callable[[int], None], calls: Calls = SYSTEM
) -> Calls:
    """Calls that are counted, and may be the last."""
    count = 0

    def wrap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            on_call(count, name, arguments)
            result = real(*arguments, **options)
            after(count)
            return result

        return call

    return Calls(*(wrap(name, real) for name, real in calls._asdict().items()))


def die() -> None:
    """As by a power cut, but for what the kernel still holds."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying_at(point: Point) -> Calls:
    """Calls of which one is the last."""

    def before(number: int, name: str, arguments: tuple[Any, ...]) -> None:
        if number != point.number or point.where == "after":
            return
        if point.where == "within" and name == "write":
            os.write(arguments[0], arguments[1][: len(arguments[1]) // 2])
        die()

    return counting(before, lambda number: die() if (number, "after") == point else None)


def in_child(action: Callable[[], None]) -> int:
    """The wait status of a fork that does this; 0 when it came to its end."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            action()
            status = 0
        except BaseException as problem:  # noqa: BLE001 (whatever it is, the parent is told)
            os.write(2, f"{type(problem).__name__}: {problem}\n".encode())
        finally:
            os._exit(status)
    return os.waitpid(pid, 0)[1]
