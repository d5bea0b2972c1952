"""What systemd hears of us (`Type=notify`, `WatchdogSec=`): that we run, how we are, and that we get on."""

import logging
import os
import socket
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

PINGS: Final = 4
"""How often in the watchdog's time it is told that we get on."""

TIMEOUT_S: Final = 1.0

log = logging.getLogger("neopro-agent")


def sd_notify(address: str, words: str) -> None:
    """One datagram to the socket that systemd named, as in sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
        speaker.settimeout(TIMEOUT_S)  # its queue is short, and a manager that does not read must not stop us
        speaker.connect("\0" + address[1:] if address.startswith("@") else address)
        speaker.sendall(words.encode())


class Notifier:
    """Tells systemd, where one started us; silent elsewhere. `ping_s`: seconds between two pings, None: nobody waits.

    A ping is sent by `alive` alone, and that is called where work got on: a loop that stands still is restarted.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ, now_s: Callable[[], float] = monotonic) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._now_s = now_s
        self._pinged_s = float("-inf")
        self._status = ""
        within = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.ping_s = int(within) / 1e6 / PINGS if within.isdigit() and int(within) and ours else None

    def ready(self) -> None:
        """The loop begins."""
        self._tell("READY=1")

    def stopping(self) -> None:
        """The loop has ended."""
        self._tell("STOPPING=1")

    def status(self, words: str) -> None:
        """One line for `systemctl status`; nothing is sent when it is the one of before."""
        line = " ".join(words.split())[:300]
        if line != self._status:
            self._status = line
            self._tell(f"STATUS={line}")

    def alive(self) -> None:
        """Something got on. May be called as often as one likes."""
        if self.ping_s is not None and self._now_s() - self._pinged_s >= self.ping_s / 2:
            self._pinged_s = self._now_s()
            self._tell("WATCHDOG=1")

    def _tell(self, words: str) -> None:
        if not self._address:
            return
        try:
            sd_notify(self._address, words)
        except OSError as problem:
            log.warning("cannot tell systemd %s: %s", words.partition("=")[0], problem.strerror or problem)
