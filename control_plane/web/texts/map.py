"""What the map says. Key -> (English, French)."""

from typing import Final

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "nav.map": ("Map", "Carte"),
    "map.skip": ("Skip past the map", "Passer la carte"),
    "map.label.one": ("Map of {n} site", "Carte de {n} site"),
    "map.label.other": ("Map of {n} sites", "Carte de {n} sites"),
    "map.window": ("What the map shows", "Ce que montre la carte"),
    "map.in": ("Closer", "Plus près"),
    "map.out": ("Farther", "Plus loin"),
    "map.all": ("The whole map", "Toute la carte"),
    "map.north": ("To the north", "Vers le nord"),
    "map.south": ("To the south", "Vers le sud"),
    "map.west": ("To the west", "Vers l’ouest"),
    "map.east": ("To the east", "Vers l’est"),
    "map.sites.one": ("{n} site", "{n} site"),
    "map.sites.other": ("{n} sites", "{n} sites"),
    "map.sites.city.one": ("{n} site around {where}", "{n} site autour de {where}"),
    "map.sites.city.other": ("{n} sites around {where}", "{n} sites autour de {where}"),
    "map.sites.region.one": ("{where}: {n} site", "{where} : {n} site"),
    "map.sites.region.other": ("{where}: {n} sites", "{where} : {n} sites"),
    "map.sites.regions.one": ("{where} and around: {n} site", "{where} et alentours : {n} site"),
    "map.sites.regions.other": ("{where} and around: {n} sites", "{where} et alentours : {n} sites"),
    "map.list": ("The same as a list", "La même chose en liste"),
    "map.regions": ("By region", "Par région"),
    "map.no.region": ("No region", "Sans région"),
    "map.more.one": ("and {n} more", "et {n} autre"),
    "map.more.other": ("and {n} more", "et {n} autres"),
    "map.far": ("Outside of this view", "Hors de cette vue"),
    "map.without.one": ("{n} site without a place", "{n} site sans emplacement"),
    "map.without.other": ("{n} sites without a place", "{n} sites sans emplacement"),
    "map.without.help": (
        "Their files give no latitude and longitude: location: {lat: …, lon: …}",
        "Leurs fichiers ne donnent ni latitude ni longitude : location: {lat: …, lon: …}",
    ),
    "map.nothing": ("No site lies in this view.", "Aucun site dans cette vue."),
    "map.none": ("No site has a place yet.", "Aucun site n’a encore d’emplacement."),
    "map.table": ("As a table", "En tableau"),
    "map.open": ("Open the map", "Ouvrir la carte"),
    "map.credit": (
        "Outlines: MapSVG (mapsvg.com) and svg-maps (Victor Cazanave), rounded here; licence CC BY 4.0"
        " (creativecommons.org/licenses/by/4.0)",
        "Contours : MapSVG (mapsvg.com) et svg-maps (Victor Cazanave), arrondis ici ; licence CC BY 4.0"
        " (creativecommons.org/licenses/by/4.0)",
    ),
    # The System page
    "system.outlines": ("Outlines of the map", "Contours de la carte"),
    "system.outlines.there": ("departments of France", "départements de France"),
    "system.outlines.none": ("none: the map shows the sites alone", "aucun : la carte montre les sites seuls"),
    "system.outlines.missing": ("{path} is not there", "{path} n’existe pas"),
    "system.outlines.unreadable": ("{path} cannot be read", "{path} est illisible"),
    "system.outlines.other": ("{path} is of another version", "{path} est d’une autre version"),
}
