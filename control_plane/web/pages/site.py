"""One site: what is desired, what its box says, what happened."""

from control_plane.errors import NotFound
from control_plane.store import clubs, views
from control_plane.store.pool import connection
from control_plane.web.present import belongs_to
from control_plane.web.present_site import site_page
from control_plane.web.visit import Room, Shown, Visit


async def show(room: Room, visit: Visit) -> Shown:
    """The page of the site in the path; for a tenant, another's site is one that was never published."""
    name, now = visit.path["site"], room.clock()
    async with connection(room.pool) as conn:
        found = await views.detail(conn, name, now)
        club = await clubs.club_of(conn, name) if found else None
    if found is None or not belongs_to(found[0], visit.reader.tenant):
        raise NotFound(f"cannot find the site {name[:80]}: it was never published")
    return Shown("site.html", site_page(*found, club, now, visit.words))
