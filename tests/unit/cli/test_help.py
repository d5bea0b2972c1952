"""The page of every verb: it fits the width, shows each argument once, and its examples are commands that exist."""

import pytest

from cli.__main__ import asks_for_help, overview
from cli.catalogue import SUBJECTS, VERBS
from cli.verb import Verb

NAMES = sorted(VERBS)


def verb(name: str) -> Verb:
    return Verb(name, VERBS[name][0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [60, 100])
def test_page_of_a_verb_fits_the_width_but_for_commands_to_copy(name: str, width: int) -> None:
    page = verb(name).help(width).splitlines()
    commands = {f"  {command}" for command in verb(name).examples()}
    assert [line for line in page if len(line) > width and not any(line.startswith(one) for one in commands)] == []


@pytest.mark.parametrize("name", NAMES)
def test_page_of_a_verb_explains_every_argument(name: str) -> None:
    page = verb(name).help(100)
    assert page.startswith(f"Usage: neopro {name}")
    for argument in verb(name).arguments():
        assert argument.help, f"{argument.name} of neopro {name} is not explained"
        assert page.count(f"\n  {argument.spelling}") == 1


def test_overview_has_a_line_for_every_verb_and_every_subject_has_verbs() -> None:
    lines = [line.split("  ")[1] for line in overview().splitlines() if line.startswith("  ") and "neopro" not in line]
    assert sorted(lines) == NAMES
    assert {name.split()[0] for name in NAMES if " " in name} == set(SUBJECTS)


@pytest.mark.parametrize(
    ("words", "asks"),
    [(["--help"], True), (["x", "-h"], True), (["--", "--help"], False), ([], False), (["--helpful"], False)],
)
def test_help_is_asked_for_before_a_double_dash(words: list[str], asks: bool) -> None:
    assert asks_for_help(words) is asks
