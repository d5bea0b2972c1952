"""What is on paper: dark on white, without what one can only click, on so many sheets as it takes."""

import re
from typing import TYPE_CHECKING

import pytest

from control_plane.web.words import LANGUAGES
from tests.browser.chromium import visitor, why_not
from tests.support.page_addresses import PAGE_PATHS, address_of
from tests.support.watched_fleet import REPORTING, WatchedFleet

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
LIGHT_ON_WHITE = """() => {
  const bright = colour => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number); return .3 * r + .6 * g + .1 * b; };
  const ink = one => getComputedStyle(one)[one instanceof SVGElement ? 'fill' : 'color'];
  return [...document.querySelectorAll('body *')]
    .filter(one => one.checkVisibility() && [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .filter(one => bright(ink(one)) > 160)
    .map(one => one.outerHTML.slice(0, 120));
}"""


@pytest.mark.parametrize("path", PAGE_PATHS)
def test_page_is_printed_dark_on_white(browser: "Browser", watched: WatchedFleet, path: str) -> None:
    with visitor(browser, watched.url, watched.cookies, color_scheme="dark") as reader:
        page = reader.goes_to(address_of(path, watched.addresses))
        page.emulate_media(media="print")
        assert page.evaluate(LIGHT_ON_WHITE) == []
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        for selector in (".menu", ".languages", ".live", ".filter"):
            assert not any(one.is_visible() for one in page.locator(selector).all()), selector
        assert page.pdf(format="A4").startswith(b"%PDF-")


@pytest.mark.parametrize("language", LANGUAGES)
def test_acceptance_sheet_is_one_sheet(browser: "Browser", watched: WatchedFleet, language: str) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        for site in (REPORTING, "besancon-football"):
            page = reader.goes_to(f"/sites/{site}/acceptance?lang={language}")
            paper = page.pdf(format="A4")
            assert len(re.findall(rb"/Type\s*/Page\b", paper)) == 1, site
