"""Fixtures that every test may ask for; each lives in the module of its topic. `--long`: what takes minutes as well."""

from pathlib import Path

import pytest
from hypothesis import settings

# No example has a deadline: how long one takes says more of the machine than of the code.
settings.register_profile("neopro", deadline=None)
settings.load_profile("neopro")

# What runs for seconds comes first: at the end no worker is left alone with it.
_LONG_FIRST = ("faults", "e2e", "golden", "crash", "security", "integration", "contract")

pytest_plugins = [
    "tests.support.api",
    "tests.support.git_servers",
    "tests.support.handles",
    "tests.support.people",
    "tests.support.postgres",
    "tests.support.s3_server",
    "tests.support.scripted_client",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--long`: not the sample that a commit waits for, but everything; `--update-golden`: what is meant to change."""
    parser.addoption("--long", action="store_true", help="every point of the crash matrix, every PostgreSQL, all slow")
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew from what is answered now")


@pytest.fixture
def anyio_backend() -> str:
    """What is awaited in tests runs on asyncio, as the control plane does."""
    return "asyncio"


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether this run may take its time."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether this run writes the golden files instead of comparing with them."""
    return bool(request.config.getoption("--update-golden"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `slow` waits for `--long`; the rest begins with what takes long."""
    items.sort(key=lambda item: (*_LONG_FIRST, _folder(item.path)).index(_folder(item.path)))
    if not config.getoption("--long"):
        skip = pytest.mark.skip(reason="slow: runs with --long (make test-long)")
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(skip)


def _folder(path: Path) -> str:
    below = path.relative_to(Path(__file__).parent)
    return below.parts[0]
