"""Every text of the pages: key -> (English, French)."""

from typing import Final

from control_plane.web.texts import fleet, frame, lists, map, openid, overview, people, rollouts, site, standing

MONTHS: Final = {
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    "fr": ("janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."),
}

CATALOG: Final[dict[str, tuple[str, str]]] = {
    **frame.TEXTS,
    **standing.TEXTS,
    **overview.TEXTS,
    **fleet.TEXTS,
    **site.TEXTS,
    **lists.TEXTS,
    **rollouts.TEXTS,
    **map.TEXTS,
    **people.TEXTS,
    **openid.TEXTS,
}
