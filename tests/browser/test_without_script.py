"""Everything works where JavaScript is off: it is links and forms."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import Visitor, visitor, why_not
from tests.support.page_addresses import live_pages
from tests.support.watched_fleet import WatchedFleet

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]


@pytest.fixture
def reader(browser: "Browser", watched: WatchedFleet) -> Iterator[Visitor]:
    with visitor(browser, watched.url, watched.cookies, java_script_enabled=False) as came:
        yield came


def test_menu_leads_to_every_page_that_it_names(reader: Visitor) -> None:
    page = reader.goes_to("/")
    names = page.locator(".menu a").all_inner_texts()
    assert len(names) >= 10
    for name in names:
        page.locator(".menu a", has_text=re.compile(f"^{name}$")).click()
        assert page.locator(".menu a[aria-current]").inner_text() == name
        assert page.locator("h1").count() == 1


def test_filters_sorting_and_search_are_a_form_and_links(reader: Visitor) -> None:
    page = reader.goes_to("/sites")
    everyone = page.locator("tbody tr").count()
    page.locator("#region").select_option("Bretagne")
    page.locator(".filter button").click()
    assert "region=Bretagne" in page.url
    assert 0 < page.locator("tbody tr").count() < everyone
    page.locator("thead a").first.click()
    assert "sort=" in page.url and "region=Bretagne" in page.url
    page.locator("#q").fill("vannes")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    assert page.locator("tbody tr").count() == 1
    page.locator("tbody th a").click()
    assert page.locator("h1").inner_text().startswith("Vannes")


def test_language_is_switched_and_remembered(reader: Visitor) -> None:
    page = reader.goes_to("/alerts?lang=en")
    page.locator(".languages a[hreflang=fr]").click()
    assert page.locator("html").get_attribute("lang") == "fr"
    page.locator(".menu a").nth(1).click()
    assert page.locator("html").get_attribute("lang") == "fr"


@pytest.mark.parametrize(("wish", "language"), [("fr-FR", "fr"), ("en-GB", "en"), ("de-DE", "en")])
def test_language_is_the_browsers_wish(browser: "Browser", watched: WatchedFleet, wish: str, language: str) -> None:
    with visitor(browser, watched.url, watched.cookies, java_script_enabled=False, locale=wish) as reader:
        assert reader.goes_to("/").locator("html").get_attribute("lang") == language


def test_figures_of_a_chart_are_a_table_that_opens(reader: Visitor) -> None:
    page = reader.goes_to("/sites/vannes-rugby")
    figures = page.locator("#figures details").first
    assert not figures.locator("table").is_visible()
    figures.locator("summary").click()
    assert figures.locator("tbody tr").count() > 20
    assert figures.locator("table").is_visible()
    page.locator(".spans a").nth(1).click()
    assert page.locator("#figures figure").count() >= 4


def test_page_says_that_it_reloads_itself(reader: Visitor, watched: WatchedFleet) -> None:
    for address in live_pages(watched.addresses):
        page = reader.goes_to(address)
        assert page.locator("#live.on, #live.lost").count() == 0
        assert re.search(r"\d+ s", page.locator("#live").inner_text()), "it tells how often"
