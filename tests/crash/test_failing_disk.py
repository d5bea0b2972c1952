"""Whatever call of the disk fails, once or from there on: the box plays on, and is as desired when the disk is well."""

import random

import pytest

from tests.crash.disks import why_no_ext4
from tests.crash.faults import KINDS, Faults
from tests.crash.full import FILL, Full
from tests.crash.lives import Collect, Operated, Update
from tests.crash.scenario import Scenario
from tests.crash.trial import look_at_all, workshop

SAMPLE = 3
SEED = 20261126


@pytest.mark.parametrize("kind", [Update, Collect], ids=lambda kind: kind.name.replace(" ", "-"))
@pytest.mark.parametrize("fault", KINDS)
def test_failing_call_does_no_harm_and_is_overcome(
    fault: str, kind: type[Scenario], capsys: pytest.CaptureFixture[str]
) -> None:
    with workshop() as folder:
        tried = Faults(kind(folder), fault)
        points = tried.points()
        failures = [*filter(None, look_at_all(tried, random.Random(SEED).sample(points, SAMPLE)))]
    with capsys.disabled():
        print(f"\n{kind.name}, {fault}: {SAMPLE} points of {len(points)}, {len(failures)} failures")
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("of", FILL)
def test_really_full_disk_does_no_harm_and_is_overcome(of: str, capsys: pytest.CaptureFixture[str]) -> None:
    if reason := why_no_ext4():
        pytest.skip(reason)
    with workshop() as folder:
        tried = Full(Operated(folder), of, folder)
        points = tried.points()
        failures = [*filter(None, look_at_all(tried, random.Random(SEED).sample(points, SAMPLE)))]
    with capsys.disabled():
        print(f"\n{Operated.name}, no {of}: {SAMPLE} points of {len(points)}, {len(failures)} failures")
    assert not failures, "\n".join(failures)
