"""The catalog is whole in both languages, and ages, sizes and numbers read well."""

import re
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

from control_plane.core import standing
from control_plane.web import catalog, present, present_rollouts, present_site
from control_plane.web.catalog import CATALOG
from control_plane.web.words import Words, choose_language, spaced
from schemas.api import Standing
from schemas.status import ConditionType

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def keys_used() -> set[str]:
    """Every literal key that templates and presenters ask for."""
    templates = [f.read_text() for f in (files("control_plane.web") / "templates").iterdir()]
    sources = [Path(str(module.__file__)).read_text() for module in (present, present_rollouts, present_site)]
    calls = re.compile(r"""\b(?:t|words)(\.count)?\(\s*["']([a-zA-Z.]+)["'](\s*~)?""")
    found = set()
    for text in (*templates, *sources):
        for count, key, computed in calls.findall(text):
            if not computed:
                found |= {f"{key}.one", f"{key}.other"} if count else {key}
    return found


def test_every_key_that_is_asked_for_is_in_the_catalog() -> None:
    used = keys_used()
    assert len(used) > 80, "the search finds them"
    assert used - CATALOG.keys() == set()


def test_every_computed_key_is_in_the_catalog() -> None:
    reasons = set(re.findall(r'"([A-Z][A-Za-z]+)", f?"', Path(standing.__file__).read_text()))
    reasons = {r for r in reasons if r not in get_args(Standing) or r in {"Synced", "Retired", "Suspended"}}
    ended = {reason + heard for reason in ("Gone", "Retired", "Suspended") for heard in ("", "Untold")}
    wanted = {f"why.{reason}" for reason in (reasons | ended)}
    wanted |= {f"standing.{s}" for s in get_args(Standing)} | {f"change.left.{s}" for s in get_args(Standing)}
    wanted |= {f"condition.{c}" for c in get_args(ConditionType)}
    wanted |= {f"change.{s}" for s in ("underway", "waiting", "troubled", "done", "refused", "nothing")}
    assert wanted - CATALOG.keys() == set()


def test_both_languages_say_something_and_take_the_same_values() -> None:
    for key, texts in CATALOG.items():
        assert all(text.strip() for text in texts), key
        names = [{name for _, name, _, _ in Formatter().parse(text) if name} for text in texts]
        assert names[0] == names[1], key
    assert all(len(months) == 12 for months in catalog.MONTHS.values())


@pytest.mark.parametrize(
    ("age", "english", "french"),
    [
        (timedelta(seconds=-5), "just now", "à l’instant"),
        (timedelta(seconds=59), "just now", "à l’instant"),
        (timedelta(minutes=1), "1 min ago", "il y a 1 min"),
        (timedelta(hours=47, minutes=59), "47 h ago", "il y a 47 h"),
        (timedelta(days=2), "2 days ago", "il y a 2 jours"),
    ],
)
def test_age_is_told_in_its_greatest_unit(age: timedelta, english: str, french: str) -> None:
    assert (Words("en").ago(NOW - age, NOW), Words("fr").ago(NOW - age, NOW)) == (english, french)


def test_nothing_is_plural_in_english_and_singular_in_french() -> None:
    assert Words("en").count("problems", 0) == "0 problems"
    assert Words("fr").count("problems", 0) == "0 problème"
    assert Words("en").count("problems", 1) == "1 problem"
    assert Words("fr").count("problems", 2) == "2 problèmes"


@pytest.mark.parametrize(
    ("size", "english", "french"),
    [(0, "0\u202fB", "0\u202fo"), (999, "999\u202fB", "999\u202fo"), (12_400_000_000, "12.4\u202fGB", "12,4\u202fGo")],
)
def test_size_is_told_in_powers_of_ten(size: int, english: str, french: str) -> None:
    assert (Words("en").size(size), Words("fr").size(size)) == (english, french)


@pytest.mark.parametrize(
    ("asked", "accepted", "language"),
    [
        (None, "", "en"),
        (None, "fr", "fr"),
        (None, "de, fr;q=0.5, en;q=0.2", "fr"),
        (None, "fr-CA, en;q=0.9", "fr"),
        (None, "fr;q=0, en;q=0.1", "en"),
        (None, "en, fr", "en"),
        (None, "de", "en"),
        (None, ";;;,q=9,fr;q=abc", "en"),
        ("fr", "en", "fr"),
        ("klingon", "fr", "fr"),
    ],
)
def test_language_is_the_one_asked_for_or_the_best_accepted(asked: str | None, accepted: str, language: str) -> None:
    assert choose_language([asked], accepted) == language


def test_reason_that_nobody_knows_is_told_in_words() -> None:
    assert spaced("DiskAlmostFull") == "Disk almost full"
