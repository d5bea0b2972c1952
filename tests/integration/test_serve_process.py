"""`python -m control_plane` as a process: it starts on whatever there is, says what is wrong, and stops in time."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from signal import SIGINT, SIGTERM, Signals

import httpx
import psutil
import pytest

from schemas.names import SiteId
from tests.support.patience import PATIENCE_S, promised
from tests.support.server_process import ServerProcess, server_process
from tests.support.world import World, make_world

STOP_S = 5.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = make_world(tmp_path)
    made.commit(made.first_files(), "Start the fleet")
    return made


def until(condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    """Wait for a condition of another process; fails at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.02)


def head(world: World, url: str, site: SiteId, **headers: str) -> httpx.Response:
    return httpx.get(f"{url}/v1/sites/{site}/head", headers=world.headers(site) | headers, timeout=30, trust_env=False)


def serves(world: World, server: ServerProcess, site: SiteId) -> bool:
    return head(world, server.url, site).status_code == 200


def readiness(server: ServerProcess) -> tuple[int, dict[str, str]]:
    answer = httpx.get(f"{server.url}/readyz", timeout=30, trust_env=False)
    return answer.status_code, answer.json()


@contextmanager
def long_polls(world: World, url: str, sites: list[SiteId]) -> Iterator[list[int]]:
    """Polls that are held, one a site; the list gets their answers' statuses."""
    statuses: list[int] = []

    def poll(site: SiteId) -> None:
        etag = head(world, url, site).headers["etag"]
        waiting.release()
        wait = {"If-None-Match": etag, "Prefer": "wait=50"}
        statuses.append(head(world, url, site, **wait).status_code)

    waiting = threading.Semaphore(0)
    threads = [threading.Thread(target=poll, args=(site,)) for site in sites]
    for thread in threads:
        thread.start()
    for _ in threads:
        waiting.acquire(timeout=PATIENCE_S)
    yield statuses
    for thread in threads:
        thread.join(PATIENCE_S)


@pytest.mark.parametrize("number", [SIGTERM, SIGINT])
def test_a_signal_stops_everything_in_time_with_long_polls_open(world: World, number: Signals) -> None:
    with server_process(world.settings_file()) as server:
        until(lambda: serves(world, server, "brest"))
        children = psutil.Process(server.pid).children(recursive=True)
        assert any("postgres" in child.name() for child in children)
        with long_polls(world, server.url, ["brest", "nantes", "rennes"]) as statuses:
            until(lambda: connections(server) >= 3)
            ended = server.stop(number)
        assert ended.status == 0 and ended.seconds < promised(STOP_S), ended
        assert statuses == [304, 304, 304]
        assert not [child for child in children if is_running(child)]


def connections(server: ServerProcess) -> int:
    return sum(c.status == "ESTABLISHED" for c in psutil.Process(server.pid).net_connections("tcp"))


def is_running(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_a_commit_is_seen_and_a_second_start_goes_on_where_it_was(world: World) -> None:
    with server_process(world.settings_file()) as server:
        until(lambda: serves(world, server, "brest"))
        first = head(world, server.url, "brest").headers["etag"]
        world.commit({"sites/brest.yaml": world.site_file("brest", state="suspended")})
        until(lambda: head(world, server.url, "brest").headers["etag"] != first)
        second = head(world, server.url, "brest").headers["etag"]
        assert server.stop().status == 0
    with server_process(world.settings_file()) as server:
        until(lambda: serves(world, server, "brest"))
        assert head(world, server.url, "brest").headers["etag"] == second


def test_a_remote_that_is_away_is_no_reason_not_to_start(world: World) -> None:
    away = world.remote.rename(world.remote.with_name("away.git"))
    with server_process(world.settings_file()) as server:
        server.wait_for(r"event=failed job=poll reason=RemoteUnreachable")
        status, parts = readiness(server)
        assert status == 503 and parts["remote"] != "ok" and parts["publication"] != "ok"
        away.rename(world.remote)
        server.wait_for(r"event=recovered job=poll")
        until(lambda: readiness(server)[0] == 200)
        assert server.said.count("RemoteUnreachable") == 1


def test_a_first_commit_without_trust_is_refused_until_there_is_some(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    files = world.first_files()
    world.commit({path: text for path, text in files.items() if not path.startswith("trust/")})
    with server_process(world.settings_file()) as server:
        refused = server.wait_for(r"^.*event=refused.*$")[0]
        assert "neopro keys init" in refused
        assert readiness(server)[0] == 503
        world.commit({path: text for path, text in files.items() if path.startswith("trust/")})
        until(lambda: serves(world, server, "brest"))


def test_a_remote_that_never_answers_does_not_hold_up_the_stop(world: World) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        remote = f"http://127.0.0.1:{silent.getsockname()[1]}/fleet.git"
        with server_process(world.settings_file(remote=remote)) as server:
            assert server.url
            silent.settimeout(PATIENCE_S)
            asked, _ = silent.accept()
            ended = server.stop()
            asked.close()
        assert ended.status == 0 and ended.seconds < promised(STOP_S), ended


def test_a_signal_while_it_starts_leaves_nothing_running(world: World) -> None:
    with server_process(world.settings_file()) as server:
        process = psutil.Process(server.pid)
        until(lambda: bool(process.children()))
        children = process.children(recursive=True)
        ended = server.stop()
        assert ended.status == 0 and ended.seconds < promised(STOP_S), ended
        until(lambda: not [child for child in children if is_running(child)])


def test_a_port_in_use_is_one_sentence_and_nothing_is_begun(world: World) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with server_process(world.settings_file(listen=f"127.0.0.1:{port}")) as server:
            ended = server.wait()
    assert ended.status == 2
    assert ended.stderr == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; stop what listens there, "
        "or set listen to another port\n"
    )
    assert not (world.folder / "server" / "postgres").exists()


def test_a_second_server_on_the_same_address_is_refused_while_the_first_serves(world: World) -> None:
    with server_process(world.settings_file()) as first:
        address = first.url.removeprefix("http://")
        with server_process(world.settings_file(listen=address)) as second:
            assert second.wait().status == 2
        assert httpx.get(f"{first.url}/healthz", trust_env=False).status_code == 200


def test_a_second_server_on_the_same_data_is_refused(world: World) -> None:
    with server_process(world.settings_file()) as first:
        assert first.url
        with server_process(world.settings_file()) as second:
            ended = second.wait()
        assert ended.status == 2 and re.fullmatch(r"cannot .*\n", ended.stderr), ended
        assert str(first.pid) in ended.stderr


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"manifest_key": None}, "manifest_key is not set.*neopro keys init"),
        ({"manifest_key": "/nowhere/manifest.key"}, "cannot read the key /nowhere/manifest.key"),
        ({"remote": None}, "remote is not set"),
        ({"poll_s": "often"}, "cannot use poll_s in .*server.toml: Expected `int`"),
        ({"listen": "0.0.0.0:0"}, "listen in .*: without TLS only a loopback address will do"),
        ({"tls_certificate": "/nowhere.pem", "tls_key": "/nowhere.pem"}, "cannot read tls_certificate /nowhere.pem"),
        ({"database_url": "postgresql://127.0.0.1:1/x"}, "cannot use the database: .*check database_url"),
        ({"postgres_binaries": "/nowhere"}, "cannot start PostgreSQL: .*/nowhere"),
        ({"data_dir": "/proc/nothing"}, "cannot make data_dir /proc/nothing"),
        ({"git_pasword_file": "x"}, "there is no such setting; did you mean git_password_file"),
    ],
)
def test_settings_that_cannot_be_used_are_one_sentence(world: World, settings: dict[str, str], sentence: str) -> None:
    with server_process(world.settings_file(**settings)) as server:
        ended = server.wait()
    assert ended.status == 2
    assert re.search(sentence, ended.stderr)
    assert ended.stderr.count("\n") == 1 and "Traceback" not in ended.stderr


def test_every_line_of_the_log_is_one_event_and_holds_no_secret(world: World) -> None:
    with server_process(world.settings_file(log_level="debug")) as server:
        until(lambda: serves(world, server, "brest"))
        said = server.stop().stderr
    assert all(re.match(r"at=\S+Z level=\w+ event=", line) for line in said.splitlines()), said
    assert "event=published" in said and "event=stopping" in said
    password = (world.folder / "server" / "postgres" / "password").read_text()
    assert password not in said
    assert world.token("brest").split(".")[0] not in said
