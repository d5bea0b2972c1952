"""An agent that is cut off at one of its calls: counted, and at the last one the power goes."""

from collections.abc import Callable
from typing import Any

from reconciler_agent.system_calls import SYSTEM, Calls


class Killed(BaseException):
    """Nothing of the process runs after this."""


class Recorder:
    """Every call that changes the file system, counted; from the `last` one on nothing is done, as by kill -9.

    `after`: the last one itself is still done.
    """

    def __init__(self, last: int | None = None, after: bool = False) -> None:
        self.count, self.last, self.after = 0, last, after
        self.calls = Calls(*map(self.wrap, SYSTEM))

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, counted as the others."""

        def made(*arguments: Any, **named: Any) -> Any:
            self.count += 1
            if self.last is not None and self.count >= self.last:
                if self.count == self.last and self.after:
                    call(*arguments, **named)
                raise Killed
            return call(*arguments, **named)

        return made
