"""The browser and the fleets that it looks at, once for all tests."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from control_plane.store.binaries import Programs
from tests.browser.chromium import running_browser
from tests.support.hostile_fleet import HostileFleet, hostile_fleet
from tests.support.postgres import PostgresServer, newest_and_oldest
from tests.support.watched_fleet import WatchedFleet, watched_fleet

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# For this folder alone: the thread that drives a browser can run no event loop of its own, as other tests do.


@pytest.fixture(scope="package")
def server(postgres_servers: Callable[[Programs], PostgresServer]) -> PostgresServer:
    """PostgreSQL, started before there is a browser."""
    return postgres_servers(newest_and_oldest()[0])


@pytest.fixture(scope="package")
def browser(server: PostgresServer) -> "Iterator[Browser]":
    """Chromium."""
    with running_browser() as running:
        yield running


@pytest.fixture(scope="package")
def watched(tmp_path_factory: pytest.TempPathFactory, server: PostgresServer) -> Iterator[WatchedFleet]:
    """A believable fleet."""
    with watched_fleet(tmp_path_factory.mktemp("watched"), server.create_database()) as fleet:
        yield fleet


@pytest.fixture(scope="package")
def hostile(tmp_path_factory: pytest.TempPathFactory, server: PostgresServer) -> Iterator[HostileFleet]:
    """A fleet of scripts."""
    with hostile_fleet(tmp_path_factory.mktemp("hostile"), server.create_database()) as fleet:
        yield fleet
