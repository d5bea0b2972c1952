"""Somebody gets an account on the server, comes in over TLS by a one-time password and a code, and is let go again."""

import json
import re
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pyotp
import pytest

from tests.support.authority import Authority
from tests.support.command_line import environment, neopro
from tests.support.people import PASSWORD, secret_on
from tests.support.world import ServedWorld, served_world


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "people")


@pytest.fixture
def served(tmp_path: Path, authority: Authority) -> Iterator[ServedWorld]:
    file = authority.server_file
    with served_world(tmp_path, "", tls_certificate=file, tls_key=file) as world:
        yield world


@pytest.fixture
def browser(served: ServedWorld, authority: Authority) -> Iterator[httpx.Client]:
    url = served.url.replace("127.0.0.1", "localhost")
    headers = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin"}
    trusted = ssl.create_default_context(cafile=str(authority.ca_file))
    with httpx.Client(
        base_url=url, headers=headers, verify=trusted, trust_env=False, follow_redirects=True, timeout=30
    ) as client:
        yield client


def test_account_lives_from_add_to_disable_while_the_server_runs(
    served: ServedWorld, browser: httpx.Client, tmp_path: Path
) -> None:
    desk = tmp_path / "desk"
    desk.mkdir()
    config = served.world.settings_file(database_url="")

    def user(*words: str) -> str:
        done = neopro("user", *words, "--config", config, cwd=desk, env=environment(desk))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert browser.get("/").url.path == "/", "a neighbour of a server without accounts"
    one_time = user("add", "marie", "--role", "admin")
    assert browser.get("/sites").url.path == "/login"

    assert "not right" in browser.post("/login", data={"name": "marie", "password": one_time + "x"}).text
    chosen = browser.post("/login", data={"name": "Marie", "password": one_time, "next": "/sites"})
    assert "Choose a password" in chosen.text
    shown = browser.post("/login/password", data={"password": PASSWORD, "again": PASSWORD, "next": "/sites"})
    code = pyotp.TOTP(secret_on(shown.text)).now()
    arrived = browser.post("/login/totp", data={"code": code, "next": "/sites"})
    assert (arrived.status_code, arrived.url.path) == (200, "/sites")
    assert {cookie.name for cookie in browser.cookies.jar if cookie.secure} >= {"__Host-neopro_session"}

    made = browser.post("/account/tokens", data={"label": "laptop", "days": "1", "scope-read": "on", "now": PASSWORD})
    found = re.search(r"neopro_\w{43}", made.text)
    assert found
    bearer = {"Authorization": f"Bearer {found[0]}"}
    assert browser.get("/v1/fleet", headers=bearer).status_code == 200
    assert "Token made" in browser.get("/audit").text

    listed = json.loads(user("list", "--json"))
    assert [(one["name"], one["codes"], one["state"]) for one in listed] == [("marie", True, "live")]
    user("disable", "marie")
    assert browser.get("/sites").url.path == "/login"
    assert browser.get("/v1/fleet", headers=bearer).status_code == 401
    assert "not right" in browser.post("/login", data={"name": "marie", "password": PASSWORD}).text
    assert user("reset", "marie") not in ("", one_time)
