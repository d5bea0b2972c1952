"""`neopro-agent doctor`: each trouble is named as what it is, with what to do; nothing is changed by looking."""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.authority import Authority
from tests.support.live_box import LiveBox, application, release_changes
from tests.support.scripted_http import Asked, Say, ScriptedServer
from tests.support.world import ServedWorld, served_world


@pytest.fixture
def served(tmp_path: Path, database: str) -> Iterator[ServedWorld]:
    with served_world(tmp_path / "world", database) as world:
        world.publish(release_changes(world.world, "1.1.0", application("1.1.0")), "Release 1.1.0")
        yield world


@pytest.fixture
def box(served: ServedWorld, tmp_path: Path) -> Iterator[LiveBox]:
    with LiveBox(tmp_path / "brest").switched_on() as live:
        live.provision(served.world, served.url)
        assert live.run("once").returncode == 0
        assert live.run("identity").returncode == 0
        live.services.running |= {"neopro-sync-agent", "neopro-admin"}
        yield live


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[LiveBox]:
    """A box without a control plane, and with keys."""
    with LiveBox(tmp_path / "brest").switched_on() as live:
        assert live.run("identity").returncode == 0
        yield live


def diagnosis(box: LiveBox) -> tuple[int, dict[str, dict[str, str]]]:
    """The status, and each check by its name."""
    done = box.run("doctor", "--json")
    assert done.stderr == ""
    return done.returncode, {check["name"]: check for check in json.loads(done.stdout)}


def test_box_on_which_all_is_well_has_no_finding_and_is_left_as_it_was(box: LiveBox) -> None:
    before, disturbed = box.traces(), box.disturbances()
    status, checks = diagnosis(box)
    assert [check for check in checks.values() if check.get("problem")] == []
    assert status == 0
    assert {"key", "age key", "trust root", "state", "unit neopro-app", "disk", "clock", "agent", "identity"} <= {
        *checks
    }
    assert (box.traces(), box.disturbances()) == (before, disturbed)
    with box.agent():
        box.pass_rounds(1)
        assert box.run("doctor").returncode == 0, "beside the agent"


def open_key(box: LiveBox) -> None:
    (box.folder / "etc/site.key").chmod(0o644)


def lose_age_key(box: LiveBox) -> None:
    (box.folder / "etc/site.key.age").unlink()


def lose_trust(box: LiveBox) -> None:
    (box.folder / "root.json").unlink()


def stop_unit(box: LiveBox) -> None:
    box.services.running.discard("neopro-app")


def stop_agent(box: LiveBox) -> None:
    box.services.running.discard("neopro-sync-agent")


def break_configuration(box: LiveBox) -> None:
    (box.root / "data/configuration.json").write_text("{")


def break_settings(box: LiveBox) -> None:
    box.conf.write_text("[site]\nid = ?\n")


def deaf_application(box: LiveBox) -> None:
    box.write(app_url="http://127.0.0.1:9")


def another_site(box: LiveBox) -> None:
    box.conf.write_text(box.conf.read_text().replace("id = brest", "id = nantes"))


def damage_state(box: LiveBox) -> None:
    (box.folder / "state/state-b").write_bytes(b"garbage")


TROUBLES: dict[Callable[[LiveBox], None], tuple[str, str, str]] = {
    open_key: ("key", "others may read it", "chmod 600"),
    lose_age_key: ("age key", "there is no", "neopro-agent enrol"),
    lose_trust: ("trust root", "cannot read", "neopro-agent enrol"),
    stop_unit: ("unit neopro-app", "it does not run", "journalctl -u neopro-app"),
    stop_agent: ("agent", "does not run", "systemctl start neopro-sync-agent"),
    break_configuration: ("configuration", "cannot be read", "last good one"),
    break_settings: ("settings", "[site] id", "nothing else"),
    deaf_application: ("port", "nobody listens on port 9", "start the service"),
    another_site: ("identity", "the control plane refuses", "neopro enrol list"),
    damage_state: ("state", "one copy is damaged", "the card is failing"),
}


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.__name__)
def test_trouble_on_the_box_is_named_with_what_to_do(box: LiveBox, trouble: Callable[[LiveBox], None]) -> None:
    trouble(box)
    name, problem, remedy = TROUBLES[trouble]
    status, checks = diagnosis(box)
    assert status == 1
    assert problem in checks[name].get("problem", ""), checks
    assert remedy in checks[name]["problem"] + checks[name].get("remedy", "")
    said = box.run("doctor").stdout
    assert f"FAIL  {name}: " in said


# The way to the control plane


def portal(_: Asked) -> Say:
    return Say(200, {"Content-Type": "text/html"}, b"<html>Accept our terms</html>")


def redirect(_: Asked) -> Say:
    return Say(302, {"Location": "http://portal.example/"})


def other_json(_: Asked) -> Say:
    return Say(200, {"Content-Type": "application/json"}, b'{"hello": "world"}')


def ours(asked: Asked) -> Say:
    healthy = asked.path == "/healthz"
    return Say(200 if healthy else 503, {"Content-Type": "application/json"}, b'{"status": "ok"}')


def late_clock(_: Asked) -> Say:
    date = (datetime.now(UTC) - timedelta(hours=3)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    return Say(200, {"Content-Type": "application/json", "Date": date}, b'{"status": "ok"}')


@contextmanager
def over_tls(
    box: LiveBox, script: Callable[[Asked], Say], context: ssl.SSLContext, ca: Path | None, host: str = "localhost"
) -> Iterator[None]:
    with ScriptedServer(script, context).serving() as server:
        box.write(url=f"https://{host}:{server.port}", ca=str(ca or ""))
        yield


@pytest.mark.parametrize(
    ("script", "name", "problem", "remedy"),
    [
        (portal, "answer", "text/html", "captive portal"),
        (redirect, "answer", "302", "captive portal"),
        (other_json, "answer", "in place of a control plane's answer", "is [central] url right?"),
        (ours, "identity", "503", "tell the operator"),
    ],
)
def test_who_answers_in_the_place_of_the_control_plane_is_told(
    alone: LiveBox, script: Callable[[Asked], Say], name: str, problem: str, remedy: str
) -> None:
    with ScriptedServer(script).serving() as server:
        alone.write(url=server.url)
        status, checks = diagnosis(alone)
    assert status == 1
    assert problem in checks[name]["problem"]
    assert remedy in checks[name]["remedy"]
    assert {"name", "connection"} <= {*checks}


def test_clock_that_differs_from_the_control_planes_is_told(alone: LiveBox) -> None:
    with ScriptedServer(late_clock).serving() as server:
        alone.write(url=server.url)
        _, checks = diagnosis(alone)
    assert "180 minutes off" in checks["answer"]["found"]


@pytest.mark.parametrize(
    ("at_days", "known", "host", "remedy"),
    [
        (0, True, "localhost", ""),
        (-30, True, "localhost", "mend the clock"),
        (30, True, "localhost", "mend the clock"),
        (0, False, "localhost", "an authority of its own"),
        (0, True, "127.1", "another server answers"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_told(
    alone: LiveBox, tmp_path: Path, at_days: int, known: bool, host: str, remedy: str
) -> None:
    authority = Authority(tmp_path, "front", datetime.now(UTC) + timedelta(days=at_days))
    with over_tls(alone, ours, authority.server_context(), authority.ca_file if known else None, host):
        _, checks = diagnosis(alone)
    assert bool(checks["TLS"].get("problem")) == bool(remedy)
    assert remedy in checks["TLS"].get("remedy", "")
    assert ("identity" in checks) == (not remedy), "behind what fails nothing is asked"


@pytest.mark.parametrize(
    ("url", "name", "problem"),
    [
        ("https://no-such-host.invalid", "name", "nobody knows the address of no-such-host.invalid"),
        ("http://127.0.0.1:9", "connection", "127.0.0.1 port 9: Connection refused"),
    ],
)
def test_way_that_ends_early_is_told_where(alone: LiveBox, url: str, name: str, problem: str) -> None:
    alone.write(url=url)
    status, checks = diagnosis(alone)
    assert status == 1
    assert problem in checks[name]["problem"]
    assert "identity" not in checks


def test_server_that_speaks_no_tls_is_told(alone: LiveBox) -> None:
    with ScriptedServer(ours).serving() as server:
        alone.write(url=f"https://localhost:{server.port}")
        _, checks = diagnosis(alone)
    assert "captive portal" in checks["TLS"]["remedy"]
