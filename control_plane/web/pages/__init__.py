"""Every page: where it is, whom it is for, and what makes it. A route that is not here does not exist."""

from typing import Final

from control_plane.web.pages import alerts, overview, site, sites
from control_plane.web.visit import Page

PAGES: Final = (
    Page("/", "readers", overview.show, nav="nav.overview"),
    Page("/sites", "readers", sites.show, nav="nav.sites"),
    Page("/alerts", "readers", alerts.show, nav="nav.alerts"),
    Page("/sites.csv", "readers", sites.csv),
    Page("/sites.json", "readers", sites.json),
    Page("/sites/{site:str}", "readers", site.show),
)
