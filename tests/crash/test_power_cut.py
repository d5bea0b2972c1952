"""Whenever the power goes: what was told is kept, the box plays, and the next life ends where the first would have."""

import random

import pytest

from tests.crash.disks import KERNELS
from tests.crash.later import TROUBLES, Later
from tests.crash.lives import LIVES, FirstInstall, Operated
from tests.crash.power import Power
from tests.crash.scenario import Scenario
from tests.crash.suites import kernels
from tests.crash.trial import look_at_all, workshop

SAMPLE = 3
SEED = 20261126


@pytest.mark.parametrize("kind", LIVES, ids=lambda kind: kind.name.replace(" ", "-"))
def test_power_cut_at_any_call_keeps_what_was_told_and_converges(
    kind: type[Scenario], capsys: pytest.CaptureFixture[str]
) -> None:
    look_at_some(kind, "strict", capsys)


@pytest.mark.parametrize("kernel", [kernel for kernel in KERNELS if kernel != "strict"])
def test_power_cut_of_a_real_disk_keeps_what_was_told_and_converges(
    kernel: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if kernel not in kernels():
        pytest.skip("cutting the power of a real file system needs root, mkfs.ext4 and loop devices")
    look_at_some(Operated, kernel, capsys)


def look_at_some(kind: type[Scenario], kernel: str, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random(SEED)
    with workshop() as folder:
        tried = Power(kind(folder), kernel, folder)
        share = 3 * SAMPLE / tried.calls
        cuts = tried.record(wanted=lambda: chance.random() < share)
        chosen = chance.sample(cuts, min(SAMPLE, len(cuts)))
        failures = [*filter(None, look_at_all(tried, chosen))]
    with capsys.disabled():
        print(f"\n{kind.name}: {len(chosen)} power cuts of {tried.calls} calls, {kernel}, {len(failures)} failures")
    assert chosen
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("trouble", TROUBLES)
def test_power_cut_after_trouble_and_another_life_keeps_what_was_told(
    trouble: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with workshop() as folder:
        tried = Later(FirstInstall(folder), trouble, folder)
        points = tried.points()
        chosen = [points[0], *random.Random(SEED).sample(points, SAMPLE)]
        failures = [*filter(None, look_at_all(tried, chosen))]
    with capsys.disabled():
        print(f"\n{FirstInstall.name}: {trouble}: {len(chosen)} of {len(points)} points, {len(failures)} failures")
    assert not failures, "\n".join(failures)
