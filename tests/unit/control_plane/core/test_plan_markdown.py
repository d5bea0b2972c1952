"""The comment in a pull request: hostile names stay names, and it is never longer than forges take."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from control_plane.core.guards import Impact, Verdict
from control_plane.core.plan import Change, Plan, SitePlan, Totals
from control_plane.core.plan_changes import Alteration, Differences, Moved, VideoChange
from control_plane.core.plan_markdown import MAX_CHARACTERS, code, plan_markdown
from control_plane.core.plan_text import plan_lines
from control_plane.core.plan_time import Timing

NOW = datetime(2026, 11, 26, tzinfo=UTC)
FORGE = MarkdownIt("commonmark", {"html": True}).enable("table")
HOSTILE = [
    "# heading",
    "@everyone please",
    "`code` ``twice`` ```",
    "a | b || c",
    "<img src=x onerror=alert(1)>",
    "[link](https://evil.example)",
    "![image](https://evil.example/x.png)",
    "</details><script>alert(1)</script>",
    "line\nbreak\r\n\n# another",
    "\x1b[2J\u202egnp.exe",
    "\\",
    "`",
    " leading and trailing ",
    "https://evil.example/auto",
    "*bold* _it_ ~~no~~ #1 !2",
    "-->",
]


def made(names: list[str], *, held: bool = False) -> Plan:
    videos = [VideoChange(path="videos/A/a.mp4", name=name, size_bytes=7) for name in names]
    config = [Alteration(key=f"config.{name}", old=name, new=[name]) for name in names]
    change = Change(
        kind="changed",
        sites=["brest"],
        differences=Differences(release=Moved(old="1.0.0", new="2.0.0"), videos_added=videos, config=config),
    )
    guard = Verdict(held=True, sentence="it touches 9 sites", trailer="Allow-Impact: sites=9") if held else Verdict()
    return Plan(
        base=names[0] if names else "main",
        head="HEAD",
        made_at=NOW,
        totals=Totals(sites=1, changed=1, download_bytes=7),
        impact=Impact(sites=1, removals=0, total=1),
        guard=guard,
        timing=Timing(first_at=NOW, last_at=NOW, at_once=1),
        changes=[change],
        sites={"brest": SitePlan(name="Brest", change=0)},
    )


def _tokens(text: str) -> list[str]:
    found = []
    for token in FORGE.parse(text):
        found += [token.type, *(child.type for child in token.children or ())]
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_makes_the_same_document_as_a_plain_one(name: str) -> None:
    plain, hostile = plan_markdown(made(["plain name"])), plan_markdown(made([name]))
    assert _tokens(hostile) == _tokens(plain)
    assert "\x1b" not in hostile and "\u202e" not in hostile


@given(st.text(max_size=400))
def test_any_text_is_one_code_span(text: str) -> None:
    for line in (f"- {code(text)}", f"| a |\n|--|\n| {code(text, in_table=True)} |"):
        types = _tokens(line)
        assert types.count("code_inline") == (1 if text else 0)
        assert not {"html_inline", "html_block", "link_open", "image", "heading_open"} & set(types)


def test_comment_of_a_huge_change_fits_and_says_what_is_missing() -> None:
    comment = plan_markdown(made([f"Video {number} {'é|`' * 60}" for number in range(2000)], held=True))
    assert len(comment) <= MAX_CHARACTERS
    assert "more changes like these" in comment and "neopro plan --all" in comment
    assert comment.count("<details>") == comment.count("</details>") == 1
    assert "Allow-Impact: sites=9" in comment


def test_comment_of_many_changes_ends_between_two_of_them() -> None:
    plan = made(["x"])
    altered = [Alteration(key=f"config.k{n}", new=n) for n in range(3000)]
    changes = [
        Change(kind="changed", sites=[f"site-{n}"], differences=Differences(config=[one]))
        for n, one in enumerate(altered)
    ]
    comment = plan_markdown(
        Plan(**{name: getattr(plan, name) for name in plan.__struct_fields__} | {"changes": changes})
    )
    assert MAX_CHARACTERS * 0.9 < len(comment) <= MAX_CHARACTERS
    assert comment.endswith("</details>\n")


def test_first_line_lets_a_check_find_the_comment_that_it_wrote() -> None:
    assert plan_markdown(made(["x"])).startswith("<!-- neopro plan -->\n")


def test_text_shows_a_limited_number_of_changes() -> None:
    lines = plan_lines(made([f"Video {number}" for number in range(500)]))
    assert len(lines) < 60 and any("more changes like these (--all)" in line for line in lines)
    assert len(plan_lines(made([f"Video {number}" for number in range(500)]), everything=True)) > 1000
