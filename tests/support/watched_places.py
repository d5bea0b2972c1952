"""The sites of `watched_fleet`: forty clubs in real towns, and what is the matter with some of them."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from schemas.names import SiteId

TOWNS: Final = (
    ("Brest", "Bretagne", 48.3904, -4.4861),
    ("Rennes", "Bretagne", 48.1173, -1.6778),
    ("Vannes", "Bretagne", 47.6582, -2.7608),
    ("Quimper", "Bretagne", 47.996, -4.0977),
    ("Lorient", "Bretagne", 47.7486, -3.3664),
    ("Saint-Brieuc", "Bretagne", 48.514, -2.7653),
    ("Nantes", "Pays de la Loire", 47.2184, -1.5536),
    ("Angers", "Pays de la Loire", 47.4784, -0.5632),
    ("Le Mans", "Pays de la Loire", 48.0061, 0.1996),
    ("Rouen", "Normandie", 49.4432, 1.0993),
    ("Caen", "Normandie", 49.1829, -0.3707),
    ("Lille", "Hauts-de-France", 50.6292, 3.0573),
    ("Amiens", "Hauts-de-France", 49.8941, 2.2958),
    ("Paris", "Île-de-France", 48.8566, 2.3522),
    ("Créteil", "Île-de-France", 48.7904, 2.4556),
    ("Reims", "Grand Est", 49.2583, 4.0317),
    ("Metz", "Grand Est", 49.1193, 6.1757),
    ("Strasbourg", "Grand Est", 48.5734, 7.7521),
    ("Dijon", "Bourgogne-Franche-Comté", 47.322, 5.0415),
    ("Besançon", "Bourgogne-Franche-Comté", 47.2378, 6.0241),
    ("Tours", "Centre-Val de Loire", 47.3941, 0.6848),
    ("Orléans", "Centre-Val de Loire", 47.903, 1.9093),
    ("Limoges", "Nouvelle-Aquitaine", 45.8336, 1.2611),
    ("Bordeaux", "Nouvelle-Aquitaine", 44.8378, -0.5792),
    ("Pau", "Nouvelle-Aquitaine", 43.2951, -0.3708),
    ("La Rochelle", "Nouvelle-Aquitaine", 46.1603, -1.1511),
    ("Toulouse", "Occitanie", 43.6047, 1.4442),
    ("Montpellier", "Occitanie", 43.6108, 3.8767),
    ("Nîmes", "Occitanie", 43.8367, 4.3601),
    ("Perpignan", "Occitanie", 42.6887, 2.8948),
    ("Marseille", "Provence-Alpes-Côte d'Azur", 43.2965, 5.3698),
    ("Nice", "Provence-Alpes-Côte d'Azur", 43.7102, 7.262),
    ("Toulon", "Provence-Alpes-Côte d'Azur", 43.1242, 5.928),
    ("Lyon", "Auvergne-Rhône-Alpes", 45.764, 4.8357),
    ("Grenoble", "Auvergne-Rhône-Alpes", 45.1885, 5.7245),
    ("Clermont-Ferrand", "Auvergne-Rhône-Alpes", 45.7772, 3.087),
    ("Saint-Étienne", "Auvergne-Rhône-Alpes", 45.4397, 4.3872),
    ("Ajaccio", "Corse", 41.9192, 8.7386),
)
SPORTS: Final = ("handball", "football", "rugby", "basketball", "volleyball", "futsal")
_CLUBS: Final = ("Handball", "FC", "Rugby", "Basket", "Volley", "Futsal")
LONG_NAME: Final = (
    "Entente Sportive et Culturelle Intercommunale de Besançon-Planoise, section Handball féminin, équipe réserve "
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
)
KEYS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Paris": {"state": "suspended"},
    "Pau": {"state": "retired"},
    "Ajaccio": {"connectivity": "rare"},
    "Besançon": {"name": LONG_NAME, "club": LONG_NAME},
    "Rennes": {"labels": {"channel": "beta"}, "tenant": "ligue-bretagne"},
    "Vannes": {"tenant": "ligue-bretagne", "alerts": {"temperature": {"warning": 70}}},
}
"""Town -> what its site's file says beside the usual."""
PLANNED: Final = ("Metz", "Limoges")
"""Towns whose sites have no box yet."""


class Place(NamedTuple):
    """A site to be."""

    site: SiteId
    town: str
    has_box: bool
    document: Mapping[str, Any]


def places() -> list[Place]:
    """All of them."""
    return [_place(number, *town) for number, town in enumerate(TOWNS)]


def _place(number: int, town: str, region: str, lat: float, lon: float) -> Place:
    sport = SPORTS[number % len(SPORTS)]
    name = f"{town} {_CLUBS[number % len(SPORTS)]}"
    document = {
        "name": name,
        "club": name,
        "location": {"city": town, "region": region, "country": "France", "lat": lat, "lon": lon},
        "sports": [sport],
        "hardware": "rpi4-4gb",
        **KEYS.get(town, {}),
    }
    return Place(f"{_plain(town)}-{sport}", town, town not in PLANNED, document)


def _plain(town: str) -> str:
    text = unicodedata.normalize("NFKD", town).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", text)
