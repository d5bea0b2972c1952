"""NetworkManager, by `nmcli` with an argument list, never through a shell; no secret is ever among the arguments."""

import re
import subprocess
from collections.abc import Sequence
from typing import Final

from reconciler_agent.core.hotspot import UUID, Device
from reconciler_agent.errors import HotspotNotOpened

COMMAND: Final = ("/usr/bin/nmcli",)
UP_S: Final = 30
WITHIN_S: Final = 45.0
_FIELD: Final = re.compile(r"((?:[^:\\]|\\.)*)(?::|$)")


class NetworkManager:
    """What the agent asks of it; each raises HotspotNotOpened, in words, when it was not done."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self._command = tuple(command)

    def wifi(self) -> list[Device]:
        """Every Wi-Fi device, and what is active on it."""
        lines = self._run("--terse", "--fields", "DEVICE,TYPE,STATE,CON-UUID", "device", "status").splitlines()
        rows = [[re.sub(r"\\(.)", r"\1", field) for field in _FIELD.findall(line)[:4]] for line in lines if line]
        return [
            Device(name=name, state=state, uuid=uuid, mode=self._mode(uuid) if uuid else "")
            for name, kind, state, uuid in rows
            if kind == "wifi"
        ]

    def load(self, path: str) -> None:
        """Have a profile's file read anew."""
        self._run("connection", "load", path)

    def reload(self) -> None:
        """Have all profiles read anew: one whose file is gone is none any more, and what it opened is closed."""
        self._run("connection", "reload")

    def open(self, uuid: str = UUID) -> None:
        """Activate a profile (ours) and wait until it is up."""
        self._run("--wait", str(UP_S), "connection", "up", "uuid", uuid)

    def _mode(self, uuid: str) -> str:
        return self._run("--get-values", "802-11-wireless.mode", "connection", "show", "uuid", uuid).strip()

    def _run(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [*self._command, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=WITHIN_S,
                env={"LC_ALL": "C"},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise HotspotNotOpened(f"cannot open the hotspot: nmcli took longer than {WITHIN_S:.0f} s") from None
        except OSError as problem:
            raise HotspotNotOpened(
                f"cannot open the hotspot: there is no NetworkManager on this box ({self._command[0]}: "
                f"{problem.strerror}); install it, or leave `hotspot` out for this site"
            ) from None
        if done.returncode != 0:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())[:300]
            raise HotspotNotOpened(f"cannot open the hotspot: nmcli says: {said or done.returncode}")
        return done.stdout.decode("utf-8", "replace")
