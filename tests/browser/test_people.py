"""Coming in, one's account and the audit, as a person does it: by forms, with the keyboard, without a script."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyotp
import pytest

from control_plane import passwords
from control_plane.store import users
from control_plane.web.words import LANGUAGES
from tests.browser.chromium import AXE, NARROW, PHONE, Visitor, visitor, why_not
from tests.browser.questions import FOCUS, TOO_WIDE, WRONG_IDS
from tests.support.people import PASSWORD
from tests.support.postgres import PostgresServer
from tests.support.world import ServedWorld, served_world

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
ADMIN, VIEWER = "ada", "marie"


@pytest.fixture
def served(tmp_path: Path, server: PostgresServer) -> Iterator[ServedWorld]:
    """A fleet with two accounts: an admin who has yet to set up one-time codes, and a viewer."""
    with served_world(tmp_path, server.create_database()) as world:
        world.run(_accounts(world))
        yield world


async def _accounts(served: ServedWorld) -> None:
    now, kept = served.world.clock(), passwords.hashed(PASSWORD)
    async with served.world.connection() as conn:
        for name, role in ((ADMIN, "admin"), (VIEWER, "viewer")):
            added: Any = await users.add_user(conn, name, role, None, password=kept, ends_at=None, now=now)  # type: ignore[arg-type]
            assert added


def _gives_name(reader: Visitor, name: str, password: str = PASSWORD) -> None:
    """With the keyboard alone: the field for the name has the focus."""
    reader.page.locator("#name:focus").wait_for()
    reader.page.keyboard.type(name)
    reader.page.keyboard.press("Tab")
    reader.page.locator("#password:focus").wait_for()
    reader.page.keyboard.type(password)
    with reader.page.expect_navigation():
        reader.page.keyboard.press("Enter")


def _require_good(reader: Visitor) -> None:
    page = reader.page
    assert page.evaluate(WRONG_IDS) == []
    assert page.locator("h1").count() == 1
    if AXE.is_file():
        page.emulate_media(color_scheme="light")
        assert not reader.axe()
        page.emulate_media(color_scheme="dark")
        assert not reader.axe({"runOnly": ["color-contrast"]})
    size = page.viewport_size
    assert size is not None
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert page.evaluate(TOO_WIDE) == []
    page.set_viewport_size(size)


@pytest.mark.parametrize("language", LANGUAGES)
def test_admin_comes_in_with_the_keyboard_sets_up_codes_and_leaves(
    browser: "Browser", served: ServedWorld, language: str
) -> None:
    with visitor(browser, served.url) as reader:
        page = reader.goes_to(f"/sites?q=brest&lang={language}")
        assert "/login?next=" in page.url
        assert page.evaluate("document.activeElement.id") == "name"
        _require_good(reader)
        _gives_name(reader, ADMIN)
        _require_good(reader)
        before = _session(reader)
        secret = re.sub(r"\s", "", page.locator("code").inner_text())
        page.locator("#code").fill(pyotp.TOTP(secret).now())
        with page.expect_navigation(url="**/sites?**"):
            page.keyboard.press("Enter")
        assert page.locator("tbody tr").count() == 1
        assert _session(reader) != before, "a session changes its id as its rights rise"
        reader.goes_to("/account")
        _require_good(reader)
        reader.goes_to("/audit")
        _require_good(reader)
        reader.goes_to("/account")
        page.locator("form[action='/logout'] button").first.click()
        assert "/login" in page.url
        reader.goes_to("/")
        assert "/login" in page.url
        _gives_name(reader, ADMIN)
        _require_good(reader)
        page.locator("#code").fill(pyotp.TOTP(secret).at(int(time.time()) + 30))
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.locator(".hero").count() == 1


def _session(reader: Visitor) -> str:
    return next(one["value"] for one in reader.context.cookies() if "session" in one["name"])


def test_wrong_password_is_told_where_the_reader_is(browser: "Browser", served: ServedWorld) -> None:
    with visitor(browser, served.url, java_script_enabled=False, viewport=PHONE) as reader:
        page = reader.goes_to("/")
        _gives_name(reader, VIEWER, "not the password")
        assert page.locator("[role=alert]").count() == 1
        assert page.locator("#name").input_value() == VIEWER
        reader.troubles[:] = [one for one in reader.troubles if not one.startswith(("422 ", "console error"))]
        page.locator("#password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.locator(".hero").wait_for()
        assert page.locator(".menu a", has_text="Audit").count() == 0, "a viewer's menu has nothing of admins"


def test_account_is_worked_with_the_keyboard(browser: "Browser", served: ServedWorld) -> None:
    with visitor(browser, served.url) as reader:
        page = reader.goes_to("/account")
        _gives_name(reader, VIEWER)
        assert page.url.endswith("/account")
        _require_good(reader)
        seen = set()
        for _ in range(60):
            page.keyboard.press("Tab")
            focus = page.evaluate(FOCUS)
            if focus is None:
                break
            assert focus["outline"] and focus["on_screen"], focus["what"]
            seen.add(focus["number"])
        assert focus is None and len(seen) > 15
        page.locator("summary").first.click()
        page.locator("#label").fill("laptop")
        page.locator("#now-token").fill(PASSWORD)
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.locator("[role=status] code").inner_text().startswith("neopro_")
        _require_good(reader)
