"""What systemd hears of the agent, on a real socket: it runs, how it is, and that it gets on, only while it does."""

import os
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler_agent.notify import Notifier, sd_notify
from tests.support.agent_world import AgentWorld, clip, manifest_of
from tests.support.live_box import LiveBox
from tests.support.patience import PATIENCE_S, wait_for
from tests.support.trust_world import NOW


class Ear:
    """The manager's end of the socket; it reads all the time, as the manager does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while (word := self._socket.recv(4096)) != b"END":
            self._heard.append(word.decode())

    def heard(self) -> list[str]:
        """Every message so far; the ear is closed."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"END", str(self.path))
        self._thread.join(PATIENCE_S)
        return self._heard

    def count(self, word: str) -> int:
        """How often this was heard so far."""
        return self._heard.count(word)


@pytest.fixture
def ear(tmp_path: Path) -> Ear:
    return Ear(tmp_path / "notify")


def test_words_reach_the_socket_once(ear: Ear) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": str(ear.path)})

    notifier.ready()
    notifier.status("Converged:\n  as desired")
    notifier.status("Converged: as desired")
    notifier.alive()
    notifier.stopping()

    assert ear.heard() == ["READY=1", "STATUS=Converged: as desired", "STOPPING=1"]


def test_abstract_socket_is_reached() -> None:
    name = f"neopro-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()

        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    ("environment", "ping_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "8000000"}, 2.0),
        ({"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": str(os.getpid())}, 2.0),
        ({"WATCHDOG_USEC": "8000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_is_fed_four_times_in_its_time(environment: dict[str, str], ping_s: float | None) -> None:
    assert Notifier(environment).ping_s == ping_s


def test_pings_are_spaced_however_often_something_gets_on(ear: Ear) -> None:
    now_s = 0.0
    notifier = Notifier({"NOTIFY_SOCKET": str(ear.path), "WATCHDOG_USEC": "8000000"}, lambda: now_s)
    for step in range(100):
        now_s = step / 10
        notifier.alive()

    assert ear.heard() == ["WATCHDOG=1"] * 10


def test_manager_that_does_not_listen_is_no_failure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready()

    assert "cannot tell systemd READY: No such file or directory" in caplog.text


def test_service_says_when_it_is_ready_how_it_is_that_it_gets_on_and_when_it_stops(tmp_path: Path, ear: Ear) -> None:
    with LiveBox(tmp_path / "brest").switched_on() as box:
        box.run("identity")
        (box.folder / "root.json").write_bytes(AgentWorld(tmp_path / "other").central.root)
        told = {"NOTIFY_SOCKET": str(ear.path), "WATCHDOG_USEC": "400000"}
        with subprocess.Popen(box.command("run"), env=os.environ | told, stderr=subprocess.DEVNULL) as agent:
            wait_for(lambda: ear.count("WATCHDOG=1") >= 3, "three pings")
            agent.send_signal(signal.SIGTERM)
            status = agent.wait(PATIENCE_S)

    heard = ear.heard()
    assert (status, heard[0], heard[-1]) == (0, "READY=1", "STOPPING=1")
    assert any(word.startswith("STATUS=") for word in heard)


def test_loop_that_rests_for_longer_than_the_watchdog_waits_is_alive(
    tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(ear.path))
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    world = AgentWorld(tmp_path)
    world.central.publish(manifest_of([]), issued_at=NOW)
    world.settings = replace(world.settings, heal_s=60.0)
    with world.agent() as agent:
        wait = threading.Thread(target=lambda: (wait_for(lambda: ear.count("WATCHDOG=1") >= 20), agent.loop.stop()))
        wait.start()
        agent.loop.run_forever()
        wait.join()

    assert len(world.central.reports) < 5, "these were pings, not rounds"


def test_loop_whose_every_round_ends_in_a_bug_is_not_told_to_be_alive(
    tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(ear.path))
    monkeypatch.setenv("WATCHDOG_USEC", "80000")
    world = AgentWorld(tmp_path)
    video = clip("a", b"a" * 1000)
    world.central.add(b"a" * 1000)
    world.central.publish(manifest_of([video]))
    world.settings = replace(world.settings, heal_s=0.1)
    rounds = 0
    with world.agent() as agent:

        def state() -> None:
            nonlocal rounds
            rounds += 1
            if rounds == 1:
                sd_notify(str(ear.path), "the first bug")
            if rounds == 4:
                agent.loop.stop()
            raise ZeroDivisionError("a bug")

        world.tv.state = state  # type: ignore[method-assign,assignment]
        agent.loop.run_forever()

    assert world.conditions()["Degraded"] == ("True", "InternalError")
    heard = ear.heard()
    assert "WATCHDOG=1" not in heard[heard.index("the first bug") :]
