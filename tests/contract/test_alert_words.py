"""Every kind of alert has words in both languages, and says what to do with the values that it fires with."""

import re
from typing import get_args

import pytest

from control_plane.core.alert_words import ALERT_WORDS, remedy, sentence, title
from control_plane.core.alerts import Firing
from control_plane.core.language import Language
from schemas.alerts import AlertKind

KINDS: tuple[AlertKind, ...] = get_args(AlertKind)
LANGUAGES: tuple[Language, ...] = get_args(Language)


def test_every_kind_has_words_and_no_other() -> None:
    assert [*ALERT_WORDS] == [*KINDS]


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_both_languages_name_the_same_values(kind: AlertKind) -> None:
    words = ALERT_WORDS[kind]
    for text in (words.sentence, words.remedy):
        named = [sorted(re.findall(r"{([a-z]+)}", text[language])) for language in LANGUAGES]
        assert named[0] == named[1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_alert_that_lacks_a_value_is_told_all_the_same(kind: AlertKind, language: Language) -> None:
    bare = Firing(kind=kind, subject="brest", severity="warning")
    assert all(said and "{" not in said for said in (sentence(bare, language), remedy(bare, language)))
    assert title(kind, language)


def test_silence_is_told_in_its_greatest_unit() -> None:
    spans = {90: "1 min", 3 * 3600: "3 h", 5 * 86_400: "5 days"}
    for silent_s, words in spans.items():
        firing = Firing(kind="offline", subject="brest", severity="critical", values={"silent_s": silent_s})
        assert sentence(firing) == f"brest has sent no report for {words}."
