"""What is said of rollouts, on their own pages and beside a site's release. Key -> (English, French)."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "rollouts.intro": (
        "A release or an agent whose layer names a policy goes to its sites in waves; each has to do well for a while "
        "before the next.",
        "Une version dont la couche nomme une politique atteint ses sites par vagues ; chacune doit bien tourner un "
        "moment avant la suivante.",
    ),
    "rollouts.open": ("Under way or halted", "En cours ou arrêtés"),
    "rollouts.none": ("No rollout is under way.", "Aucun déploiement en cours."),
    "rollouts.ended": ("Ended last", "Terminés récemment"),
    "rollouts.ended.none": ("None has ended yet.", "Aucun n’est encore terminé."),
    "rollouts.all": ("All rollouts", "Tous les déploiements"),
    "rollout": ("Rollout", "Déploiement"),
    "rollout.of": ("{title} · rollout {number}", "{title} · déploiement {number}"),
    "rollout.release": ("Release {version}", "Version {version}"),
    "rollout.agent": ("Agent {version}", "Agent {version}"),
    # Where it stands
    "rollout.rolling": ("Rolling", "En cours"),
    "rollout.overdue": ("Overdue", "En retard"),
    "rollout.halted": ("Halted", "Arrêté"),
    "rollout.rolled_back": ("Rolled back", "Annulé"),
    "rollout.done": ("Done", "Terminé"),
    "rollout.superseded": ("Superseded", "Remplacé"),
    "rollout.began": ("began {ago}", "commencé {ago}"),
    "rollout.ended": ("ended {ago}", "terminé {ago}"),
    "rollout.wave": ("Wave {wave}", "Vague {wave}"),
    "rollout.wave.of": ("Wave {wave} of {waves}", "Vague {wave} sur {waves}"),
    "rollout.has.one": ("{n} of {sites} sites has it", "{n} site sur {sites} l’a"),
    "rollout.has.other": ("{n} of {sites} sites have it", "{n} sites sur {sites} l’ont"),
    "rollout.well.one": ("{n} runs it well", "{n} tourne bien"),
    "rollout.well.other": ("{n} run it well", "{n} tournent bien"),
    "rollout.failed.one": ("{n} failed", "{n} en échec"),
    "rollout.failed.other": ("{n} failed", "{n} en échec"),
    "rollout.pending.one": ("{n} no word yet", "{n} sans nouvelle"),
    "rollout.pending.other": ("{n} no word yet", "{n} sans nouvelle"),
    "rollout.waiting.one": ("{n} waits", "{n} attend"),
    "rollout.waiting.other": ("{n} wait", "{n} attendent"),
    "rollout.bar": ("Its sites, wave by wave", "Ses sites, vague par vague"),
    "rollout.policy": ("Policy", "Politique"),
    # What it waits for
    "rollout.next": (
        "The next wave goes at {instant}, if all stays well.",
        "La vague suivante part à : {instant}, si tout va bien jusque-là.",
    ),
    "rollout.last": (
        "All have it; it is done at {instant}, if all stays well.",
        "Tous l’ont ; terminé à : {instant}, si tout va bien jusque-là.",
    ),
    "rollout.due": (
        "All has been well for long enough: the next step comes at once.",
        "Tout va bien depuis assez longtemps : la suite vient aussitôt.",
    ),
    "rollout.needs": (
        "The next step comes when {quorum} of this wave run it well, and {success} of those that have spoken, "
        "for {soak}.",
        "La suite vient quand {quorum} de cette vague tournent bien, et {success} de ceux qui ont répondu, pendant "
        "{soak}.",
    ),
    "rollout.overdue.said": (
        "For {span} too few sites of this wave have said how they do ({deadline} are allowed). Nothing failed: "
        "it goes on by itself as soon as enough have spoken. Look at those without a word yet.",
        "Depuis {span}, trop peu de sites de cette vague ont donné des nouvelles ({deadline} sont admis). Rien n’a "
        "échoué : la suite vient d’elle-même dès que assez ont parlé. Regardez ceux qui sont sans nouvelle.",
    ),
    "rollout.halted.said": (
        "Nobody else gets it; who has it keeps it.",
        "Plus personne ne la reçoit ; qui l’a la garde.",
    ),
    "rollout.rolled_back.said": (
        "All go back to what they had; nobody gets it.",
        "Tous reviennent à ce qu’ils avaient ; plus personne ne la reçoit.",
    ),
    # What a person can do
    "rollout.do": ("What to do", "Que faire"),
    "rollout.halted.resume": (
        "Go on from this wave, what failed until now excused: push a commit whose message has the line",
        "Continuer depuis cette vague, les échecs passés excusés : poussez un commit dont le message contient la ligne",
    ),
    "rollout.rolled_back.resume": (
        "Begin anew with the first wave: push a commit whose message has the line",
        "Recommencer à la première vague : poussez un commit dont le message contient la ligne",
    ),
    "rollout.fix": (
        "Fix forward: commit another version; it is a rollout of its own.",
        "Corriger : un commit avec une autre version ; elle a son propre déploiement.",
    ),
    "rollout.revert": (
        "Revert the commit: sites go home at once to what they had, not in waves.",
        "Annuler le commit : les sites reviennent aussitôt à ce qu’ils avaient, sans vagues.",
    ),
    # One rollout
    "rollout.facts": ("About the rollout", "Le déploiement"),
    "rollout.what": ("What", "Quoi"),
    "rollout.commit": ("Begun by", "Commencé par"),
    "rollout.started": ("Began", "Début"),
    "rollout.over": ("Ended", "Fin"),
    "rollout.lasted": ("Lasted", "Durée"),
    "rollout.how": ("How it ended", "Issue"),
    "rollout.gone": ("no longer in fleet.yaml", "plus dans fleet.yaml"),
    "rollout.rules": (
        "waves {waves}; {soak} each; {success} well, of at least {quorum}; overdue after {deadline}",
        "vagues {waves} ; {soak} chacune ; {success} de réussite, sur {quorum} au moins ; en retard après {deadline}",
    ),
    "rollout.on.hold": (
        "more than {n} failures halt it",
        "plus de {n} échecs l’arrêtent",
    ),
    "rollout.on.rollback": (
        "more than {n} failures roll it back",
        "plus de {n} échecs l’annulent",
    ),
    "rollout.waves": ("Waves", "Vagues"),
    "rollout.waves.none": ("Its waves are not known any more.", "Ses vagues ne sont plus connues."),
    "rollout.column.wave": ("Wave", "Vague"),
    "rollout.column.share": ("Share in all", "Part au total"),
    "rollout.column.sites": ("Sites", "Sites"),
    "rollout.column.well": ("Well", "Bien"),
    "rollout.column.failed": ("Failed", "En échec"),
    "rollout.column.pending": ("No word yet", "Sans nouvelle"),
    "rollout.column.since": ("Since", "Depuis"),
    "rollout.column.place": ("Place", "Rang"),
    "rollout.column.outcome": ("How it does", "État"),
    "rollout.column.before": ("Had before", "Avait avant"),
    "rollout.to_come": ("to come", "à venir"),
    "rollout.never": ("never went", "jamais partie"),
    "rollout.passed": ("adds no site", "n’ajoute aucun site"),
    "rollout.sites": ("Its sites, failures first", "Ses sites, les échecs d’abord"),
    "rollout.sites.none": ("No site is part of it any more.", "Plus aucun site n’en fait partie."),
    "rollout.site.well": ("runs it well", "tourne bien"),
    "rollout.site.failed": ("failed", "en échec"),
    "rollout.site.pending": ("no word yet", "sans nouvelle"),
    "rollout.site.waiting": ("waits", "attend"),
    "rollout.no_way_back": ("what no box may run any more", "ce qu’aucun boîtier ne peut plus exécuter"),
    "rollout.site.stays": ("keeps it: there is no way back", "la garde : pas de retour possible"),
    "rollout.site.never": ("did not get it", "ne l’a pas reçue"),
    "rollout.site.back": ("keeps what it had", "garde ce qu’il avait"),
    "rollout.site.failed_back": ("failed, goes back", "en échec, revient en arrière"),
    "rollout.excused": ("does not count any more", "ne compte plus"),
    # On the overview
    "overview.rollouts": ("Rollouts", "Déploiements"),
    "overview.rollouts.more.one": ("and {n} more rollout", "et {n} autre déploiement"),
    "overview.rollouts.more.other": ("and {n} more rollouts", "et {n} autres déploiements"),
    # Beside the release of a site
    "beside.has": (
        "{version} since {since}, with wave {wave} of {waves} of rollout {number}",
        "{version} depuis le {since}, avec la vague {wave} sur {waves} du déploiement {number}",
    ),
    "beside.comes": (
        "{version} comes with wave {wave} of {waves} of rollout {number}",
        "{version} viendra avec la vague {wave} sur {waves} du déploiement {number}",
    ),
    "beside.halted": (
        "{version} was to come with wave {wave} of {waves} of rollout {number}, which has halted",
        "{version} devait venir avec la vague {wave} sur {waves} du déploiement {number}, qui est arrêté",
    ),
    "beside.back": (
        "rollout {number} of {version} was rolled back: what was there before stays",
        "le déploiement {number} de {version} a été annulé : ce qui était là reste",
    ),
    "beside.stays": (
        "rollout {number} of {version} was rolled back; here there is no way back",
        "le déploiement {number} de {version} a été annulé ; ici, pas de retour possible",
    ),
    "beside.stays.own": ("{version} stays", "{version} reste"),
    "beside.has.own": (
        "{version} comes in waves; it is the turn of this site",
        "{version} vient par vagues ; c’est au tour de ce site",
    ),
    "beside.comes.own": (
        "{version} comes in waves; the turn of this site will come",
        "{version} vient par vagues ; le tour de ce site viendra",
    ),
    "beside.halted.own": ("{version} is held back for now", "{version} est retenue pour le moment"),
    "beside.back.own": ("{version} was taken back", "{version} a été retirée"),
}
