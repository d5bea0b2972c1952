"""Sites as a table: the ones that need attention first."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from cli.output import Output

if TYPE_CHECKING:
    from schemas.api import SiteSummary

ATTENTION: Final = ("Degraded", "Offline", "Progressing", "Unknown", "Synced", "Suspended", "Retired")
STYLES: Final[Mapping[str, str]] = {"Synced": "32", "Progressing": "36", "Degraded": "31", "Offline": "31"}


def show_sites(output: Output, sites: Sequence["SiteSummary"], now: datetime) -> None:
    """One row a site."""
    ranked = sorted(sites, key=lambda site: (ATTENTION.index(site.standing), site.site))
    rows = [_row(site, now) for site in ranked]
    output.table(("SITE", "STATE", "RELEASE", "COMMIT", "REPORT", "WHY"), rows, STYLES)


def _row(site: "SiteSummary", now: datetime) -> Sequence[str]:
    release = site.release.version if site.release else "-"
    if site.desired_release and site.desired_release != release:
        release = f"{release} → {site.desired_release}"
    age = age_of((now - site.last_report_at).total_seconds()) if site.last_report_at else "never"
    why = site.message if site.standing != "Synced" else ""
    return (site.site, site.standing, release, site.commit[:7], age, why)


def age_of(seconds: float) -> str:
    """How long, in the one unit that tells most."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
