"""Every page: where it is, whom it is for, and what makes it. A route that is not here does not exist."""

from typing import Final

from control_plane.web.pages import (
    acceptance,
    alerts,
    audit,
    changes,
    groups,
    logs,
    map,
    operations,
    overview,
    releases,
    reports,
    rollouts,
    site,
    sites,
    system,
    videos,
)
from control_plane.web.visit import Page

PAGES: Final = (
    Page("/", "readers", overview.show, nav="nav.overview"),
    Page("/sites", "readers", sites.show, nav="nav.sites"),
    Page("/map", "readers", map.show, nav="nav.map"),
    Page("/groups", "team", groups.show, nav="nav.groups"),
    Page("/library", "team", videos.show, nav="nav.library"),
    Page("/releases", "team", releases.show, nav="nav.releases"),
    Page("/rollouts", "team", rollouts.show, nav="nav.rollouts"),
    Page("/changes", "team", changes.show, nav="nav.changes"),
    Page("/operations", "team", operations.show, nav="nav.operations"),
    Page("/alerts", "readers", alerts.show, nav="nav.alerts"),
    Page("/reports", "team", reports.show, nav="nav.reports"),
    Page("/system", "team", system.show, nav="nav.system"),
    Page("/audit", "admins", audit.show, nav="nav.audit"),
    Page("/sites.csv", "readers", sites.csv),
    Page("/sites.json", "readers", sites.json),
    Page("/sites/{site:str}", "readers", site.show),
    Page("/sites/{site:str}/acceptance", "readers", acceptance.show),
    Page("/sites/{site:str}/logs/{operation:str}", "operators", logs.show),
    Page("/groups/{group:str}", "team", groups.show_one),
    Page("/library/{video:str}", "team", videos.show_one),
    Page("/library/{video:str}/thumbnail", "team", videos.thumbnail),
    Page("/operations/{operation:str}", "team", operations.show_one),
    Page("/releases/{version:str}", "team", releases.show_one),
    Page("/rollouts/{rollout:str}", "team", rollouts.show_one),
    Page("/changes/{commit:str}", "team", changes.show_one),
)
