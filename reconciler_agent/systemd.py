"""The box's service manager where it is systemd: the named units alone, by an argument list, never through a shell."""

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

from reconciler_agent.core.operations import AGENT
from reconciler_agent.errors import ServiceFailed
from reconciler_agent.services import MACHINE, UNITS, UnitState

COMMAND: Final = ("/usr/bin/systemctl",)
WITHIN_S: Final = 100.0
"""systemd gives a unit 90 s to start or to stop."""


class Systemd:
    """A ServiceManager by `command`, which is called with nothing of our environment."""

    def __init__(self, command: Sequence[str] = COMMAND, within_s: float = WITHIN_S) -> None:
        self._command = tuple(command)
        self._within_s = within_s

    def restart(self, unit: str) -> UnitState:
        """See ServiceManager."""
        return self._do("restart", unit)

    def start(self, unit: str) -> UnitState:
        """See ServiceManager."""
        return self._do("start", unit)

    def stop(self, unit: str) -> UnitState:
        """See ServiceManager."""
        return self._do("stop", unit)

    def state(self, unit: str) -> UnitState:
        """See ServiceManager."""
        name = _name("look at", unit)
        shown = self._run("look at", unit, "show", "--property=LoadState,ActiveState,NRestarts", "--", name)
        said = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        if said.get("LoadState") in ("not-found", "masked"):
            raise ServiceFailed(f"cannot look at {unit}: its unit is {said['LoadState']}; install or unmask it")
        restarts = said.get("NRestarts", "")
        return UnitState(
            active=said.get("ActiveState") == "active", restarts=int(restarts) if restarts.isdigit() else 0
        )

    def environment(self, unit: str) -> Mapping[str, str]:
        """See ServiceManager. What `EnvironmentFile=` brings is not among them."""
        name = _name("look at", unit)
        shown = self._run("look at", unit, "show", "--property=Environment", "--", name)
        try:
            words = shlex.split(shown.removeprefix("Environment="))
        except ValueError as problem:
            raise ServiceFailed(f"cannot look at {unit}: its environment is not readable: {problem}") from None
        return dict(word.split("=", 1) for word in words if "=" in word)

    def reboot(self) -> None:
        """See ServiceManager."""
        self._run("start anew", MACHINE, "--no-block", "reboot")

    def reload(self) -> None:
        """Have systemd read its unit files anew."""
        self._run("read the units of", MACHINE, "daemon-reload")

    def _do(self, verb: str, unit: str) -> UnitState:
        # Who waits for its own restart waits for its own end.
        queued = ["--no-block"] if (verb, unit) == ("restart", AGENT) else []
        self._run(verb, unit, *queued, verb, "--", _name(verb, unit))
        return self.state(unit)

    def _run(self, word: str, unit: str, *arguments: str) -> str:
        try:
            done = subprocess.run(
                [*self._command, "--no-ask-password", "--no-pager", *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._within_s,
                env={},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ServiceFailed(f"cannot {word} {unit}: it took longer than {self._within_s:.0f} s") from None
        except OSError as problem:
            raise ServiceFailed(f"cannot {word} {unit}: {self._command[0]}: {problem.strerror or problem}") from None
        if done.returncode != 0:
            said = " ".join(done.stderr.decode("utf-8", "replace").split())[:300]
            raise ServiceFailed(f"cannot {word} {unit}: {said or f'systemctl ended with {done.returncode}'}")
        return done.stdout.decode("utf-8", "replace")


def _name(verb: str, unit: str) -> str:
    if unit not in UNITS:
        raise ServiceFailed(f"cannot {verb} {unit}: it is none of the box's services")
    return f"{unit}.service"
