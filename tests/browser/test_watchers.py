"""What looks at the pages sees what is wrong with one: else that it finds nothing would say nothing."""

from typing import TYPE_CHECKING

import pytest

from tests.browser.chromium import AXE, NARROW, visitor, why_not
from tests.browser.questions import TOO_WIDE, WRONG_IDS
from tests.support.watched_fleet import WatchedFleet

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WHY_NOT = why_not()
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]
WRONG = """() => {
  const wrong = document.createElement('div');
  wrong.innerHTML = '<img src="/static/icon.svg"><p id="main" class="pale">pale</p><label for="none">x</label>';
  wrong.querySelector('p').style.color = '#f0f0f0';
  wrong.style.width = '2000px';
  document.querySelector('main').append(wrong);
}"""


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is missing: `make test-browser` fetches it where npm is")
def test_axe_finds_what_is_put_into_a_page_for_it(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = reader.goes_to("/")
        page.evaluate(WRONG)
        found = {line.partition(":")[0] for line in reader.axe()}
        assert {"image-alt", "color-contrast"} <= found


def test_questions_find_what_is_put_into_a_page_for_them(browser: "Browser", watched: WatchedFleet) -> None:
    with visitor(browser, watched.url, watched.cookies, viewport=NARROW) as reader:
        page = reader.goes_to("/")
        page.evaluate(WRONG)
        assert page.evaluate(WRONG_IDS) == ["twice: main", "for of nothing: none"]
        assert page.evaluate(TOO_WIDE)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("fetch('http://192.0.2.1/').catch(() => 0)", "Content Security Policy"),
        ("console.error('oh')", "console error: oh"),
        ("setTimeout(() => { throw new Error('ouch') })", "error: ouch"),
        ("fetch('/nothing')", "404 "),
        ("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=pwned(1)>')", "Content Security Policy"),
    ],
)
def test_visitor_notes_what_no_page_may_do(browser: "Browser", watched: WatchedFleet, script: str, told: str) -> None:
    with visitor(browser, watched.url, watched.cookies) as reader:
        page = reader.goes_to("/sites")
        happens = "pageerror" if "throw" in script else "console"
        with page.expect_event(happens, lambda _: any(told in one for one in reader.troubles)):
            page.evaluate(f"() => {{ {script} }}")
        assert page.evaluate("window.ran") == []
        reader.troubles.clear()
