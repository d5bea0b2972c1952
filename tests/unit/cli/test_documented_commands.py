"""Every `neopro …` that a page or a help text shows is a command that there is, with options that it takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.__main__ import asks_for_help, overview
from cli.catalogue import SUBJECTS, VERBS
from cli.errors import CommandFailed
from cli.verb import Verb

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "README.md", ROOT / "fleet-state" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands_of(text: str) -> Iterator[list[str]]:
    """The words behind each `neopro` of a piece of shell, up to what the shell takes for itself."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
        lexer.commenters = "#"
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:
            continue
        for place, word in enumerate(words):
            if word == "neopro" and (place == 0 or words[place - 1][-1] in "|&;(" or words[place - 1] == "$"):
                end = next((i for i, w in enumerate(words[place:], place) if w[0] in "|&;<>()"), len(words))
                yield words[place + 1 : end]


def require(words: list[str]) -> None:
    """Fail unless the words are a command that would run."""
    if words[:1] in ([], ["--help"], ["--version"], ["help"]):
        return
    if words[0] in SUBJECTS and words[1:] in ([], ["--help"]):
        return
    name = next((n for n in (" ".join(words[:2]), words[0]) if n in VERBS), None)
    assert name, f"there is no verb for: neopro {' '.join(words)}"
    rest = words[len(name.split()) :]
    if not asks_for_help(rest):
        try:
            Verb(name, VERBS[name][0]).require(rest)
        except CommandFailed as problem:
            raise AssertionError(f"neopro {' '.join(words)}: {problem}") from None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_command_of_a_page_is_one_that_there_is(page: Path) -> None:
    for block in _BLOCK.findall(page.read_text("utf-8")):
        for words in commands_of(block):
            require(words)


@pytest.mark.parametrize("verb", VERBS)
def test_example_of_a_verb_is_a_command_of_that_verb(verb: str) -> None:
    found = Verb(verb, VERBS[verb][0])
    for example in found.examples():
        commands = list(commands_of(example))
        assert commands, f"the example of neopro {verb} runs no neopro: {example}"
        for words in commands:
            require(words)
        assert any(" ".join(words).startswith(verb) for words in commands)


def test_example_of_the_overview_is_a_command_that_there_is() -> None:
    lines = [line for line in overview().splitlines() if line.startswith("  neopro ")]
    assert lines
    for line in lines:
        for words in commands_of(re.split(r"\s{3,}", line.strip())[0]):
            require(words)


def test_what_is_no_command_is_found_out() -> None:
    for line in ("neopro statsu", "x && neopro validate --bogus", "neopro site add"):
        [words] = commands_of(line)
        with pytest.raises(AssertionError):
            require(words)
