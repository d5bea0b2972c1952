"""What is measured, from files as a Pi has them; what cannot be told is absent."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler_agent.metrics import SYS, THROTTLED, Meter
from reconciler_agent.observe import SystemClock
from schemas.status import Link, Metrics

HEADER = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
CABLE = "eth0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0\n"
RADIO = "wlan0 00000000 0101A8C0 0003 0 0 600 00000000 0 0 0\n"
LOCAL = "eth0 0001A8C0 00000000 0001 0 0 100 00FFFFFF 0 0 0\n"
DOWN = "eth0 00000000 0101A8C0 0002 0 0 1 00000000 0 0 0\n"
WIRELESS = """Inter-| sta-|   Quality        |   Discarded packets               | Missed | WE
 face | tus | link level noise |  nwid  crypt   frag  retry   misc | beacon | 22
 wlan0: 0000   54.  {level}.  -256        0      0      0      0      0        0
"""


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    (tmp_path / "sys/class/net/wlan0/wireless").mkdir(parents=True)
    (tmp_path / "sys/class/net/eth0").mkdir()
    return tmp_path


def put(pi: Path, path: str, text: str) -> None:
    file = pi / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def measure(pi: Path, **known: Any) -> Metrics:
    return Meter(pi, proc=pi / "proc", sys=pi / "sys", **known).measure()


def test_machine_that_tells_nothing_has_only_disk_and_uptime(tmp_path: Path) -> None:
    found = msgspec.to_builtins(measure(tmp_path))
    assert found.keys() == {"disk_total_bytes", "disk_free_bytes", "uptime_s"}


@pytest.mark.parametrize(
    ("text", "now", "past"),
    [
        ("0\n", [], []),
        ("1\n", ["under_voltage"], []),
        ("50005\n", ["under_voltage", "throttled"], ["under_voltage", "throttled"]),
        ("50000", [], ["under_voltage", "throttled"]),
        ("a000a", ["frequency_capped", "soft_temperature_limit"], ["frequency_capped", "soft_temperature_limit"]),
        ("f0010", [], ["under_voltage", "frequency_capped", "throttled", "soft_temperature_limit"]),
        ("garbage", None, None),
        ("", None, None),
    ],
)
def test_strain_is_read_from_the_firmware_s_bits(
    pi: Path, text: str, now: list[str] | None, past: list[str] | None
) -> None:
    put(pi, f"sys/{THROTTLED}", text)
    found = measure(pi)
    assert (found.strain, found.past_strain) == (now, past)


@pytest.mark.parametrize(
    ("routes", "link"),
    [
        ("", None),
        (LOCAL, None),
        (DOWN, None),
        (LOCAL + CABLE + RADIO, Link(interface="eth0", kind="cable", speed_mbit=1000)),
        (DOWN + RADIO, Link(interface="wlan0", kind="wifi", signal_dbm=-56)),
    ],
)
def test_link_is_the_preferred_default_route(pi: Path, routes: str, link: Link | None) -> None:
    put(pi, "proc/net/route", HEADER + routes)
    put(pi, "sys/class/net/eth0/speed", "1000\n")
    put(pi, "proc/net/wireless", WIRELESS.format(level=-56))
    assert measure(pi).link == link


def test_speed_and_signal_that_a_driver_does_not_tell_are_absent(pi: Path) -> None:
    put(pi, "proc/net/route", HEADER + CABLE)
    put(pi, "sys/class/net/eth0/speed", "-1\n")
    assert measure(pi).link == Link(interface="eth0", kind="cable")
    put(pi, "proc/net/route", HEADER + RADIO)
    put(pi, "proc/net/wireless", WIRELESS.format(level=180))
    assert measure(pi).link == Link(interface="wlan0", kind="wifi")


def test_restarts_and_the_clock_s_error_come_from_who_knows_them(pi: Path) -> None:
    restarts: dict[str, int] = {}
    assert measure(pi, restarts=lambda: restarts).service_restarts is None
    restarts["neopro-app"] = 3
    found = measure(pi, restarts=lambda: restarts, clock_error_s=lambda: 0.25)
    assert (found.service_restarts, found.clock_error_s) == ({"neopro-app": 3}, 0.25)


def test_this_machine_is_measured_without_an_error(tmp_path: Path) -> None:
    clock = SystemClock("auto")
    found = Meter(tmp_path, clock_error_s=clock.error_s).measure()
    assert found.memory_percent is not None
    assert 0 < found.memory_percent < 100
    assert (found.strain is None) == (not (SYS / THROTTLED).exists())
    assert (found.clock_error_s is None) == (not clock._follows())
    assert msgspec.json.decode(msgspec.json.encode(found), type=Metrics) == found
