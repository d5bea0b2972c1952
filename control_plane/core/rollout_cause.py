"""Why a rollout halted or ended, in English and French (pure)."""

from collections.abc import Mapping
from typing import Final

from control_plane.core.language import Language
from schemas.rollouts import Cause

_WORDS: Final[Mapping[str, Mapping[Language, str]]] = {
    "failures": {
        "en": "{count} of the {sites} sites that have it failed; max_failures allows {allowed}",
        "fr": "{count} en échec parmi les {sites} sites qui l’ont ; max_failures en admet {allowed}",
    },
    "failures.one": {
        "en": "the one site that has it failed; max_failures allows {allowed}",
        "fr": "le seul site qui l’a est en échec ; max_failures en admet {allowed}",
    },
    "wave": {
        "en": "{count} of {sites} of wave {wave} failed; success asks for {allowed}",
        "fr": "{count} en échec sur {sites} dans la vague {wave} ; success demande {allowed}",
    },
    "wave.one": {
        "en": "the one site of wave {wave} failed; success asks for {allowed}",
        "fr": "le seul site de la vague {wave} est en échec ; success demande {allowed}",
    },
    "silent": {
        "en": "{count} of {sites} sites have not said yet how it runs",
        "fr": "on ne sait pas encore comment elle tourne sur {count} des {sites} sites",
    },
    "silent.one": {
        "en": "its one site has not said yet how it runs",
        "fr": "son seul site n’a pas encore dit comment elle tourne",
    },
    "nobody": {"en": "no site resolves to it any more", "fr": "plus aucun site n’en dépend"},
}


def why(cause: Cause | None, language: Language = "en") -> str:
    """In one clause, to be read after what was said of the rollout; empty where there is nothing to say."""
    if cause is None:
        return ""
    said = _WORDS.get(f"{cause.kind}.one") if cause.sites == 1 else None
    return (said or _WORDS[cause.kind])[language].format(
        count=cause.count, sites=cause.sites, wave=cause.wave, allowed=cause.allowed
    )
