"""No page escapes what pages are tried for: whatever a browser can open is in PAGES, or named here and tried apart."""

import pytest
from litestar.routes import HTTPRoute

from control_plane.web.pages import PAGES
from tests.support.api import Api

pytestmark = pytest.mark.anyio
APART = {"/login", "/account"}
"""Pages with forms: tests/browser/test_people.py, tests/security/test_scripts_of_people.py."""
NO_PAGES = {"/live", "/static/{name}", "/healthz", "/readyz", "/metrics"}


async def test_whatever_a_browser_can_open_is_tried(api: Api) -> None:
    routes = [one for one in api.app.routes if isinstance(one, HTTPRoute) and "GET" in one.methods]
    opened = {one.path_format for one in routes if not one.path.startswith("/v1/")}
    assert opened == {page.path.replace(":str", "") for page in PAGES} | APART | NO_PAGES
