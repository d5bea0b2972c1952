"""What the box's services wrote down: the system's journal, for the closed list of units, by an argument list."""

import subprocess
from collections.abc import Sequence
from threading import Timer
from typing import Final

from reconciler_agent.errors import ServiceFailed
from reconciler_agent.services import UNITS

COMMAND: Final = ("/usr/bin/journalctl",)
AGENT_UNIT: Final = "neopro-sync-agent"
READABLE: Final = (*sorted(UNITS - {AGENT_UNIT}), AGENT_UNIT)
"""The units whose journal may leave the box."""
MAX_TEXT_BYTES: Final = 2 << 20
DEFAULT_S: Final = 7_200
WITHIN_S: Final = 60.0
_PART: Final = 64 << 10


class Journal:
    """Reads by `command`, which is called without a shell and with nothing of our environment."""

    def __init__(self, command: Sequence[str] = COMMAND, within_s: float = WITHIN_S) -> None:
        self._command = tuple(command)
        self._within_s = within_s

    def read(self, units: Sequence[str], since_s: int = DEFAULT_S) -> str:
        """The newest MAX_TEXT_BYTES of what these units wrote in the last `since_s` seconds.

        ServiceFailed: one is none of the box's, or the journal cannot be read.
        """
        if unknown := set(units) - set(READABLE):
            raise ServiceFailed(f"cannot read the journal of {min(unknown)}: it is none of the box's services")
        arguments = ["--no-pager", "--quiet", "--utc", "--output=short-iso", f"--since=-{since_s}s"]
        return self._run([*self._command, *arguments, *(f"--unit={unit}.service" for unit in units)])

    def _run(self, arguments: Sequence[str]) -> str:
        try:
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={}
            )
        except OSError as problem:
            raise ServiceFailed(f"cannot read the journal: {arguments[0]}: {problem.strerror or problem}") from None
        late = Timer(self._within_s, process.kill)
        late.start()
        try:
            with process:
                text = _newest(process)
        finally:
            late.cancel()
        if process.returncode != 0:
            said = " ".join(text[-300:].split())
            raise ServiceFailed(f"cannot read the journal: {arguments[0]} ended with {process.returncode}: {said}")
        return text


def _newest(process: "subprocess.Popen[bytes]") -> str:
    """The end of what a process writes, from the beginning of a line on."""
    assert process.stdout is not None
    kept, cut = bytearray(), False
    while part := process.stdout.read(_PART):
        kept += part
        if len(kept) > 2 * MAX_TEXT_BYTES:
            cut = True
            del kept[:-MAX_TEXT_BYTES]
    if not cut and len(kept) <= MAX_TEXT_BYTES:
        return kept.decode("utf-8", "replace")
    newest = kept[-MAX_TEXT_BYTES:].partition(b"\n")[2]
    return "[what is older was left out]\n" + newest.decode("utf-8", "replace")
