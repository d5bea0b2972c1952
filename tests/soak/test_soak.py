"""A sample of `make test-soak`: how it judges, and some hours of a box, as they are and with a leak in them.

Of the control plane some seconds say nothing: its caches still fill then.
"""

import os
from pathlib import Path

import pytest

from tests.soak.counting import Allowance, Figures, descriptors, folder, judge, process
from tests.soak.suites import seen, short_life_of_a_box


def grown(life: list[Figures], *allowances: Allowance) -> list[str]:
    return [verdict.name for verdict in judge(life, allowances) if verdict.grows]


def test_a_figure_grows_when_its_last_quarter_is_above_its_second() -> None:
    steady: list[Figures] = [{"a": 9 - moment % 2, "b": moment < 4} for moment in range(16)]
    rising: list[Figures] = [{"a": moment} for moment in range(16)]
    assert grown(steady) == [] and grown(rising) == ["a"]
    assert grown([*steady[:-1], {"late": 1}]) == ["late"], "also one that was never there before"


def test_a_figure_may_be_above_by_what_is_allowed_and_no_more() -> None:
    rising: list[Figures] = [{"rows: a": 100 + moment} for moment in range(16)]  # 107, then 115
    assert grown(rising, Allowance("rows: .*", 8, 0, "why")) == []
    assert grown(rising, Allowance("rows: .*", 7, 0, "why")) == ["rows: a"]
    assert grown(rising, Allowance("rows: .*", 0, 0.08, "why")) == []
    assert grown(rising, Allowance("rows: .", 0, 0, "why", noted=True)) == []


def test_descriptors_threads_and_files_are_counted_by_what_they_are(tmp_path: Path) -> None:
    before = descriptors(os.getpid(), {"ours": tmp_path})
    with (tmp_path / "one").open("w") as file:
        file.write("x" * 500)
        file.flush()
        after = descriptors(os.getpid(), {"ours": tmp_path})
        assert after["descriptors"] == before["descriptors"] + 1
        assert after["descriptors: files of ours"] == 1 + before.get("descriptors: files of ours", 0)
        assert folder("ours", tmp_path) == {"ours: files": 1, "ours: folders": 0, "ours: kB": 0.5}
    assert process(os.getpid())["threads"] >= 1


@pytest.mark.parametrize("seed", ["", "a descriptor"])
def test_hours_of_a_box_hold_no_more_unless_something_leaks(seed: str, tmp_path: Path) -> None:
    assert seen(short_life_of_a_box(tmp_path, seed)) == (["descriptors"] if seed else [])
