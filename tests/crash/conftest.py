"""`--whole-matrix`: every point; without it, an honest sample of them."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--whole-matrix", action="store_true", help="kill the agent at every mutating system call")


@pytest.fixture
def whole_matrix(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--whole-matrix", default=False))
