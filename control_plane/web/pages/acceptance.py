"""The acceptance sheet of a site: to be printed, filled in and signed when a box is handed over."""

from control_plane.errors import NotFound
from control_plane.store import operation_logs, views, wanted
from control_plane.store.pool import Connection, connection
from control_plane.store.views import SiteView
from control_plane.store.wanted import Wants
from control_plane.web.acceptance import Known, SelfTest, checks_in, sheet_of
from control_plane.web.pages.logs import text_of
from control_plane.web.present import belongs_to
from control_plane.web.present_content import content_of
from control_plane.web.visit import Room, Shown, Visit

_SELF_TEST = " (self_test)"


async def show(room: Room, visit: Visit) -> Shown:
    """The sheet; for a tenant, another's site is one that was never published."""
    name, now, words = visit.path["site"], room.clock(), visit.words
    async with connection(room.pool) as conn:
        found = await views.detail(conn, name, now)
        if found is None or not belongs_to(found[0], visit.reader.tenant):
            raise NotFound(f"cannot find the site {name[:80]}: it was never published")
        view = found[0]
        wants = await wanted.wants_of(conn, view)
        test = await _newest_test(conn, view, wants)
        identity = await wanted.identity_of(conn, view.site)
    content = content_of(view, wants, now, words, team=False) if wants else None
    return Shown("acceptance.html", sheet_of(view, Known(test, content, identity), now, words))


async def _newest_test(conn: Connection, view: SiteView, wants: Wants | None) -> SelfTest | None:
    """The text that came last of those for a self-test, by the manifest or by what the box said of the operation."""
    tests = {one.id for one in wants.manifest.operations if one.action == "self_test"} if wants else set()
    results = await operation_logs.results_of_site(conn, view.site)
    tests |= {one.operation for one in results if _SELF_TEST in one.message.partition(":")[0]}
    logs = await operation_logs.logs_of_site(conn, view.site)
    came = [(logs[name].received_at, name) for name in tests if name in logs]
    if not came:
        return None
    at, operation = max(came)
    packed = await operation_logs.log_of(conn, view.site, operation)
    return SelfTest(operation, at, checks_in(text_of(packed or b"")))
