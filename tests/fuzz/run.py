"""Runs inputs in processes of their own, and notices when one kills its process or does not come back."""

import multiprocessing
import resource
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection, wait
from typing import Final, Literal

from msgspec import Struct

Check = Callable[[int], None]
"""Looks at the input of a number; raises what is wrong. Must be a function of a module, or a partial of one."""
BATCH: Final = 500
SLOW_S: Final = 1.0
"""Processor time above which an input counts as slow."""
LIMIT_S: Final = 30.0
"""Time on the wall after which an input counts as hanging: its process is killed."""
MEMORY_BYTES: Final = 4 << 30
_IDLE: Final = -1
_SPAWN: Final = multiprocessing.get_context("spawn")


class Failure(Struct, frozen=True):
    """An input that showed a mistake."""

    number: int
    what: str


class Outcome(Struct):
    """What a run came to."""

    inputs: int = 0
    failures: list[Failure] = []
    slow: list[int] = []

    def __str__(self) -> str:
        return f"{self.inputs:,} inputs, {len(self.failures)} failures, {len(self.slow)} slow (over {SLOW_S:.0f} s)"


Told = tuple[Literal["failed", "slow", "done"], int, str]


def _work(check: Check, pipe: Connection, current: "Current") -> None:
    """The worker: takes ranges of numbers, says what failed, and what it is at."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    while (given := pipe.recv()) is not None:
        for number in range(*given):
            current.begin(number)
            began_s = time.process_time()
            try:
                check(number)
            except Exception:  # noqa: BLE001 (whatever it is, it is a mistake of ours)
                pipe.send(("failed", number, traceback.format_exc(limit=-4)))
            if time.process_time() - began_s > SLOW_S:
                pipe.send(("slow", number, ""))
        current.begin(_IDLE)
        pipe.send(("done", given[1], ""))


class Current:
    """The number that a worker is at, and since when, for its parent to see."""

    def __init__(self) -> None:
        self._values = _SPAWN.Array("d", [_IDLE, 0.0], lock=False)

    def begin(self, number: int) -> None:
        """The worker turns to this input."""
        self._values[1] = time.monotonic()
        self._values[0] = number

    @property
    def number(self) -> int:
        """The input under way, or -1."""
        return int(self._values[0])

    def overdue(self, limit_s: float) -> bool:
        """Whether the input under way has taken too long."""
        return self.number != _IDLE and time.monotonic() - self._values[1] > limit_s


class _Worker:
    """A process and what it was given."""

    def __init__(self, check: Check) -> None:
        self.current = Current()
        self.pipe, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=_work, args=(check, theirs, self.current), daemon=True)
        self.process.start()
        theirs.close()
        self.given = (0, 0)

    def give(self, given: tuple[int, int]) -> None:
        """Numbers to look at, the last excluded."""
        self.given = given
        self.pipe.send(given)

    def stop(self) -> None:
        """End the process, however busy it is."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


class Run:
    """Numbers `first` to `last` (excluded), by several workers; `told` hears of progress after each batch."""

    def __init__(
        self,
        check: Check,
        first: int,
        last: int,
        *,
        workers: int = 1,
        limit_s: float = LIMIT_S,
        told: Callable[[Outcome], None] = lambda _outcome: None,
    ) -> None:
        self._check, self._limit_s, self._told = check, limit_s, told
        self._batches = iter([(n, min(n + BATCH, last)) for n in range(first, last, BATCH)])
        self._workers: list[_Worker] = []
        self._count = workers
        self.outcome = Outcome()

    def go(self) -> Outcome:
        """Look at all of them."""
        try:
            for _, batch in zip(range(self._count), self._batches, strict=False):
                self._start(batch)
            while self._workers:
                self._look()
        finally:
            for worker in self._workers:
                worker.stop()
        return self.outcome

    def _start(self, batch: tuple[int, int]) -> None:
        worker = _Worker(self._check)
        self._workers.append(worker)
        worker.give(batch)

    def _look(self) -> None:
        ready = wait([worker.pipe for worker in self._workers], timeout=min(1.0, self._limit_s / 2))
        for worker in list(self._workers):
            if worker.pipe in ready:
                self._hear(worker)
            elif worker.current.overdue(self._limit_s):
                self._lost(worker, f"it was not done after {self._limit_s:.0f} s")

    def _hear(self, worker: _Worker) -> None:
        for said, number, what in _messages(worker.pipe):
            match said:
                case "failed":
                    self.outcome.failures.append(Failure(number, what))
                case "slow":
                    self.outcome.slow.append(number)
                case "done":
                    self._done(worker)
                    return
                case "dead":
                    worker.process.join()
                    self._lost(worker, f"it ended the process (exit code {worker.process.exitcode})")
                    return

    def _done(self, worker: _Worker) -> None:
        self.outcome.inputs += worker.given[1] - worker.given[0]
        self._told(self.outcome)
        batch = next(self._batches, None)
        if batch is None:
            self._workers.remove(worker)
            worker.stop()
        else:
            worker.give(batch)

    def _lost(self, worker: _Worker, why: str) -> None:
        """The input under way is the one to blame; another process goes on behind it."""
        number = worker.current.number
        if number == _IDLE:
            raise RuntimeError(f"a worker could not start: {why}")
        self.outcome.failures.append(Failure(number, why))
        self.outcome.inputs += number + 1 - worker.given[0]
        self._told(self.outcome)
        self._workers.remove(worker)
        worker.stop()
        if number + 1 < worker.given[1]:
            self._start((number + 1, worker.given[1]))
        elif (batch := next(self._batches, None)) is not None:
            self._start(batch)


def _messages(pipe: Connection) -> Iterator[tuple[str, int, str]]:
    """What the worker said so far; `dead` when it can say no more."""
    try:
        while pipe.poll():
            yield pipe.recv()
    except (EOFError, ConnectionResetError):
        yield "dead", _IDLE, ""
