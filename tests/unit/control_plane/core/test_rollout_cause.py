"""Why a rollout halted, in the reader's language: on its page and in the alert that tells of it."""

from datetime import UTC, datetime
from typing import get_args, get_type_hints

import pytest

from control_plane.core.alert_words import sentence
from control_plane.core.alerts import Server, Troubled, alerts_of_fleet
from control_plane.core.language import Language
from control_plane.core.rollout_cause import why
from schemas.rollouts import Cause

KINDS = get_args(get_type_hints(Cause)["kind"])
LANGUAGES: tuple[Language, ...] = get_args(Language)
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


@pytest.mark.parametrize("sites", [1, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_every_cause_has_words_of_its_own_in_both_languages(kind: str, sites: int) -> None:
    cause = Cause(kind=kind, count=1, sites=sites, wave=2, allowed="95%")  # type: ignore[arg-type]
    said = {why(cause, language) for language in LANGUAGES}
    assert len(said) == 2
    assert not any("{" in one or (sites == 1 and "of 1" in one) for one in said)


def test_nothing_is_said_where_nothing_ended() -> None:
    assert why(None) == ""


def test_alert_tells_the_cause_in_the_language_of_who_reads_it() -> None:
    cause = Cause(kind="wave", count=2, sites=20, wave=3, allowed="95%")
    halted = Troubled(what="Release 2.0.0 (standard)", halted=True, wave=3, cause=cause)
    [firing] = alerts_of_fleet(Server(rollouts=[halted]), NOW)
    assert (
        sentence(firing) == "Release 2.0.0 (standard) halted in wave 3: 2 of 20 of wave 3 failed; success asks for 95%"
    )
    assert sentence(firing, "fr") == (
        "Release 2.0.0 (standard) s’est arrêté à la vague 3 : 2 en échec sur 20 dans la vague 3 ; success demande 95%"
    )
