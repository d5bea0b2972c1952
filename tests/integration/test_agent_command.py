"""`neopro-agent` as a process: against a real control plane, screen and service manager; and where it cannot run."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage
import pytest

from reconciler_agent.errors import ServiceFailed
from reconciler_agent.poll import LONG_POLL_S
from reconciler_agent.services import SupervisorSocket
from schemas import dsse
from tests.support.live_box import LiveBox, ServiceSocket, application, listening, release_changes
from tests.support.patience import PATIENCE_S, wait_for
from tests.support.world import served_world


@pytest.fixture
def box(tmp_path: Path) -> Iterator[LiveBox]:
    with LiveBox(tmp_path).switched_on() as live:
        yield live


def test_box_converges_over_the_wire_and_reports(box: LiveBox, database: str, tmp_path: Path) -> None:
    with served_world(tmp_path / "world", database) as served:
        served.publish(release_changes(served.world, "1.1.0", application("1.1.0")), "Release 1.1.0")
        box.provision(served.world, served.url)
        first = box.run("once")
        again = box.run("once")
        said = box.run("status", "--json")

    assert (first.returncode, first.stdout) == (0, "Converged: The box is as desired.\n"), first.stderr
    assert again.returncode == 0
    assert box.active() == "1.1.0"
    assert len(list((box.root / "videos").rglob("*.mp4"))) == 2
    assert box.disturbances() == ([("restart", unit) for unit in ("neopro-app", "neopro-admin", "neopro-kiosk")], 1)
    status = json.loads(said.stdout)
    assert said.returncode == 0
    assert status["accepted_generation"] == status["reached_generation"]
    assert (status["release"], status["files"]) == ("1.1.0", 2)


def test_running_agent_ends_at_once_on_sigterm(box: LiveBox, database: str, tmp_path: Path) -> None:
    with served_world(tmp_path / "world", database) as served:
        box.provision(served.world, served.url)
        box.write(services=f"unix:{tmp_path / 'none.sock'}")
        with subprocess.Popen(box.command("run"), stderr=subprocess.DEVNULL) as agent:
            wait_for(lambda: (tmp_path / "state/state-a").exists() or (tmp_path / "state/state-b").exists())
            started = time.monotonic()
            agent.send_signal(signal.SIGTERM)
            status = agent.wait(PATIENCE_S)

    assert status == 0
    assert time.monotonic() - started < LONG_POLL_S / 2, "it does not wait for the poll that it holds open"


def test_identity_is_made_once_for_its_owner_alone(box: LiveBox) -> None:
    first, second = box.run("identity"), box.run("identity")

    assert first.returncode == 0
    assert first.stdout == second.stdout
    identity, recipient = first.stdout.splitlines()
    dsse.load_public(identity.removeprefix("identity: "))
    pyrage.x25519.Recipient.from_str(recipient.removeprefix("recipient: "))
    folder = box.folder / "etc"
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "site.key": 0o600,
        "site.key.age": 0o600,
    }


def test_status_before_the_first_run_says_so(box: LiveBox) -> None:
    said = box.run("status")

    assert said.returncode == 1
    assert "has not run here yet" in said.stdout


def no_conf(box: LiveBox) -> None:
    box.conf.unlink()


def no_site(box: LiveBox) -> None:
    box.conf.write_text("[site]\n")


def not_ini(box: LiveBox) -> None:
    box.conf.write_text("SITE_ID=brest\n")


def http_afar(box: LiveBox) -> None:
    box.write(url="http://example.org")


def unknown_key(box: LiveBox) -> None:
    box.conf.write_text(box.conf.read_text() + "hael_s = 3\n")


def no_key(box: LiveBox) -> None:
    box.conf.touch()


def open_key(box: LiveBox) -> None:
    box.run("identity")
    (box.folder / "etc/site.key").chmod(0o644)


def no_trust(box: LiveBox) -> None:
    box.run("identity")


def broken_trust(box: LiveBox) -> None:
    box.run("identity")
    (box.folder / "root.json").write_text("{}")


def no_root(box: LiveBox) -> None:
    box.run("identity")
    (box.root / "data/configuration.json").unlink()
    (box.root / "data").rmdir()
    box.root.rmdir()


BROKEN: dict[Callable[[LiveBox], None], str] = {
    no_conf: "there is no such file",
    no_site: "[site] id",
    not_ini: "site.conf",
    http_afar: "write https://HOST",
    unknown_key: "hael_s",
    no_key: "neopro-agent identity",
    open_key: "chmod 600",
    no_trust: "trust root",
    broken_trust: "trust root",
    no_root: "there is no such folder",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_agent_that_cannot_run_says_why_in_one_sentence_and_changes_nothing(
    box: LiveBox, broken: Callable[[LiveBox], None]
) -> None:
    broken(box)
    before = sorted(str(p) for p in box.root.rglob("*"))

    ended = box.run("once")

    assert ended.returncode == 2
    assert BROKEN[broken] in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert ended.stderr.startswith("neopro-agent: cannot ")
    assert sorted(str(p) for p in box.root.rglob("*")) == before


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"ok": false, "error": "unit is masked"}\n', "unit is masked"),
        (b"not json\n", "does not answer"),
        (b"", "does not answer"),
    ],
)
def test_service_manager_that_refuses_or_talks_nonsense_is_a_service_failure(
    tmp_path: Path, answer: bytes, words: str
) -> None:
    server = ServiceSocket(tmp_path / "services.sock")
    server.answer = answer or b"\n"
    with listening(server), pytest.raises(ServiceFailed, match=words):
        SupervisorSocket(tmp_path / "services.sock").restart("neopro-app")


def test_unit_that_is_none_of_the_boxes_is_never_asked_about(tmp_path: Path) -> None:
    with pytest.raises(ServiceFailed, match="none of the box's services"):
        SupervisorSocket(tmp_path / "services.sock").stop("sshd")


@pytest.mark.skipif(os.geteuid() != 0, reason="an owner is looked up only by root")
def test_owner_that_does_not_exist_is_named(box: LiveBox) -> None:
    box.run("identity")
    box.conf.write_text(box.conf.read_text().replace("owner =", "owner = nobody-here"))

    ended = box.run("once")

    assert ended.returncode == 2
    assert "nobody-here" in ended.stderr
