"""The line that goes on with a rollout."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.rollout_trailer import resumed, resuming
from schemas.rollouts import RolloutKind

VERSIONS = st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(-[a-z]{1,5}\.[0-9])?", fullmatch=True)


@given(st.sampled_from(["release", "agent"]), VERSIONS, st.text(alphabet="abc \t\n"))
def test_line_is_found_wherever_it_stands_in_a_message(kind: RolloutKind, version: str, text: str) -> None:
    assert resumed([f"{text}\n{resuming(kind, version)}\n{text}"]) == {(kind, version)}


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        (["Resume-Rollout: release 2.2.0"], {("release", "2.2.0")}),
        (["Go on\r\n\r\nresume-rollout:\tAGENT  1.3.0 \r\n".replace("\r", "")], {("agent", "1.3.0")}),
        (
            ["One\n\nResume-Rollout: release 2.2.0\nResume-Rollout: agent 1.3.0", "Resume-Rollout: release 2.3.0"],
            {("release", "2.2.0"), ("agent", "1.3.0"), ("release", "2.3.0")},
        ),
        (["See Resume-Rollout: release 2.2.0"], set()),
        (["Resume-Rollout: 2.2.0"], set()),
        (["Resume-Rollout: release"], set()),
        (["Resume-Rollout: release 2.2.0 and more"], set()),
        (["Resume-Rollout: release\n2.2.0"], set()),
        ([], set()),
    ],
)
def test_only_whole_lines_of_that_form_count(messages: list[str], found: set[tuple[RolloutKind, str]]) -> None:
    assert resumed(messages) == found
