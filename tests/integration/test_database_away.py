"""PostgreSQL goes away and comes back under two control planes: pages and boxes hear again, and nothing was made up."""

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest

from schemas.names import SiteId
from tests.support.patience import PATIENCE_S, wait_for
from tests.support.postgres import newest_and_oldest
from tests.support.published import report
from tests.support.server_process import server_process
from tests.support.stoppable_postgres import StoppablePostgres, stoppable_postgres
from tests.support.world import World, make_world

SITE = "brest"
SHOWN = ("/", "/sites", f"/sites/{SITE}", "/alerts", "/sites.csv")
PATIENTLY: Any = {"trust_env": False, "timeout": 60, "headers": {"Accept": "text/html"}}


class Stream:
    """An open page's stream of news: never opened a second time."""

    def __init__(self, url: str) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(url,), daemon=True)
        self._thread.start()
        self.hears("retry:")

    def _read(self, url: str) -> None:
        with (
            suppress(httpx.HTTPError),
            httpx.Client(trust_env=False, timeout=httpx.Timeout(10, read=PATIENCE_S)) as client,
            client.stream("GET", f"{url}/live") as answer,
        ):
            for line in answer.iter_lines():
                self._lines.put(line)
        self._lines.put("ended")

    def hears(self, what: str) -> None:
        """Wait for such a line; fails when the stream ended before."""
        while not (line := self._lines.get(timeout=PATIENCE_S)).startswith(what):
            assert line != "ended", f"the stream ended; waited for {what}"

    def forgets(self) -> None:
        """Whatever came until now is old."""
        while not self._lines.empty():
            self._lines.get()


class Two(NamedTuple):
    """Two control planes on one database."""

    world: World
    database: StoppablePostgres
    urls: tuple[str, str]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    world = make_world(tmp_path)
    world.commit(world.first_files(), "Start the fleet")
    with stoppable_postgres(tmp_path / "database", newest_and_oldest()[0]) as database, ExitStack() as stack:
        url = tmp_path / "database-url"
        url.touch(mode=0o600)
        url.write_text(database.conninfo)
        servers = []
        for name in ("one", "two"):
            folder = world.folder / name
            folder.mkdir()
            (folder / "objects").symlink_to(world.folder / "server" / "objects")
            settings = world.settings_file(data_dir=folder, database_url_file=url).rename(folder / "server.toml")
            servers.append(stack.enter_context(server_process(settings)))
            wait_for(lambda: _status(servers[-1].url) == 200, f"server {name} is ready")
        yield Two(world, database, (servers[0].url, servers[1].url))


def _status(url: str, path: str = "/readyz") -> int:
    return httpx.get(url + path, **PATIENTLY).status_code


def _report(two: Two, url: str, sequence: int) -> httpx.Response:
    body = msgspec.json.encode(report(sequence=sequence, run_id="a" * 32, at=two.world.clock()))
    headers = two.world.headers(SITE)
    return httpx.post(f"{url}/v1/sites/{SITE}/status", content=body, headers=headers, trust_env=False, timeout=30)


def _head(two: Two, url: str, site: SiteId = SITE, **headers: str) -> httpx.Response:
    return httpx.get(
        f"{url}/v1/sites/{site}/head", headers=two.world.headers(site) | headers, trust_env=False, timeout=70
    )


@contextmanager
def _poll(two: Two, url: str) -> Iterator[queue.Queue[httpx.Response]]:
    """A box waits for another head than it has."""
    answers: queue.Queue[httpx.Response] = queue.Queue()
    wait = {"If-None-Match": _head(two, url).headers["etag"], "Prefer": "wait=55"}
    thread = threading.Thread(target=lambda: answers.put(_head(two, url, **wait)), daemon=True)
    thread.start()
    yield answers
    thread.join(PATIENCE_S)


def test_report_to_one_control_plane_is_news_for_the_pages_of_the_other(two: Two) -> None:
    streams = [Stream(url) for url in two.urls]
    for sequence, url in enumerate(two.urls, start=1):
        assert _report(two, url, sequence).status_code == 204
        for stream in streams:
            stream.hears("event: news")


def test_streams_and_polls_outlive_a_restart_of_the_database(two: Two) -> None:
    first, second = two.urls
    streams = [Stream(url) for url in two.urls]
    assert _report(two, first, 1).status_code == 204
    with _poll(two, first) as one, _poll(two, second) as other:
        two.database.stop()
        for url in two.urls:
            wait_for(lambda url=url: _status(url) == 503, "it says that it is not ready")
        for stream in streams:
            stream.forgets()
        two.database.start()
        for url, stream in zip(two.urls, streams, strict=True):
            stream.hears("event: news")
            wait_for(lambda url=url: _status(url) == 200, "it is ready again")
        two.world.commit({f"sites/{SITE}.yaml": two.world.site_file(SITE, state="suspended")}, "Suspend Brest")
        for answers in (one, other):
            assert answers.get(timeout=PATIENCE_S).status_code == 200
    for sequence, url in enumerate(two.urls, start=2):
        for stream in streams:
            stream.forgets()
        assert _report(two, url, sequence).status_code == 204
        for stream in streams:
            stream.hears("event: news")


def test_nothing_is_shown_or_taken_while_the_database_is_away_but_boxes_are_served(two: Two) -> None:
    first, second = two.urls
    assert _report(two, first, 1).status_code == 204
    two.database.stop()
    with ThreadPoolExecutor(12) as readers:
        # Each waits for ten seconds for a connection before it is told.
        addresses = [url + path for url in two.urls for path in SHOWN]
        reports = [readers.submit(_report, two, url, 2) for url in two.urls]
        for answer in readers.map(lambda address: httpx.get(address, **PATIENTLY), addresses):
            assert answer.status_code == 503 and "retry-after" in answer.headers, answer.url
            assert "s-Synced" not in answer.text
        for refused in reports:
            assert refused.result().status_code == 503 and "retry-after" in refused.result().headers
    for url in two.urls:
        assert _head(two, url).status_code == 200, "boxes go on from what is in memory"
    two.database.start()
    wait_for(lambda: _report(two, second, 2).status_code == 204, "reports are taken again")
    wait_for(lambda: _status(first, f"/sites/{SITE}") == 200, "pages are shown again")
