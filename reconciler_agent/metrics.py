"""What is measured on the box for its reports, from `/proc` and `/sys`; what cannot be told is absent."""

import os
import time
from pathlib import Path
from typing import Final

from schemas.status import Metrics

PROC: Final = Path("/proc")
THERMAL: Final = Path("/sys/class/thermal/thermal_zone0/temp")


class Meter:
    """Measures; the share of the processors is taken between two calls."""

    def __init__(self, disk: Path) -> None:
        self._disk = disk
        self._busy: tuple[float, float] | None = None

    def measure(self) -> Metrics:
        """The figures of now."""
        disk = os.statvfs(self._disk)
        return Metrics(
            cpu_percent=self._cpu_percent(),
            memory_percent=_memory_percent(),
            temperature_celsius=_temperature_celsius(),
            disk_total_bytes=disk.f_blocks * disk.f_frsize,
            disk_free_bytes=disk.f_bavail * disk.f_frsize,
            uptime_s=int(time.clock_gettime(time.CLOCK_BOOTTIME)),
            agent_memory_bytes=_own_bytes(),
        )

    def _cpu_percent(self) -> float | None:
        """Of all processors, since the last call."""
        words = _read(PROC / "stat").partition("\n")[0].split()[1:9]
        if len(words) < 5:
            return None
        ticks = [float(word) for word in words]
        total, busy = sum(ticks), sum(ticks) - ticks[3] - ticks[4]
        before, self._busy = self._busy, (total, busy)
        if before is None or total <= before[0]:
            return None
        return round(100 * (busy - before[1]) / (total - before[0]), 1)


def _memory_percent() -> float | None:
    found = dict(line.split(":", 1) for line in _read(PROC / "meminfo").splitlines() if ":" in line)
    try:
        total, available = (float(found[key].split()[0]) for key in ("MemTotal", "MemAvailable"))
    except (KeyError, ValueError, IndexError):
        return None
    return round(100 * (1 - available / total), 1)


def _temperature_celsius() -> float | None:
    text = _read(THERMAL).strip()
    return int(text) / 1000 if text.lstrip("-").isdigit() else None


def _own_bytes() -> int | None:
    """Resident memory of this process; the proportional share costs the kernel a walk through all of it."""
    words = _read(PROC / "self" / "statm").split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") if len(words) > 1 else None


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""
