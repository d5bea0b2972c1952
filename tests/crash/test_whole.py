"""`make test-long` runs what `make test-crash` runs."""

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_crash_does_any_harm() -> None:
    subprocess.run([sys.executable, "-m", "tests.crash"], check=True)
