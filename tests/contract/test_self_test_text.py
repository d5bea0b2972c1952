"""The text of a self-test: what the agent writes, the acceptance sheet reads."""

from hypothesis import given
from hypothesis import strategies as st

from control_plane.web.acceptance import EXPECTED, Told, checks_in
from reconciler_agent.self_test import Check, write

WORD = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Cs"]), min_size=1, max_size=40)
NAME = st.one_of(
    st.sampled_from(EXPECTED),
    st.just("http://localhost:3000/x?a=b"),
    st.from_regex(r"unit [a-z-]{1,20}", fullmatch=True),
)
CHECK = st.builds(Check, name=NAME, found=WORD, problem=st.one_of(st.just(""), WORD))


@given(st.lists(CHECK, max_size=20))
def test_every_check_that_a_box_writes_is_read_as_it_was_meant(checks: list[Check]) -> None:
    meant = [Told(check.name, not check.problem, check.problem or check.found) for check in checks]
    assert checks_in(write(checks)) == meant


@given(st.text())
def test_any_text_is_read_as_so_many_checks_as_it_has_lines_at_most(text: str) -> None:
    assert len(checks_in(text)) <= len(text.splitlines())


def test_problem_of_several_lines_stays_one_check() -> None:
    text = write(
        [Check(name="configuration", problem="it cannot be read: line 1\n  line 2"), Check(name="disk", found="x")]
    )
    assert checks_in(text) == [
        Told("configuration", False, "it cannot be read: line 1 line 2"),
        Told("disk", True, "x"),
    ]
