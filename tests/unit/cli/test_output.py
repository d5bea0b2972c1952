"""What a verb prints, and where."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output import Output, columns_of, layout


def test_columns_are_aligned_and_the_last_one_is_cut_to_the_width() -> None:
    lines = ["  ".join(cells) for cells in layout(("SITE", "WHY"), [("rennes", "a long sentence"), ("a", "b")], 16)]
    assert lines == ["SITE    WHY", "rennes  a long …", "a       b"]


def test_json_run_prints_data_alone() -> None:
    out, err = io.StringIO(), io.StringIO()
    output = Output(True, out, err)
    output.say("for people")
    output.table(("A",), [("b",)])
    with output.step("work"), output.progress("uploading", 10) as advance:
        advance(10)
    output.data({"a": 1})
    assert json.loads(out.getvalue()) == {"a": 1}
    assert err.getvalue() == ""


def test_piped_output_has_neither_colour_nor_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    output = Output(False, out, err)
    output.table(("STATE",), [("Synced",)], {"Synced": "32"})
    with output.step("work"), output.progress("uploading", 10) as advance:
        advance(10)
    assert "\x1b" not in out.getvalue()
    assert out.getvalue() == "STATE\nSynced\nwork … ✓ 0.0 s\n"
    assert err.getvalue() == ""


def test_words_of_others_do_not_steer_the_terminal() -> None:
    out, err = io.StringIO(), io.StringIO()
    output = Output(False, out, err)
    output.say("a \x1b[31msubject\x07\nof two\u00a0lines\r")
    output.table(("WHY",), [("\x9b2J\u202ename\n",)])
    output.note("\x1b]0;title")
    assert out.getvalue() == "a \\x1b[31msubject\\x07\nof two\u00a0lines\\r\nWHY\n\\x9b2J\\u202ename\\n\n"
    assert err.getvalue() == "\\x1b]0;title\n"


def test_step_that_fails_or_speaks_says_so() -> None:
    out = io.StringIO()
    output = Output(False, out, io.StringIO())
    with pytest.raises(ValueError, match="x"), output.step("work"):
        raise ValueError("x")
    with output.step("talk"):
        output.say("  a line")
    assert out.getvalue() == "work … ✗ 0.0 s\ntalk …\n  a line\n✓ talk (0.0 s)\n"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("variable", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_follows_the_terminal_and_no_color(
    variable: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variable.items():
        monkeypatch.setenv(name, value)
    styled = Output(False, Terminal(), Terminal()).style("Synced", "32")
    assert styled == ("\x1b[32mSynced\x1b[0m" if coloured else "Synced")


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (80, ["SITE       NAME            WHY", "rennes-fc  a name of some  no report for two days"]),
        (41, ["SITE       NAME            WHY", "rennes-fc  a name of some  no report for…"]),
        (32, ["SITE       NAME       WHY", "rennes-fc  a name o…  no report…"]),
        (8, ["SITE    NAME    WHY", "renne…  a nam…  no re…"]),
    ],
)
def test_columns_give_way_the_widest_first_and_ids_last_of_all(width: int, lines: list[str]) -> None:
    rows = [("rennes-fc", "a name of some", "no report for two days")]
    assert ["  ".join(cells).rstrip() for cells in layout(("SITE", "NAME", "WHY"), rows, width)] == lines


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    rows = [("東京", "x"), ("e\u0301tang", "y"), ("abc", "z")]
    lines = ["  ".join(cells) for cells in layout(("A", "B"), rows, 80)]
    assert lines == ["A      B", "東京   x", "e\u0301tang  y", "abc    z"]
    assert layout(("A",), [("東京東京",)], 6) == [["A"], ["東京…"]]


@given(
    rows=st.lists(st.lists(st.text("aé東\u0301 ", max_size=30), min_size=3, max_size=3), max_size=5),
    width=st.integers(40, 120),
)
def test_table_fits_every_terminal_that_has_room_for_its_columns(rows: list[list[str]], width: int) -> None:
    for cells in layout(("ONE", "TWO", "THREE"), rows, width):
        assert columns_of("  ".join(cells)) <= width
