"""Whatever becomes of a file of the agent's own: it goes on, converges, and forgets nothing that another copy holds."""

import pytest

from reconciler_agent.state import COPIES
from tests.crash.broken import DAMAGE, Broken
from tests.crash.lives import Update
from tests.crash.trial import look_at_all, workshop


def test_damaged_file_of_its_own_does_not_stop_the_agent(capsys: pytest.CaptureFixture[str]) -> None:
    with workshop() as folder:
        tried = Broken(Update(folder))
        points = tried.points()
        assert {path.name for path in tried.files} >= set(COPIES)
        failures = [*filter(None, look_at_all(tried, points))]
    with capsys.disabled():
        print(
            f"\n{Update.name}: {len(points)} points ({len(DAMAGE)} kinds of damage to {len(tried.files)} files and to"
            f" both copies of the state), {len(failures)} failures"
        )
    assert not failures, "\n".join(failures)
