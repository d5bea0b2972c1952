"""`neopro doctor`: what is wrong is found, with what to do about it; what is right is said to be."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from cli.checkout import Checkout
from cli.checks_remote import control_plane
from cli.settings import settings_of
from control_plane.signer import write_private_key
from control_plane.store.tokens import add_token
from tests.support.command_line import environment, git, neopro
from tests.support.scripted_http import Say, ScriptedServer
from tests.support.transcripts import small
from tests.support.world import ServedWorld, served_world

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """The small fleet, following a remote, by somebody with a name."""
    folder = tmp_path / "fleet"
    folder.mkdir()
    small(folder)
    git(tmp_path, "clone", "-q", "--bare", str(folder), "remote.git")
    git(folder, "remote", "add", "origin", str(tmp_path / "remote.git"))
    git(folder, "push", "-qu", "origin", "main")
    git(folder, "config", "user.name", "Ada")
    git(folder, "config", "user.email", "ada@example.org")
    return folder


def looked_over(fleet: Path, **env: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    """The exit status, and the findings by verdict."""
    done = neopro("doctor", "--json", cwd=fleet, env=environment(fleet.parent, **env))
    assert done.stderr == ""
    found: dict[str, list[dict[str, Any]]] = {"ok": [], "warning": [], "fault": []}
    for check in json.loads(done.stdout)["checks"]:
        found[check["verdict"]].append(check)
        assert bool(check["remedy"]) == (check["verdict"] != "ok")
    return done.returncode, found


def test_set_up_in_order_has_no_fault(fleet: Path) -> None:
    status, found = looked_over(fleet)
    assert (status, found["fault"]) == (0, [])
    assert [check["area"] for check in found["warning"]] == ["control plane"]
    assert neopro("doctor", cwd=fleet).stdout.endswith("nothing wrong, 1 to look at\n")


def test_every_fault_of_a_checkout_is_found_with_its_remedy(fleet: Path) -> None:
    git(fleet, "config", "--unset", "user.email")
    (fleet / "sites" / "rennes-fc.yaml").write_text("# yaml-language-server: $schema=x\nname: X\n")
    (fleet / ".neopro" / "schemas" / "site.json").unlink()
    (fleet / "trust" / "release-list-1.json").write_text("{}")
    git(fleet, "commit", "-qm", "Ahead", "--allow-empty")
    status, found = looked_over(fleet)
    assert status == 1
    assert [(check["area"], check["says"].split(":")[0]) for check in found["fault"]] == [
        ("git", "user.email is not set"),
        ("trust", "cannot trust trust/release-list-1.json"),
    ]
    said = " ".join(check["says"] for check in found["warning"])
    assert "not committed: 3 files" in said
    assert "not pushed: 1 commit" in said
    assert "for editors: 1 schema missing or old, 1 document pointing elsewhere" in said


def test_release_key_that_others_may_read_or_that_the_root_does_not_list_is_told(fleet: Path) -> None:
    key = fleet.parent / "release.key"
    write_private_key(key)
    _, unknown = looked_over(fleet, NEOPRO_RELEASE_KEY=str(key))
    assert ["is not a release key of trust root 1" in check["says"] for check in unknown["fault"]] == [True]
    key.chmod(0o644)
    _, readable = looked_over(fleet, NEOPRO_RELEASE_KEY=str(key))
    assert [check["area"] for check in readable["fault"]] == ["release key"]
    assert "chmod 600" in readable["fault"][0]["remedy"]


def test_folder_without_a_repository_is_no_fault(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    named = tmp_path / "gitconfig"
    named.write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    status, found = looked_over(empty, GIT_CONFIG_GLOBAL=str(named))
    assert (status, found["fault"]) == (0, [])
    assert [check["area"] for check in found["warning"]] == ["repository", "control plane"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedWorld]:
    with served_world(tmp_path_factory.mktemp("world"), "") as world:
        yield world


def make_token(served: ServedWorld, days: int) -> str:
    async def add() -> str:
        now = datetime.now(UTC)
        async with served.world.connection() as conn:
            return await add_token(conn, "ada", ["read"], now=now, expires_at=now + timedelta(days=days))

    return served.run(add())


@pytest.mark.parametrize(("days", "verdict"), [(90, "ok"), (3, "warning")])
def test_token_is_told_with_what_it_may_do_and_until_when(
    served: ServedWorld, fleet: Path, days: int, verdict: str
) -> None:
    status, found = looked_over(fleet, NEOPRO_URL=served.url, NEOPRO_TOKEN=make_token(served, days))
    assert (status, found["fault"]) == (0, [])
    assert [check for check in found[verdict] if check["says"].startswith("the token ada may read until ")]


def test_token_that_is_not_known_and_server_that_is_not_there_are_faults(served: ServedWorld, fleet: Path) -> None:
    _, unknown = looked_over(fleet, NEOPRO_URL=served.url, NEOPRO_TOKEN="neopro_" + "x" * 43)
    assert [check["says"] for check in unknown["fault"]] == ["it does not accept the token"]
    _, away = looked_over(fleet, NEOPRO_URL="http://127.0.0.1:1", NEOPRO_TOKEN="x")
    assert [check["says"].split(":")[0] for check in away["fault"]] == ["cannot reach the control plane at http"]
    _, unsafe = looked_over(fleet, NEOPRO_URL="http://fleet.example", NEOPRO_TOKEN="x")
    assert ["it must be https://" in check["says"] for check in unsafe["fault"]] == [True]
    _, nobody = looked_over(fleet, NEOPRO_URL=served.url)
    assert [check["says"] for check in nobody["fault"]] == ["cannot tell who is asking"]


@pytest.mark.parametrize(("off_s", "verdict"), [(0, "ok"), (40, "warning"), (-40, "warning"), (400, "fault")])
def test_clock_that_is_off_and_another_version_are_told(off_s: int, verdict: str) -> None:
    date = {"Date": format_datetime(NOW + timedelta(seconds=off_s), usegmt=True)}
    body = b'{"info": {"version": "9.9.9"}}'
    with ScriptedServer(lambda _: Say(200, date, body)).serving() as server:
        found = list(_until_token(server.url))
    assert [check.verdict for check in found if "clock" in check.says] == [verdict]
    assert [check.verdict for check in found if "9.9.9" in check.says] == ["warning"]


def _until_token(url: str) -> Iterator[Any]:
    for check in control_plane(None, {"NEOPRO_URL": url, "NEOPRO_TOKEN": "x", "HOME": "/nowhere"}, NOW):
        yield check
        if "version" in check.says:
            return


def test_setting_is_taken_from_the_first_place_that_has_it(fleet: Path, tmp_path: Path) -> None:
    client = tmp_path / "config" / "neopro" / "client.toml"
    client.parent.mkdir(parents=True)
    client.write_text('url = "https://file"\nca = "/file.pem"\n')
    git(fleet, "config", "neopro.url", "https://checkout")
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    checkout = Checkout(fleet)
    assert settings_of({**env, "NEOPRO_URL": "https://env"}, checkout)["url"] == ("https://env", "NEOPRO_URL")
    assert settings_of(env, checkout)["url"] == ("https://checkout", "git config neopro.url")
    assert settings_of(env, None)["url"] == ("https://file", str(client))
    assert settings_of(env, checkout)["ca"].value == "/file.pem"
    assert settings_of({}, None)["url"] == ("", "")
