"""Somebody with a browser logs in by a real provider on another site, with its own forms, and out of both again."""

import socket
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from control_plane.core.openid import Grant
from tests.browser.chromium import AXE, why_not
from tests.support.openid_provider import CLIENT_ID, CLIENT_SECRET, SCOPES, Provider, running_provider
from tests.support.postgres import PostgresServer
from tests.support.world import ServedWorld, served_world

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with running_provider(tmp_path_factory.mktemp("provider")) as provider:
        provider.person("ada", password=PASSWORD, groups=["fleet-operators"])
        provider.person("mallory", password=PASSWORD)
        yield provider


@pytest.fixture(scope="module")
def fleet(
    there: Provider, tmp_path_factory: pytest.TempPathFactory, server: PostgresServer, browser: "Browser"
) -> Iterator[ServedWorld]:
    folder = tmp_path_factory.mktemp("fleet")
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    home = f"http://127.0.0.1:{port}"
    there.client(f"{home}/login/openid/callback", f"{home}/login")
    (folder / "secret").write_text(CLIENT_SECRET)
    with served_world(
        folder,
        server.create_database(),
        listen=f"127.0.0.1:{port}",
        public_url=home,
        oidc_issuer=there.issuer,
        oidc_client_id=CLIENT_ID,
        oidc_client_secret_file=folder / "secret",
        oidc_ca_file=there.authority.ca_file,
        oidc_scopes=SCOPES,
        oidc_grants=[Grant(claim="groups", value="fleet-operators", role="operator")],
        oidc_label="Canaille",
    ) as served:
        assert served.url == home
        yield served


@pytest.fixture
def page(browser: "Browser", fleet: ServedWorld) -> "Iterator[Page]":
    # The provider's certificate is of an authority that only our server knows.
    context = browser.new_context(base_url=fleet.url, locale="en-GB", ignore_https_errors=True)
    page = context.new_page()
    yield page
    context.close()


def log_in_there(page: "Page", name: str) -> None:
    """Through the provider's pages, agreeing to all."""
    page.get_by_role("link", name="Log in with Canaille").click()
    page.fill("input[name=login]", name)
    page.keyboard.press("Enter")
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.click("button[name=answer][value=accept]")


def axe(page: "Page") -> list[str]:
    if not AXE.is_file():
        return []
    page.evaluate(AXE.read_text("utf-8"))
    return [violation["id"] for violation in page.evaluate("axe.run(document)")["violations"]]


def test_person_comes_in_through_the_provider_and_leaves_both(page: "Page", there: Provider) -> None:
    page.goto("/login?next=/sites")
    assert axe(page) == []
    log_in_there(page, "ada")
    page.wait_for_url("**/sites")
    page.get_by_role("link", name="ada").wait_for()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login?left=1")
    assert axe(page) == []
    page.get_by_role("link", name="Log out of Canaille too").click()
    page.click("button[name=answer][value=logout]")
    page.wait_for_url("http://127.0.0.1:*/login*")
    page.get_by_role("link", name="Log in with Canaille").click()
    page.wait_for_selector("input[name=login]")
    assert page.url.startswith(there.issuer)


def test_person_without_a_group_reads_why_in_their_own_language(page: "Page") -> None:
    page.goto("/login")
    log_in_there(page, "mallory")
    page.get_by_role("alert").wait_for()
    assert "Canaille knows you" in page.get_by_role("alert").inner_text()
    assert "code=" not in page.url and "state=" not in page.url
    assert axe(page) == []
    page.get_by_role("link", name="FR").click()
    assert "Canaille vous connaît" in page.get_by_role("alert").inner_text()
