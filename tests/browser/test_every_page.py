"""Every page of PAGES, in both languages, both colour schemes, wide, on a phone, narrow and enlarged."""

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from control_plane.web.words import LANGUAGES
from tests.browser.chromium import AXE, DESKTOP, NARROW, PHONE, Visitor, visitor, why_not
from tests.browser.questions import FOCUS, REACHABLE, TOO_WIDE, WRONG_IDS
from tests.support.hostile_fleet import HostileFleet
from tests.support.page_addresses import PAGE_PATHS, address_of
from tests.support.watched_fleet import WatchedFleet

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
every_page = pytest.mark.parametrize("path", PAGE_PATHS)
CONTRAST = {"runOnly": ["color-contrast"]}


@every_page
@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is missing: `make test-browser` fetches it where npm is")
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_wrong_with_the_page(browser: "Browser", watched: WatchedFleet, path: str, size: Any) -> None:
    address = address_of(path, watched.addresses)
    with visitor(browser, watched.url, watched.cookies, viewport=size) as reader:
        for language in LANGUAGES:
            reader.page.emulate_media(color_scheme="light")
            reader.goes_to(f"{address}?lang={language}")
            assert not reader.axe(), f"{language}, light"
            reader.page.emulate_media(color_scheme="dark")
            assert not reader.axe(CONTRAST), f"{language}, dark"


@every_page
def test_page_has_a_title_a_language_and_ids_that_lead_somewhere(
    browser: "Browser", watched: WatchedFleet, path: str
) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        for language in LANGUAGES:
            page = reader.goes_to(f"{address_of(path, watched.addresses)}?lang={language}")
            assert page.evaluate("document.documentElement.lang") == language
            assert page.title().endswith(" — NEOPRO Fleet") and page.title()[0] != " "
            assert page.locator("h1").count() == 1
            assert page.evaluate(WRONG_IDS) == []


def test_titles_tell_pages_apart(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        titles = [reader.goes_to(address_of(path, watched.addresses)).title() for path in PAGE_PATHS]
    assert len(set(titles)) == len(titles), titles


@every_page
def test_nothing_is_wider_than_the_screen(
    browser: "Browser", watched: WatchedFleet, hostile: HostileFleet, path: str
) -> None:
    for fleet in (watched, hostile):
        address = address_of(path, fleet.addresses)
        with visitor(browser, fleet.url, fleet.cookies, viewport=NARROW) as reader:
            for language in LANGUAGES:
                page = reader.goes_to(f"{address}?lang={language}")
                _require_fits(page, f"320 px, {language}")
        # 200 % of a window that is 1280 wide.
        with visitor(
            browser, fleet.url, fleet.cookies, viewport={"width": 640, "height": 450}, device_scale_factor=2
        ) as reader:
            _require_fits(reader.goes_to(address), "zoom of 200 %")
        with visitor(browser, fleet.url, fleet.cookies) as reader:
            _require_fits(reader.goes_to(address), "1280 px")


def _require_fits(page: "Page", how: str) -> None:
    wide = page.evaluate(TOO_WIDE)
    assert not wide, "\n".join([f"{page.url} at {how}", *wide])


@every_page
@pytest.mark.parametrize("policy", [True, False], ids=["with-policy", "without-policy"])
def test_no_script_of_anybody_runs(browser: "Browser", hostile: HostileFleet, path: str, policy: bool) -> None:
    """Not even where the browser would not know our Content-Security-Policy."""
    address = address_of(path, hostile.addresses)
    with visitor(browser, hostile.url, hostile.cookies, bypass_csp=not policy) as reader:
        for query in ("", "?lang=fr", "?q=%22%3E%3Cimg src=x onerror=pwned(0)%3E&sort=javascript:pwned(0)"):
            page = reader.goes_to(address + query)
            assert page.evaluate("window.ran") == []
            _touch_everything(reader)
            assert page.evaluate("window.ran") == []
            assert page.locator("pwned, [pwned], img[onerror], svg[onload]").count() == 0


def _touch_everything(reader: Visitor) -> None:
    """Open what can be opened and point at everything: what waits for that would run."""
    reader.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    events = ("mouseover", "focus", "animationstart", "toggle", "error", "load")
    reader.page.evaluate(
        "kinds => document.querySelectorAll('*').forEach(one => kinds.forEach(k => one.dispatchEvent(new Event(k))))",
        list(events),
    )


@every_page
def test_every_focus_is_seen_and_nothing_holds_it(browser: "Browser", watched: WatchedFleet, path: str) -> None:
    """With Tab alone: the skip link first, then everything, and out at the end; each with an outline, on the screen."""
    for size, scheme in product((DESKTOP, PHONE), ("light", "dark")):
        with visitor(browser, watched.url, watched.cookies, viewport=size, color_scheme=scheme) as reader:
            page = reader.goes_to(address_of(path, watched.addresses))
            expected = page.evaluate(REACHABLE)
            seen = []
            for _ in range(expected + 5):
                page.keyboard.press("Tab")
                focus = page.evaluate(FOCUS)
                if focus is None:
                    break
                assert focus["outline"], f"no outline around {focus['what']}"
                assert focus["on_screen"], f"not on the screen: {focus['what']}"
                seen.append(focus["number"])
            assert focus is None, f"the focus never leaves: {focus['what']}"
            assert seen == sorted(set(seen)) and len(seen) == expected, (len(seen), expected)


@every_page
def test_skip_link_leads_to_the_content(browser: "Browser", watched: WatchedFleet, path: str) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = reader.goes_to(address_of(path, watched.addresses))
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
