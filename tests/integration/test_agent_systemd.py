"""The box's units by `systemctl`: what it is called with, and what its answers mean. A script stands in for it."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler_agent.errors import ServiceFailed
from reconciler_agent.services import UnitState
from reconciler_agent.systemd import Systemd

SHOWN = "LoadState=loaded\nActiveState=active\nNRestarts=3"


class Systemctl:
    """A `systemctl` that notes its arguments and environment, and says and ends as it is told to."""

    def __init__(self, folder: Path) -> None:
        self._path, self._calls = folder / "systemctl", folder / "calls"
        self.answer()

    def answer(self, says: str = SHOWN, complains: str = "", status: int = 0) -> Systemd:
        self._path.write_text(
            f'#!/bin/sh\necho "$@" >> {self._calls}\necho {shlex.quote(says)}\n'
            f"echo {shlex.quote(complains)} >&2\nexit {status}\n"
        )
        self._path.chmod(0o755)
        return Systemd([str(self._path)])

    def calls(self) -> list[str]:
        return [line.removeprefix("--no-ask-password --no-pager ") for line in self._calls.read_text().splitlines()]


@pytest.fixture
def systemctl(tmp_path: Path) -> Systemctl:
    return Systemctl(tmp_path)


@pytest.mark.parametrize(
    ("said", "state"),
    [
        (SHOWN, UnitState(active=True, restarts=3)),
        ("LoadState=loaded\nActiveState=activating\nNRestarts=9", UnitState(active=False, restarts=9)),
        ("LoadState=loaded\nActiveState=inactive", UnitState(active=False)),
    ],
)
def test_state_of_a_unit_is_read(systemctl: Systemctl, said: str, state: UnitState) -> None:
    assert systemctl.answer(said).state("neopro-app") == state


@pytest.mark.parametrize("load", ["not-found", "masked"])
def test_unit_that_is_not_installed_is_named(systemctl: Systemctl, load: str) -> None:
    with pytest.raises(ServiceFailed, match=f"cannot look at neopro-kiosk: its unit is {load}"):
        systemctl.answer(f"LoadState={load}\nActiveState=inactive").state("neopro-kiosk")


def test_only_one_unit_is_ever_named_and_our_own_restart_is_not_waited_for(systemctl: Systemctl) -> None:
    units = systemctl.answer()

    units.restart("neopro-app")
    units.stop("nginx")
    units.restart("neopro-sync-agent")
    units.reboot()

    assert [call for call in systemctl.calls() if not call.startswith("show")] == [
        "restart -- neopro-app.service",
        "stop -- nginx.service",
        "--no-block restart -- neopro-sync-agent.service",
        "--no-block reboot",
    ]


@pytest.mark.parametrize("ask", [Systemd.restart, Systemd.start, Systemd.stop, Systemd.state])
def test_unit_of_others_is_never_asked_about(systemctl: Systemctl, ask: Callable[[Systemd, str], UnitState]) -> None:
    with pytest.raises(ServiceFailed, match="none of the box's services"):
        ask(systemctl.answer(), "ssh")


@pytest.mark.parametrize(
    ("said", "given"),
    [
        ("Environment=NODE_ENV=production NEOPRO_DIR=/home/pi/neopro", "/home/pi/neopro"),
        ('Environment=A=b "NEOPRO_DIR=/home/pi/my box"', "/home/pi/my box"),
        ("Environment=", None),
        ("", None),
    ],
)
def test_environment_of_a_unit_is_read(systemctl: Systemctl, said: str, given: str | None) -> None:
    assert systemctl.answer(said).environment("neopro-admin").get("NEOPRO_DIR") == given
    assert systemctl.calls() == ["show --property=Environment -- neopro-admin.service"]


def test_environment_that_cannot_be_read_is_a_service_failure(systemctl: Systemctl) -> None:
    with pytest.raises(ServiceFailed, match="cannot look at neopro-admin: its environment is not readable"):
        systemctl.answer('Environment="A=b').environment("neopro-admin")


def test_systemctl_that_refuses_is_quoted(systemctl: Systemctl) -> None:
    with pytest.raises(ServiceFailed, match=r"^cannot restart neopro-app: Job failed\. See the journal\.$"):
        systemctl.answer("", "Job failed.\nSee the journal.", 1).restart("neopro-app")


def test_systemctl_that_is_not_there_is_a_service_failure(tmp_path: Path) -> None:
    with pytest.raises(ServiceFailed, match="No such file"):
        Systemd([str(tmp_path / "none")]).state("nginx")


def test_systemctl_that_does_not_end_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "slow").write_text("#!/bin/sh\nexec cat /dev/zero > /dev/null\n")
    (tmp_path / "slow").chmod(0o755)

    with pytest.raises(ServiceFailed, match="took longer"):
        Systemd([str(tmp_path / "slow")], within_s=0.2).start("nginx")
