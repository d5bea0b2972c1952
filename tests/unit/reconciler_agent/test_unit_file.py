"""The agent's unit file: it names its paths, systemd accepts it, and little of the machine lies open to it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from reconciler_agent.errors import SettingsInvalid
from reconciler_agent.install.unit import unit_text

analyzer = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed here")
MOST_EXPOSED = 3.0
"""Of 10; the Node agent's unit has 9."""


def written(program: str = "/bin/true", root: str = "/home/pi/neopro") -> str:
    return unit_text(
        program=Path(program), conf=Path("/etc/neopro/site.conf"), root=Path(root), state=Path("/var/lib/neopro-agent")
    )


def test_only_the_boxes_root_and_the_agents_folders_can_be_written() -> None:
    lines = written(root="/srv/neopro").splitlines()

    assert "ProtectSystem=strict" in lines
    assert [line for line in lines if line.startswith("ReadWritePaths=")] == [
        "ReadWritePaths=-/srv/neopro -/var/lib/neopro-agent -/opt/neopro-agent/slots",
        "ReadWritePaths=-/etc/NetworkManager/system-connections",
    ]


@pytest.mark.parametrize("root", ["/home/pi/néopro", "/home/pi/my box", "/srv/50%", '/srv/"', "/srv/a\nExecStart=/x"])
def test_path_that_a_unit_would_misread_is_refused(root: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"^cannot name .* in a unit"):
        written(root=root)


@analyzer
def test_systemd_accepts_the_unit_without_a_warning(tmp_path: Path) -> None:
    (tmp_path / "neopro-sync-agent.service").write_text(written())

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "neopro-sync-agent.service")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@analyzer
def test_little_of_the_machine_lies_open_to_the_agent(tmp_path: Path) -> None:
    (tmp_path / "neopro-sync-agent.service").write_text(written())

    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", str(tmp_path / "neopro-sync-agent.service")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stderr
    assert float(found[1]) <= MOST_EXPOSED
