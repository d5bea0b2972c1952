"""The map in a browser: by mouse, by keyboard, with news, and back again; its addresses work without its script."""

import re
from typing import TYPE_CHECKING

import pytest

from schemas.status import Condition
from tests.browser.chromium import DESKTOP, Visitor, visitor, why_not
from tests.support.outlines import FILE
from tests.support.published import NOW
from tests.support.watched_fleet import REPORTING, WatchedFleet

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
PATIENCE_MS = 30_000
SITE = f"/sites/{REPORTING}"
_sequences = iter(range(1 << 16, 1 << 20))


def at_zoom(page: "Page", zoom: int) -> None:
    """Wait until the map shows a window so close."""
    page.locator(f'#map[data-zoom="{zoom}"]').wait_for(timeout=PATIENCE_MS)


def opened(reader: Visitor, address: str = "/map") -> "Page":
    """The map, with a mark on the document that a new page would lose."""
    page = reader.goes_to(address)
    page.evaluate("window.stays = true")
    return page


def names(page: "Page") -> list[str | None]:
    return [pin.get_attribute("aria-label") for pin in page.locator("a.pin").all()]


def test_buttons_move_the_map_in_place_and_keep_the_focus(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = opened(reader)
        whole = page.get_attribute("#map", "viewBox")
        page.focus('a[data-move="in"]')
        for zoom in (1, 2):
            page.keyboard.press("Enter")
            at_zoom(page, zoom)
            assert f"zoom={zoom}&at=" in page.url
            assert page.evaluate("document.activeElement.dataset.move") == "in"
            assert page.locator("#map-said").inner_text() == page.get_attribute("#map", "aria-label")
        page.go_back()
        at_zoom(page, 1)
        page.click('a[data-move="all"]')
        at_zoom(page, 0)
        assert page.get_attribute("#map", "viewBox") == whole
        assert page.evaluate("window.stays") is True


def test_address_of_a_window_shows_the_same_to_whoever_has_no_script(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = opened(reader)
        page.click('a[data-move="in"]')
        at_zoom(page, 1)
        before = page.get_attribute("#map", "viewBox")
        page.click('a[data-move="west"]')
        page.locator(f'#map:not([viewBox="{before}"])').wait_for(timeout=PATIENCE_MS)
        address, box = page.url, page.get_attribute("#map", "viewBox")
        shown = names(page)
    with visitor(browser, watched.url, watched.cookies, java_script_enabled=False) as reader:
        page = reader.goes_to(address)
        assert (names(page), page.get_attribute("#map", "viewBox")) == (shown, box)


def test_mark_of_several_leads_closer_and_the_keyboard_goes_on_there(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = opened(reader)
        several = page.locator("a.pin:has(text)").first
        several.focus()
        page.keyboard.press("Enter")
        page.locator('#map:not([data-zoom="0"])').wait_for(timeout=PATIENCE_MS)
        assert page.evaluate("document.activeElement.id") == "map"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == names(page)[0]
        page.keyboard.press("0")
        at_zoom(page, 0)
        assert page.evaluate("window.stays") is True


def test_mouse_drags_the_map_and_a_double_click_comes_closer(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = opened(reader, "/map?zoom=3&at=46.5,2.5")
        page.locator("#map").scroll_into_view_if_needed()
        box = page.locator("#map").bounding_box()
        assert box
        x, y = box["x"] + 20, box["y"] + box["height"] - 20
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + 90, y - 60, steps=4)
        page.mouse.up()
        page.wait_for_url(lambda url: "at=46.5,2.5" not in url)
        lat, lon = map(float, re.findall(r"at=([-\d.]+)(?:,|%2C)([-\d.]+)", page.url)[0])
        assert lat < 46.5 and lon < 2.5, "the land went up and to the right"
        page.mouse.dblclick(x, y)
        at_zoom(page, 4)
        assert page.evaluate("window.stays") is True


def test_question_is_kept_while_the_map_moves(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = opened(reader, "/map?region=Bretagne")
        page.click('a[data-move="in"]')
        at_zoom(page, 1)
        assert "region=Bretagne" in page.url
        page.reload()
        assert page.locator("#region").input_value() == "Bretagne"


def test_news_reach_the_mark_where_it_is_and_leave_the_focus_on_it(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = opened(reader, "/map?q=brest")
        page.locator("#live.on").wait_for(timeout=PATIENCE_MS)
        outlines = page.locator(".outlines path").count()
        pin = page.locator(f'a.pin[href="{SITE}"]')
        pin.focus()
        before = pin.get_attribute("aria-label") or ""
        bad = Condition(type="Degraded", status="True", reason="DiskFault", message="it fails", since=NOW)
        watched.tell(next(_sequences), conditions=[bad])
        page.locator(f'a.pin.s-Degraded[href="{SITE}"]').wait_for(state="attached", timeout=PATIENCE_MS)
        assert page.evaluate("document.activeElement.getAttribute('href')") == SITE
        assert page.locator(".outlines path").count() == outlines
        assert page.locator("#map-places .s-Degraded").count() >= 1
        watched.tell(next(_sequences))
        page.locator(f'a.pin[href="{SITE}"][aria-label="{before}"]').wait_for(state="attached", timeout=PATIENCE_MS)
        assert page.evaluate("window.stays") is True


@pytest.mark.skipif(not FILE.is_file(), reason=f"the set-up brought no outlines: {FILE} is missing")
def test_outlines_lie_below_the_marks_on_both_pages(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies, viewport=DESKTOP) as reader:
        for address in ("/map", "/"):
            page = reader.goes_to(address)
            assert page.locator(".outlines path").count() == 96
            assert "CC BY 4.0" in page.locator(".credit").inner_text()
            land = page.locator(".outlines").bounding_box()
            sea = page.locator("#map").bounding_box()
            assert land and sea and land["width"] > 0.6 * sea["width"]
