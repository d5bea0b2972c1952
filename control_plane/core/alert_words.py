"""What an alert says, and what a person does about it, in English and French (pure).

The page, the notifications and `docs/alerts.md` say the same words.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from control_plane.core.alerts import Firing
from control_plane.core.language import Language
from control_plane.core.rollout_cause import why
from schemas.alerts import AlertKind
from schemas.rollouts import Cause

Text = Mapping[Language, str]


class AlertWords(NamedTuple):
    """`title` and `sentence` are completed by a firing's values; `remedy` is what to do; `when`: when it fires."""

    title: Text
    sentence: Text
    remedy: Text
    when: str


def _both(en: str, fr: str) -> Text:
    return {"en": en, "fr": fr}


ALERT_WORDS: Final[Mapping[AlertKind, AlertWords]] = {
    "offline": AlertWords(
        _both("Offline", "Hors ligne"),
        _both("{name} has sent no report for {span}.", "{name} n’a pas donné de nouvelles depuis {span}."),
        _both(
            "Call the club: is the box powered, is the network up? If it is often away, write connectivity: matchdays.",
            "Appelez le club : le boîtier est-il alimenté, le réseau fonctionne-t-il ? S’il est souvent absent, "
            "dites-le : connectivity: matchdays.",
        ),
        "No report for `offline` (1 h); not before 15 days with `connectivity: matchdays`, 90 days with `rare`.",
    ),
    "temperature": AlertWords(
        _both("Too hot", "Trop chaud"),
        _both("{name} is at {celsius} °C.", "{name} est à {celsius} °C."),
        _both(
            "Let it breathe: away from the TV's back, no cover; clean or add a fan.",
            "Laissez-le respirer : pas derrière le téléviseur, pas couvert ; nettoyez ou ajoutez un ventilateur.",
        ),
        "The processor reaches `temperature` (70 °C warning, 80 °C critical: it slows down).",
    ),
    "disk": AlertWords(
        _both("Disk nearly full", "Disque presque plein"),
        _both("The disk of {name} is {percent} % full.", "Le disque de {name} est plein à {percent} %."),
        _both(
            "Take video sets from the site, or ask the club to delete videos of its own.",
            "Retirez des jeux de vidéos du site, ou demandez au club d’en supprimer.",
        ),
        "The disk reaches `disk` (85 % warning, 95 % critical).",
    ),
    "release_behind": AlertWords(
        _both("Releases behind", "Versions en retard"),
        _both("{name} is {behind} releases behind.", "{name} a {behind} versions de retard."),
        _both("Set a newer `release` for its layer.", "Donnez une `release` plus récente à sa couche."),
        "So many releases in Git are newer than the one that runs (`release_behind`: 2).",
    ),
    "temperature_rising": AlertWords(
        _both("Warmer than usual", "Plus chaud que d’habitude"),
        _both(
            "{name} is {celsius} °C warmer than in the past two weeks.",
            "{name} est {celsius} °C plus chaud que ces deux dernières semaines.",
        ),
        _both(
            "Look before it slows down: dust, sun, a fan that stopped.",
            "À regarder avant qu’il ne ralentisse : poussière, soleil, ventilateur arrêté.",
        ),
        "The last hour is 8 °C warmer than the box's own past two weeks.",
    ),
    "disk_rising": AlertWords(
        _both("Disk fills up", "Le disque se remplit"),
        _both("The disk of {name} is full in {days} days.", "Le disque de {name} sera plein dans {days} jours."),
        _both("As for a full disk, in time.", "Comme pour un disque plein, à temps."),
        "At the pace of the last days the critical share is reached within 7 days.",
    ),
    "unusual": AlertWords(
        _both("Unusual load", "Charge inhabituelle"),
        _both("{name}: {what} at {now} %, usually {usual} %.", "{name} : {what} à {now} %, d’habitude {usual} %."),
        _both(
            "Fetch the logs (`neopro op logs`): a program may be running wild.",
            "Récupérez les journaux (`neopro op logs`) : un programme s’emballe peut-être.",
        ),
        "CPU or memory of the last hour lie four deviations above the box's own past two weeks.",
    ),
    "stuck": AlertWords(
        _both("Does not converge", "Ne converge pas"),
        _both("{name} has not got there for {hours} h: {why}", "{name} n’y arrive pas depuis {hours} h : {why}"),
        _both(
            "The site's page says what it waits for; a box without power at night wants `at_boot` or `max_deferral`.",
            "La page du site dit ce qu’il attend ; un boîtier sans courant la nuit veut `at_boot` ou `max_deferral`.",
        ),
        "A site is not as desired for 24 h, or has waited for a window for 21 days.",
    ),
    "release_failed": AlertWords(
        _both("Release failed", "Version en échec"),
        _both("{name}: {why}", "{name} : {why}"),
        _both(
            "The box went back by itself, or holds. Mend the release and publish another; `neopro op logs` says why.",
            "Le boîtier est revenu en arrière de lui-même, ou attend. Corrigez la version et publiez-en une autre ; "
            "`neopro op logs` dit pourquoi.",
        ),
        "A release did not pass its test, or the one that runs does not pass its checks.",
    ),
    "degraded": AlertWords(
        _both("In trouble", "En difficulté"),
        _both("{name}: {why}", "{name} : {why}"),
        _both("`neopro explain {reason}` says what it means.", "`neopro explain {reason}` dit ce que cela signifie."),
        "The box reports a failure that needs somebody, or one that should have passed within an hour.",
    ),
    "no_room": AlertWords(
        _both("Content does not fit", "Le contenu ne tient pas"),
        _both("{name}: {why}", "{name} : {why}"),
        _both(
            "Take something from the site, or give the box a larger card; nothing was begun.",
            "Retirez quelque chose du site, ou donnez une carte plus grande au boîtier ; rien n’a été entamé.",
        ),
        "What is wanted does not fit with a tenth of the disk left free.",
    ),
    "clock": AlertWords(
        _both("Clock wrong", "Horloge fausse"),
        _both("The clock of {name} is {seconds} s off.", "L’horloge de {name} a {seconds} s d’écart."),
        _both(
            "Give the club's network a way to a time server (NTP, UDP 123).",
            "Ouvrez au réseau du club un serveur de temps (NTP, UDP 123).",
        ),
        "A clock that calls itself synchronised differs from ours by 5 minutes.",
    ),
    "two_machines": AlertWords(
        _both("Two machines, one identity", "Deux machines, une identité"),
        _both("Two machines report as {name}.", "Deux machines se présentent comme {name}."),
        _both(
            "A card was copied. Switch one of them off, and give it an identity of its own: `neopro site replace`.",
            "Une carte a été copiée. Éteignez l’une des deux et donnez-lui sa propre identité : `neopro site replace`.",
        ),
        "Reports of two runs of an agent interleave under one identity.",
    ),
    "trust_refused": AlertWords(
        _both("The box refuses our word", "Le boîtier refuse notre parole"),
        _both("{name}: {why}", "{name} : {why}"),
        _both(
            "An alarm: a database that was taken back, a key that rotated without the root, or an attack; "
            "docs/security.md.",
            "Une alarme : base ramenée en arrière, clé tournée sans la racine, ou attaque ; docs/security.md.",
        ),
        "The box would not accept a signed document.",
    ),
    "reports_refused": AlertWords(
        _both("Reports refused", "Rapports refusés"),
        _both(
            "{name} speaks, but its reports are refused ({count} since the last that was taken): {why}",
            "{name} parle, mais ses rapports sont refusés ({count} depuis le dernier accepté) : {why}",
        ),
        _both(
            "The box goes on, but nobody sees how it stands. If its agent is newer than the server, update the server; "
            "otherwise `neopro op logs`, and set another `agent` for the site.",
            "Le boîtier continue, mais nul ne voit son état. Si son agent est plus récent que le serveur, mettez le "
            "serveur à jour ; sinon `neopro op logs`, et donnez au site un autre `agent`.",
        ),
        "A box proves who it is, but its reports are refused (400, 413 …) and none was taken since; in the place of "
        "`offline`.",
    ),
    "new_box": AlertWords(
        _both("New box waits", "Nouveau boîtier en attente"),
        _both(
            "A new box waits to be let in as {subject}: {hostname} {model}",
            "Un nouveau boîtier attend d’être accepté comme {subject} : {hostname} {model}",
        ),
        _both(
            "If the team put it there: `neopro enrol accept {subject} --commit`, then push; "
            "otherwise `neopro enrol revoke {subject}`.",
            "Si c’est l’équipe qui l’a installé : `neopro enrol accept {subject} --commit`, puis git push ; "
            "sinon `neopro enrol revoke {subject}`.",
        ),
        "A box has used its one-time token, and no commit names its identity yet.",
    ),
    "new_site": AlertWords(
        _both("New site", "Nouveau site"),
        _both("{name} is new.", "{name} est nouveau."),
        _both("Nothing.", "Rien."),
        "A site was published for the first time within the last day.",
    ),
    "new_release": AlertWords(
        _both("New release", "Nouvelle version"),
        _both("Release {version} is in Git.", "La version {version} est dans Git."),
        _both("Nothing.", "Rien."),
        "A release came into Git within the last day.",
    ),
    "commit_refused": AlertWords(
        _both("Commit refused", "Commit refusé"),
        _both("{commit} was refused: {subject}", "{commit} a été refusé : {subject}"),
        _both(
            "What was published goes on being served. `neopro validate` tells every Problem with its line.",
            "Ce qui était publié reste servi. `neopro validate` donne chaque problème avec sa ligne.",
        ),
        "The newest commit has errors, is not signed as it must be, or names blobs that are not there.",
    ),
    "commit_held": AlertWords(
        _both("Commit held", "Commit retenu"),
        _both("{commit} is held: {subject}", "{commit} est retenu : {subject}"),
        _both(
            "The overview says why, and what line lets it go if it is meant; otherwise revert it.",
            "La vue d’ensemble dit pourquoi, et quelle ligne le laisse passer si c’est voulu ; sinon annulez-le.",
        ),
        "The newest commit exceeds the guards of fleet.yaml, or takes away what sites still have during a rollout.",
    ),
    "rollout_halted": AlertWords(
        _both("Rollout halted", "Déploiement arrêté"),
        _both("{subject} halted in wave {wave}: {why}", "{subject} s’est arrêté à la vague {wave} : {why}"),
        _both(
            "The page of rollouts says why. Publish a better version, or revert; or go on: `neopro rollout resume`.",
            "La page des déploiements dit pourquoi. Publiez une meilleure version, ou annulez ; ou reprenez : "
            "`neopro rollout resume`.",
        ),
        "A rollout went beyond what its policy lets fail. Nobody else gets the version until somebody decides.",
    ),
    "rollout_overdue": AlertWords(
        _both("Rollout overdue", "Déploiement en retard"),
        _both(
            "{subject} waits in wave {wave} for boxes that have not said how it runs.",
            "{subject} attend à la vague {wave} des boîtiers qui n’ont pas dit comment elle tourne.",
        ),
        _both(
            "Nothing failed, and it goes on by itself when enough boxes have spoken. See who is silent, or waits for a "
            "window.",
            "Rien n’a échoué, et la suite vient d’elle-même dès qu’assez de boîtiers ont parlé. Voyez lesquels se "
            "taisent ou attendent une fenêtre.",
        ),
        "A wave of a rollout has been waiting for longer than the `deadline` of its policy.",
    ),
    "remote": AlertWords(
        _both("Git remote unreachable", "Dépôt Git inaccessible"),
        _both("{why}", "{why}"),
        _both(
            "Boxes go on with what is published. Check the forge, the network and the server's credentials.",
            "Les boîtiers continuent avec ce qui est publié. Vérifiez la forge, le réseau et les accès du serveur.",
        ),
        "The remote could not be used for 10 minutes.",
    ),
    "expiry": AlertWords(
        _both("About to expire", "Expire bientôt"),
        _both("The {subject} ends in {hours} h.", "Expiration dans {hours} h : {subject}."),
        _both(
            "Renew it: `neopro keys renew` for trust documents; heads renew themselves while the server runs.",
            "Renouvelez : `neopro keys renew` pour les documents de confiance ; les en-têtes se renouvellent seuls "
            "tant que le serveur tourne.",
        ),
        "30 days before the trust root or the release list, 21 days before the server's certificate, or when a third "
        "of a head's validity is left; critical in the last third of that.",
    ),
}
"""Every kind; a test holds it to the type."""


def sentence(firing: Firing, language: Language = "en") -> str:
    """What is so, in one sentence."""
    return ALERT_WORDS[firing.kind].sentence[language].format_map(_values(firing, language))


def remedy(firing: Firing, language: Language = "en") -> str:
    """What to do about it."""
    return ALERT_WORDS[firing.kind].remedy[language].format_map(_values(firing, language))


def title(kind: AlertKind, language: Language = "en") -> str:
    """The kind in a few words."""
    return ALERT_WORDS[kind].title[language]


class _Values(dict[str, object]):
    """An alert of an older server may lack a value: its sentence is told with a gap and not lost."""

    def __missing__(self, key: str) -> str:
        return "…"


def _values(firing: Firing, language: Language) -> _Values:
    values = _Values({"subject": firing.subject, "name": firing.subject, **firing.values})
    if isinstance(silent_s := firing.values.get("silent_s"), int):
        values["span"] = _span(silent_s, language)
    if firing.kind == "rollout_halted" and "kind" in firing.values:
        values["why"] = why(msgspec.convert(firing.values, Cause), language)
    return values


def _span(seconds: int, language: Language) -> str:
    if seconds < 2 * 3600:
        return f"{seconds // 60} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600} h"
    days = seconds // 86_400
    return f"{days} days" if language == "en" else f"{days} jours"
