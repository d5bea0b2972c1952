"""How a figure is taken: CPU time of this process, proportional set size, medians; and the row that it becomes."""

import gc
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import msgspec


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of `bench.json`; `floor` is in the same unit, `ratio` is value / floor."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    ratio: float | None = None
    note: str = ""
    peers: dict[str, float] = {}

    def with_peers(self, peers: dict[str, float]) -> "Row":
        """What others take for the same, by their names, in the same unit."""
        return msgspec.structs.replace(self, peers={name: _round(value) for name, value in peers.items()})


def row(name: str, value: float, unit: str, floor: float | None, note: str = "") -> Row:
    """A Row with its ratio worked out, rounded to what the measurement can tell."""
    ratio = None if not floor else round(value / floor, 2)
    return Row(
        name=name,
        value=_round(value),
        unit=unit,
        floor=None if floor is None else _round(floor),
        ratio=ratio,
        note=note,
    )


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def cpu_s(action: Callable[[], object]) -> float:
    """CPU seconds (user and system, all threads of this process) that `action` took."""
    gc.collect()
    before = time.process_time()
    action()
    return time.process_time() - before


def median_cpu_s(action: Callable[[], object], times: int) -> float:
    """The median of `times` runs."""
    return statistics.median(cpu_s(action) for _ in range(times))


def proportional_set_bytes(pid: int | str = "self") -> int:
    """Memory of a process with shared pages counted by share, as the kernel tells (`smaps_rollup`)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"the kernel tells no Pss of process {pid}")


def peak_bytes() -> int:
    """The most resident memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
