"""docs/language.md: every example on it is read as the page says, and no key is left out."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
from markdown_it import MarkdownIt

from control_plane.core.calendars import read_calendar
from control_plane.core.layout import TreeEntry, place_entry
from control_plane.core.parse import parse_file
from schemas.explained import EXPLAINED

PAGE = Path(__file__).parents[2] / "docs" / "language.md"
TEXT = PAGE.read_text()
FIRST_LINE = re.compile(r"# (?P<path>\S+?)(: wrong, (?P<code>[A-Za-z]+))?")


class Example(NamedTuple):
    path: str
    code: str | None
    text: str


def blocks(language: str) -> Iterator[str]:
    return (token.content for token in MarkdownIt().parse(TEXT) if token.type == "fence" and token.info == language)


def examples() -> Iterator[Example]:
    for text in blocks("yaml"):
        first = FIRST_LINE.fullmatch(text.partition("\n")[0])
        assert first, f"begin this example with its path: {text[:60]!r}"
        yield Example(first["path"], first["code"], text)


EXAMPLES = list(examples())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.path)
def test_example_is_read_as_the_page_says(example: Example) -> None:
    place = place_entry(TreeEntry(example.path, "0" * 40, 0o100644))
    assert place.role == "document"
    found = parse_file(example.path, "0" * 40, {"0" * 40: example.text.encode()}, place, {})
    codes = {problem.code for problem in found.problems}
    assert codes == ({example.code} if example.code else set()), [str(problem) for problem in found.problems]


def test_calendar_on_the_page_is_read() -> None:
    (text,) = blocks("ics")
    found, problems = read_calendar("calendars/x.ics", text.replace("\n", "\r\n").encode())
    assert problems == ()
    assert found is not None
    assert len(found.fixed) > 10


def test_every_kind_has_an_example() -> None:
    folders = {example.path.partition("/")[0] for example in EXAMPLES if example.code is None}
    kinds = ("sites", "groups", "videos", "video-sets", "releases", "agents", "operations")
    assert folders == {"fleet.yaml", "revoked.yaml", *kinds}


@pytest.mark.parametrize("kind", EXPLAINED, ids=lambda kind: kind.__name__)
def test_every_key_is_on_the_page(kind: type[msgspec.Struct]) -> None:
    missing = [key for key in EXPLAINED[kind] if not re.search(rf"`{key}`|\b{key}:", TEXT)]
    assert missing == []
