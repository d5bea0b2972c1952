"""Open pages follow what boxes say, keep what their reader was at, and never look alive when they are not."""

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from schemas.status import Metrics
from tests.browser.chromium import visitor, why_not
from tests.support.postgres import newest_and_oldest
from tests.support.published import report
from tests.support.stoppable_postgres import stoppable_postgres
from tests.support.watched_fleet import REPORTING, WatchedFleet
from tests.support.world import served_world

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
PATIENCE_MS, LONG_MS = 30_000, 90_000
SITE = f"/sites/{REPORTING}"
_sequences = iter(range(100, 1 << 20))


def told(fleet: WatchedFleet, percent: int) -> None:
    """The box says how busy its processor is."""
    fleet.tell(next(_sequences), metrics=Metrics(cpu_percent=percent))


def test_report_changes_the_open_page_which_is_never_loaded_anew(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = reader.goes_to(SITE)
        page.evaluate("window.stays = true")
        page.locator("#live.on").wait_for(timeout=PATIENCE_MS)
        for percent in (71, 83):
            told(watched, percent)
            page.locator("#metrics", has_text=f"{percent}%").wait_for(timeout=PATIENCE_MS)
        assert page.evaluate("window.stays") is True


def test_news_leave_the_focus_and_what_is_open_as_they_are(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = reader.goes_to(SITE)
        opened = page.locator("#figures details").nth(1)
        opened.locator("summary").focus()
        page.keyboard.press("Enter")
        assert opened.get_attribute("open") is not None
        for percent in (64, 52):
            told(watched, percent)
            page.locator("#metrics", has_text=f"{percent}%").wait_for(timeout=PATIENCE_MS)
            page.evaluate("new Promise(done => requestAnimationFrame(done))")
            assert [one.get_attribute("open") is not None for one in page.locator("#figures details").all()][1]
            assert page.evaluate("document.activeElement.tagName") == "SUMMARY"


def test_what_is_open_stays_open_when_something_new_comes_before_it(browser: "Browser", watched: WatchedFleet) -> None:
    world = watched.served.world
    good = world.file("fleet.yaml")
    with visitor(browser, watched.url, watched.cookies) as reader:
        world.commit({"fleet.yaml": good + "one: 1\n"}, "Mistake one")
        watched.served.ingest()
        page = reader.goes_to("/changes")
        page.locator("li", has_text="Mistake one").locator("summary").click()
        world.commit({"fleet.yaml": good + "two: 2\n"}, "Mistake two")
        watched.served.ingest()
        later = page.locator("li", has_text="Mistake two")
        told(watched, 88)
        later.wait_for(timeout=PATIENCE_MS)
        assert later.locator("details").get_attribute("open") is None
        assert page.locator("li", has_text="Mistake one").locator("details").get_attribute("open") is not None
        world.commit({"fleet.yaml": good}, "Take the mistakes back")
        watched.served.ingest()


def test_rollout_that_goes_on_is_seen_on_the_open_page(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = reader.goes_to(f"/rollouts/{watched.addresses['rollout']}?lang=en")
        page.evaluate("window.stays = true")
        assert page.locator(".rollout.halted .badge").inner_text() == "Halted"
        line = page.locator(".ways code").inner_text()
        watched.served.publish({"README.md": "The box of Tours has a new card.\n"}, f"Go on\n\n{line}")
        page.locator(".rollout.rolling .badge", has_text="Rolling").wait_for(timeout=PATIENCE_MS)
        assert page.locator(".ways").count() == 0
        assert page.evaluate("window.stays") is True


def test_focus_stays_on_a_link_of_a_table_that_changes(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = reader.goes_to("/sites?q=brest")
        page.locator(f"#site-{REPORTING} a").focus()
        for percent in (43, 31):
            told(watched, percent)
            page.locator(f"#site-{REPORTING}", has_text=f"{percent}%").wait_for(timeout=PATIENCE_MS)
            assert page.evaluate("document.activeElement.getAttribute('href')") == SITE


def test_what_is_being_written_is_not_taken_away(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = reader.goes_to("/sites")
        page.locator("#q").fill("bre")
        told(watched, 27)
        page.locator(f"#site-{REPORTING}", has_text="27%").wait_for(timeout=PATIENCE_MS)
        assert page.locator("#q").input_value() == "bre"
        assert page.evaluate("document.activeElement.id") == "q"


def test_page_without_its_server_says_that_it_is_old_and_then_goes_on(
    browser: "Browser", watched: WatchedFleet
) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = reader.goes_to(f"{SITE}?lang=en")
        page.locator("#live.on").wait_for(timeout=PATIENCE_MS)
        reader.context.set_offline(True)
        page.locator("#live.lost").wait_for(timeout=PATIENCE_MS)
        assert page.locator("#live.on").count() == 0
        lost = page.locator("#live").inner_text()
        reader.context.set_offline(False)
        page.locator("#live.on").wait_for(timeout=PATIENCE_MS)
        assert page.locator("#live").inner_text() != lost
        told(watched, 19)
        page.locator("#metrics", has_text="19%").wait_for(timeout=PATIENCE_MS)
        # What the browser itself writes of a network that is away is no fault of the page.
        reader.troubles[:] = [one for one in reader.troubles if "ERR_INTERNET_DISCONNECTED" not in one]


def test_a_screen_reader_is_told_of_the_state_of_the_page_alone(browser: "Browser", watched: WatchedFleet) -> None:
    """Not of every figure that changes: one polite status, whose words change only when they have to."""
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = reader.goes_to(SITE)
        page.locator("#live.on").wait_for(timeout=PATIENCE_MS)
        assert page.locator("[aria-live], [role=status], [role=alert], [role=log]").count() == 1
        changes = "new MutationObserver(all => { window.spoken = (window.spoken || 0) + all.length; })"
        page.evaluate(f"{changes}.observe(document.getElementById('live'), {{subtree: true, childList: true}})")
        told(watched, 77)
        page.locator("#metrics", has_text="77%").wait_for(timeout=PATIENCE_MS)
        assert page.evaluate("window.spoken || 0") == 0


def test_page_whose_server_lost_its_database_says_so_and_goes_on_when_it_is_back(
    browser: "Browser", tmp_path: Path
) -> None:
    with (
        stoppable_postgres(tmp_path / "database", newest_and_oldest()[0]) as database,
        served_world(tmp_path / "world", database.conninfo) as served,
        visitor(browser, served.url) as reader,
    ):
        page = reader.goes_to("/sites/brest?lang=en")
        page.locator("#live.on").wait_for(timeout=PATIENCE_MS)
        database.stop()
        page.locator("#live.lost").wait_for(timeout=LONG_MS)
        assert page.locator("#live.on").count() == 0
        database.start()
        page.locator("#live.on").wait_for(timeout=LONG_MS)
        said = msgspec.json.encode(report(metrics=Metrics(cpu_percent=66), at=served.world.clock()))
        url, headers = f"{served.url}/v1/sites/brest/status", served.world.headers("brest")
        httpx.post(url, content=said, headers=headers, trust_env=False, timeout=30).raise_for_status()
        page.locator("#metrics", has_text="66%").wait_for(timeout=PATIENCE_MS)
        reader.troubles[:] = [one for one in reader.troubles if "503" not in one]
