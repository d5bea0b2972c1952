"""What every page says: its frame, durations, errors. Key -> (English, French)."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    # The frame of every page
    "skip": ("Skip to the content", "Aller au contenu"),
    "home": ("Fleet", "Parc"),
    "menu": ("Pages", "Pages"),
    "nav.overview": ("Overview", "Vue d’ensemble"),
    "nav.sites": ("Sites", "Sites"),
    "nav.groups": ("Groups", "Groupes"),
    "nav.library": ("Library", "Bibliothèque"),
    "nav.releases": ("Releases", "Versions"),
    "nav.rollouts": ("Rollouts", "Déploiements"),
    "nav.changes": ("Changes", "Changements"),
    "nav.operations": ("Operations", "Opérations"),
    "nav.alerts": ("Alerts", "Alertes"),
    "nav.reports": ("Reports", "Rapports"),
    "nav.system": ("System", "Système"),
    "yes": ("yes", "oui"),
    "not.yet": ("not yet", "pas encore"),
    "language": ("Language", "Langue"),
    "live": ("Live", "En direct"),
    "live.lost": ("Connection lost, trying again", "Connexion perdue, nouvel essai"),
    "live.none": ("Reloads every 10 s", "Rechargé toutes les 10 s"),
    "footer": ("Read-only: the fleet is changed by commits.", "Lecture seule : le parc se modifie par des commits."),
    "title.fleet": ("Fleet status", "État du parc"),
    "colon": (": ", " : "),
    "percent": ("{n}%", "{n} %"),
    "breadcrumb": ("You are here", "Vous êtes ici"),
    # Durations
    "span.moment": ("less than a minute", "moins d’une minute"),
    "span.minutes": ("{n} min", "{n} min"),
    "span.hours": ("{n} h", "{n} h"),
    "span.days.one": ("{n} day", "{n} jour"),
    "span.days.other": ("{n} days", "{n} jours"),
    "ago": ("{span} ago", "il y a {span}"),
    "ago.now": ("just now", "à l’instant"),
    # Errors
    "problem.401": ("A login is needed", "Une connexion est nécessaire"),
    "problem.403": ("This is not for this account", "Ceci n’est pas pour ce compte"),
    "problem.404": ("There is no such page", "Cette page n’existe pas"),
    "problem.404.help": (
        "What it names was never published, is no longer there, or is written otherwise.",
        "Ce qu’elle nomme n’a jamais été publié, n’existe plus, ou s’écrit autrement.",
    ),
    "problem.421": ("This host name is not served here", "Ce nom d’hôte n’est pas servi ici"),
    "problem.421.help": (
        "Use localhost, or set public_url to the name that people use.",
        "Utilisez localhost, ou donnez à public_url le nom employé.",
    ),
    "problem.503": ("The server cannot look now", "Le serveur ne peut pas regarder maintenant"),
    "problem.503.help": (
        "The boxes go on playing and converging. This page tries again by itself.",
        "Les boîtiers continuent de jouer et de converger. Cette page réessaie toute seule.",
    ),
    "problem.other": ("The server cannot answer this", "Le serveur ne peut pas répondre"),
    "problem.back": ("Back to the fleet", "Retour au parc"),
}
