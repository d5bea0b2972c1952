"""What is said where a provider was to log somebody in: why it did not. Key -> (English, French)."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "openid.title": ("You were not logged in", "Vous n’êtes pas connecté"),
    "openid.again": ("Try again with {name}", "Réessayer avec {name}"),
    "openid.others": ("Other ways to log in", "Autres moyens de se connecter"),
    "openid.farewell": ("Log out of {name} too", "Se déconnecter aussi de {name}"),
    "openid.left": (
        "You are logged out here. Your browser may still be logged in at {name}.",
        "Vous êtes déconnecté ici. Votre navigateur est peut-être encore connecté auprès de {name}.",
    ),
    "openid.unreachable": (
        "{name} did not answer. Try again in some minutes; accounts with a password go on working.",
        "{name} ne répond pas. Réessayez dans quelques minutes ; les comptes avec mot de passe fonctionnent toujours.",
    ),
    "openid.unusable": (
        "{name} answered in a way that cannot be used. Tell whoever runs this server: its audit says more.",
        "La réponse de {name} est inutilisable. Prévenez qui gère ce serveur : son journal en dit plus.",
    ),
    "openid.stale": (
        "This login was begun too long ago or in another browser, or it is over already. Begin again.",
        "Cette connexion a été commencée il y a trop longtemps, dans un autre navigateur, ou elle est déjà terminée. "
        "Recommencez.",
    ),
    "openid.denied": (
        "The login was refused or broken off at {name}.",
        "La connexion a été refusée ou abandonnée auprès de {name}.",
    ),
    "openid.failed": (
        "{name} could not finish the login. Try again; if it stays so, tell whoever runs this server.",
        "{name} n’a pas pu terminer la connexion. Réessayez ; si cela persiste, prévenez qui gère ce serveur.",
    ),
    "openid.code": (
        "{name} did not confirm the login: it was used already, or it took too long. Begin again.",
        "{name} n’a pas confirmé la connexion : elle a déjà servi, ou elle a pris trop de temps. Recommencez.",
    ),
    "openid.token": (
        "What {name} says of you could not be verified, so none of it is believed. Begin again; if it stays so, "
        "tell whoever runs this server.",
        "Ce que {name} dit de vous n’a pas pu être vérifié : rien n’en est retenu. Recommencez ; si cela persiste, "
        "prévenez qui gère ce serveur.",
    ),
    "openid.name": (
        "{name} gave no name that an account can have here. Ask whoever runs this server.",
        "{name} n’a donné aucun nom qu’un compte puisse porter ici. Demandez à qui gère ce serveur.",
    ),
    "openid.email": (
        "{name} has not verified your address. Have it verified there, then try again.",
        "{name} n’a pas vérifié votre adresse. Faites-la vérifier là-bas, puis réessayez.",
    ),
    "openid.grant": (
        "{name} knows you, but you are in no group that may come in here. Ask whoever runs this server.",
        "{name} vous connaît, mais vous n’êtes dans aucun groupe admis ici. Demandez à qui gère ce serveur.",
    ),
    "openid.taken": (
        "There is an account here with your name that {name} does not know. Log in to it with its password, or ask "
        "whoever runs this server.",
        "Il existe ici un compte à votre nom que {name} ne connaît pas. Connectez-vous avec son mot de passe, ou "
        "demandez à qui gère ce serveur.",
    ),
    "openid.disabled": (
        "Your account was disabled here. Ask whoever runs this server.",
        "Votre compte a été désactivé ici. Demandez à qui gère ce serveur.",
    ),
    "openid.limited": (
        "Too many logins were begun from your network. Wait a quarter of an hour and try again.",
        "Trop de connexions ont été commencées depuis votre réseau. Attendez un quart d’heure, puis réessayez.",
    ),
}
