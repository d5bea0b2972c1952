"""Chromium as the tests use it: what is missing where it cannot be, and a page that notes what it must not do."""

import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response

NOBODY: Final[Mapping[str, str]] = {}
AXE: Final = Path(__file__).with_name("node_modules") / "axe-core" / "axe.min.js"
DESKTOP: Final = {"width": 1280, "height": 900}
PHONE: Final = {"width": 390, "height": 844}
NARROW: Final = {"width": 320, "height": 640}
"""As narrow as a page must be readable without scrolling sideways (WCAG 2.1, 1.4.10)."""
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_WATCH_SCRIPTS: Final = "window.ran = []; window.pwned = (number) => { window.ran.push(String(number)); };"


def chromium() -> str | None:
    """The program: $CHROMIUM, or what is on the PATH."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)


def why_not() -> str:
    """Why there is no browser to test in; empty when there is one."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is missing: `make test-browser` installs it"
    if chromium() is None:
        return "Chromium is missing (Debian: apt install chromium), or tell where it is by CHROMIUM"
    return ""


@contextmanager
def running_browser() -> Iterator["Browser"]:
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root (a container) Chromium has no sandbox; /dev/shm is small there.
        arguments = ["--no-sandbox", "--disable-dev-shm-usage"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


class Visitor:
    """Somebody with a browser, at a server. `troubles`: whatever no page may do, as it happened."""

    def __init__(self, browser: "Browser", url: str, cookies: Mapping[str, str], **how: Any) -> None:
        self.url, self.troubles = url, list[str]()
        self.context: BrowserContext = browser.new_context(
            base_url=url, **{"viewport": DESKTOP, "locale": "en-GB", "reduced_motion": "reduce", **how}
        )
        self.context.add_init_script(_WATCH_SCRIPTS)
        self.context.add_cookies([{"name": name, "value": value, "url": url} for name, value in cookies.items()])
        self.page: Page = self.context.new_page()
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)

    def goes_to(self, address: str) -> "Page":
        """Open a page; it must be one."""
        answer = self.page.goto(address)
        assert answer is not None and answer.ok, (address, answer and answer.status)
        return self.page

    def axe(self, rules: Mapping[str, Any] | None = None) -> list[str]:
        """What axe-core finds wrong with the page as it is now, one line each."""
        self.page.evaluate(AXE.read_text("utf-8"))
        found = self.page.evaluate("options => axe.run(document, options)", dict(rules or {}))
        return [
            f"{violation['id']}: {node['target']} {node['failureSummary']}"
            for violation in found["violations"]
            for node in violation["nodes"]
        ]

    def _said(self, message: "ConsoleMessage") -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"console {message.type}: {message.text}")

    def _asked(self, request: "Request") -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.troubles.append(f"a request to elsewhere: {request.url}")

    def _answered(self, answer: "Response") -> None:
        if answer.status >= 400:
            self.troubles.append(f"{answer.status} {answer.url}")


@contextmanager
def visitor(browser: "Browser", url: str, cookies: Mapping[str, str] = NOBODY, **how: Any) -> Iterator[Visitor]:
    """A visitor to whom nothing forbidden may happen; `how` is what a browser's context takes."""
    came = Visitor(browser, url, cookies, **how)
    try:
        yield came
        assert not came.troubles, came.troubles
    finally:
        came.context.close()
