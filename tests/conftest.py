"""Fixtures that every test may ask for; each lives in the module of its topic. `--long`: what takes minutes as well."""

import pytest

pytest_plugins = ["tests.support.git_servers", "tests.support.postgres", "tests.support.s3_server"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """One option decides between the sample that a commit waits for and everything."""
    parser.addoption("--long", action="store_true", help="every point of the crash matrix, every PostgreSQL, all slow")


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether this run may take its time."""
    return bool(request.config.getoption("--long"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What is marked `slow` waits for `--long`."""
    if not config.getoption("--long"):
        skip = pytest.mark.skip(reason="slow: runs with --long (make test-long)")
        for item in items:
            if item.get_closest_marker("slow"):
                item.add_marker(skip)
