"""A machine with a real systemd as PID 1, in namespaces of this one, over its files and without changing them.

    with booted(tmp_path) as machine:
        machine.run("systemctl", "start", "neopro-sync-agent")

It needs root, systemd, unshare and overlayfs; `why_not` says what is missing. `/tmp` and `/run` are empty in it.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.support.patience import PATIENCE_S, wait_for

BOOT: Final = Path(__file__).parent.parent / "systemd" / "boot.sh"


def why_not() -> str:
    """What keeps a machine from being booted here; empty when nothing does."""
    if os.geteuid() != 0:
        return "booting systemd needs root"
    if not Path("/lib/systemd/systemd").exists():
        return "systemd is not installed here"
    if missing := [tool for tool in ("unshare", "nsenter", "pivot_root", "ip") if shutil.which(tool) is None]:
        return f"{', '.join(missing)} not installed here"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "--net", "--cgroup", "true"], check=False).returncode:
        return "namespaces cannot be made here"
    return ""


class Machine:
    """A machine that is up; `files` holds what was written to its disk, before and after it was switched on."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.files = state / "upper"

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Lay a file on its disk; before it is switched on."""
        file = self.files / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        manager = (self._state / "pid").read_text().strip()
        return subprocess.run(
            ["nsenter", "-t", manager, "-a", *words], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    def write(self, path: str, text: str) -> None:
        """Write a file while it is up."""
        script = 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1"'
        done = self.run("sh", "-c", script, "sh", path, text)
        assert done.returncode == 0, done.stderr

    def property(self, unit: str, name: str) -> str:
        """What `systemctl show` says of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).stdout.strip()

    def reboot(self) -> None:
        """Start it anew, and wait until it is up."""
        before = (self._state / "pid").read_text()
        self.run("systemctl", "reboot")
        wait_for(lambda: (self._state / "pid").read_text() != before and self.is_up(), "it is up again")

    def is_up(self) -> bool:
        """Whether its start is over."""
        return (self._state / "pid").exists() and self.run("systemctl", "is-system-running").stdout.strip() in (
            "running",
            "degraded",
        )


@contextmanager
def booted(folder: Path, *put: tuple[str, str], trees: Mapping[str, Path] | None = None) -> Iterator[Machine]:
    """A machine that is up, with these (path, text) and copies of `trees` on its disk; switched off in the end."""
    state = folder / "machine"
    machine = Machine(state)
    state.mkdir()
    for path, text in put:
        machine.put(path, text)
    for path, tree in (trees or {}).items():
        shutil.copytree(tree, machine.files / path.lstrip("/"))
    with (state / "boot.log").open("wb") as log:
        runner = subprocess.Popen(["bash", str(BOOT), "/", str(state)], stdout=log, stderr=log, start_new_session=True)
    try:
        wait_for(machine.is_up, "the machine is up")
        yield machine
        machine.run("systemctl", "poweroff")
        runner.wait(PATIENCE_S)
    finally:
        if runner.poll() is None:
            os.killpg(runner.pid, signal.SIGKILL)
            runner.wait()
