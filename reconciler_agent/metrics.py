"""What is measured on the box for its reports, from `/proc` and `/sys`; what cannot be told is absent."""

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from schemas.status import Link, Metrics, Strain

PROC: Final = Path("/proc")
SYS: Final = Path("/sys")
THERMAL: Final = "class/thermal/thermal_zone0/temp"
THROTTLED: Final = "devices/platform/soc/soc:firmware/get_throttled"
STRAINS: Final[tuple[Strain, ...]] = ("under_voltage", "frequency_capped", "throttled", "soft_temperature_limit")
"""By their bits of now, from 0 on; those of the past are 16 higher."""
PAST_BIT: Final = 16
_ROUTE_UP: Final = 1
_ANYWHERE: Final = "00000000"


class Meter:
    """Measures; the share of the processors is taken since the last call that was to `mark` the time.

    `restarts` and `clock_error_s` are what others know: of each unit by the service manager, and of the clock.
    """

    def __init__(
        self,
        disk: Path,
        restarts: Callable[[], Mapping[str, int]] = dict,
        clock_error_s: Callable[[], float | None] = lambda: None,
        proc: Path = PROC,
        sys: Path = SYS,
    ) -> None:
        self._disk = disk
        self._restarts = restarts
        self._clock_error_s = clock_error_s
        self._proc = proc
        self._sys = sys
        self._busy: tuple[float, float] | None = None

    def measure(self, *, mark: bool = True) -> Metrics:
        """The figures of now."""
        disk = os.statvfs(self._disk)
        throttled = _throttled(self._sys)
        return Metrics(
            cpu_percent=self._cpu_percent(mark),
            memory_percent=_memory_percent(self._proc),
            temperature_celsius=_temperature_celsius(self._sys),
            disk_total_bytes=disk.f_blocks * disk.f_frsize,
            disk_free_bytes=disk.f_bavail * disk.f_frsize,
            uptime_s=int(time.clock_gettime(time.CLOCK_BOOTTIME)),
            agent_memory_bytes=_own_bytes(self._proc),
            strain=_strain(throttled, 0),
            past_strain=_strain(throttled, PAST_BIT),
            link=_link(self._proc, self._sys),
            service_restarts=dict(self._restarts()) or None,
            clock_error_s=self._clock_error_s(),
        )

    def _cpu_percent(self, mark: bool) -> float | None:
        """Of all processors, since the last mark."""
        words = _read(self._proc / "stat").partition("\n")[0].split()[1:9]
        if len(words) < 5:
            return None
        ticks = [float(word) for word in words]
        total, busy = sum(ticks), sum(ticks) - ticks[3] - ticks[4]
        before = self._busy
        if mark:
            self._busy = (total, busy)
        if before is None or total <= before[0]:
            return None
        return round(100 * (busy - before[1]) / (total - before[0]), 1)


def _memory_percent(proc: Path) -> float | None:
    found = dict(line.split(":", 1) for line in _read(proc / "meminfo").splitlines() if ":" in line)
    try:
        total, available = (float(found[key].split()[0]) for key in ("MemTotal", "MemAvailable"))
    except (KeyError, ValueError, IndexError):
        return None
    return round(100 * (1 - available / total), 1)


def _temperature_celsius(sys: Path) -> float | None:
    text = _read(sys / THERMAL).strip()
    return int(text) / 1000 if text.lstrip("-").isdigit() else None


def _own_bytes(proc: Path) -> int | None:
    """Resident memory of this process; the proportional share costs the kernel a walk through all of it."""
    words = _read(proc / "self" / "statm").split()
    return int(words[1]) * os.sysconf("SC_PAGE_SIZE") if len(words) > 1 else None


def _throttled(sys: Path) -> int | None:
    """The firmware's bits, which the kernel writes in hexadecimal; None on what is no Pi."""
    try:
        return int(_read(sys / THROTTLED).strip(), 16)
    except ValueError:
        return None


def _strain(bits: int | None, first: int) -> list[Strain] | None:
    return None if bits is None else [name for place, name in enumerate(STRAINS, start=first) if bits >> place & 1]


def _link(proc: Path, sys: Path) -> Link | None:
    """The way out, as it is linked."""
    name = default_interface(proc)
    if name is None:
        return None
    if (sys / "class/net" / name / "wireless").is_dir():
        return Link(interface=name, kind="wifi", signal_dbm=_signal_dbm(proc, name))
    speed = _read(sys / "class/net" / name / "speed").strip()
    return Link(interface=name, kind="cable", speed_mbit=int(speed) if speed.isdecimal() else None)


def default_interface(proc: Path = Path("/proc")) -> str | None:
    """The interface of the default route that is preferred."""
    routes = []
    for line in _read(proc / "net/route").splitlines()[1:]:
        words = line.split()
        if len(words) < 8 or (words[1], words[7]) != (_ANYWHERE, _ANYWHERE):
            continue
        if int(words[3], 16) & _ROUTE_UP:
            routes.append((int(words[6]), words[0]))
    return min(routes)[1] if routes else None


def _signal_dbm(proc: Path, name: str) -> int | None:
    """The level of a radio; None where its driver counts otherwise."""
    for line in _read(proc / "net/wireless").splitlines():
        words = line.split()
        if len(words) > 3 and words[0] == f"{name}:":
            level = words[3].rstrip(".")
            return int(level) if level.startswith("-") and level[1:].isdecimal() else None
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""
