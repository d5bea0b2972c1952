"""Every route names whom it is for, and lets in exactly these: each is asked by everybody, over the application."""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

import httpx
import pytest
from litestar import Litestar, get
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute

from control_plane.api import live
from control_plane.api.access import Access
from control_plane.api.app import lasting, make_api
from control_plane.api.perimeter import Perimeter
from control_plane.core.openid import Grant
from control_plane.core.people import Audience, Role
from control_plane.git_source import GitSource
from control_plane.monitoring.meters import Meters
from control_plane.openid import open_provider
from control_plane.sweep import Sweeper
from control_plane.web.entrance import Entrance
from control_plane.web.visit import OPEN_TO
from tests.support.api import Api, open_api
from tests.support.people import Person, add_person, session_of, token_of
from tests.support.published import Box, Wanted

pytestmark = pytest.mark.anyio
PEOPLE: Mapping[str, tuple[Role, str | None]] = {
    "viewer": ("viewer", None),
    "operator": ("operator", None),
    "admin": ("admin", None),
    "tenant's viewer": ("viewer", "ligue"),
    "tenant's operator": ("operator", "ligue"),
    "tenant's admin": ("admin", "ligue"),
}
TEAM = {"viewer", "operator", "admin"}
LET_IN: Mapping[Audience, set[str]] = {
    "everyone": {"nobody", *PEOPLE},
    "known": {*PEOPLE},
    "readers": {*PEOPLE},
    "team": TEAM,
    "operators": {"operator", "admin"},
    "writers": {"operator", "admin"},
    "admins": {"admin"},
    "boxes": set(),
    "neighbours": set(),
}
"""Of those who come from elsewhere; the tokens under /v1 have every scope that their owners' may have."""
WITHOUT = ("/live", "/v1/gc", "/login/openid/refused")
"""What cannot answer here: it has no room for streams, no Git remote, and a provider that is not there."""
PROVIDER = {
    "public_url": "http://127.0.0.1:8470",
    "oidc_issuer": "http://127.0.0.1:1",
    "oidc_client_id": "neopro-fleet",
    "oidc_grants": [Grant(claim="groups", value="fleet-admins")],
}
NAMES = {"number": "1", "site": "brest", "digest": "0" * 64, "version": "1", "name": "style.css"}
ORIGIN = "http://fleet.example.org"


class Route(NamedTuple):
    method: str
    path: str
    audiences: tuple[Audience, ...]

    @property
    def address(self) -> str:
        """A path that the route takes."""
        return re.sub(r"\{(\w+):\w+\}", lambda found: NAMES.get(found[1], "none"), self.path)


def routes_of(app: Litestar) -> Iterator[Route]:
    for route in app.routes:
        for handler in cast(Any, route).route_handlers:
            for method in sorted(handler.http_methods - {"OPTIONS"}):
                yield Route(method, route.path, handler.opt.get(OPEN_TO, ()))


@asynccontextmanager
async def whole_api(folder: Path, database: str, **settings: Any) -> AsyncIterator[Api]:
    """As `open_api`, with the sweep and a provider: every route that the server has."""
    async with open_api(folder, database, **PROVIDER, **settings) as api:
        git = GitSource(str(folder / "no.git"), "main", folder / "clone")
        api.app = make_api(
            settings=api.settings,
            pool=api.pool,
            objects=api.objects,
            clock=lambda: api.now,
            meters=Meters(),
            sweeper=Sweeper(api.pool, git, api.objects, lambda: api.now),
            provider=open_provider(api.settings, lambda: api.now),
        )
        async with api.app.lifespan():
            yield api


@pytest.fixture
async def api(tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setattr(live, "MAX_STREAMS", 0)  # a stream would go on for a quarter of an hour
    async with whole_api(tmp_path, database, listen="0.0.0.0:8470") as opened:
        yield opened


async def test_every_route_names_whom_it_is_for(api: Api) -> None:
    routes = list(routes_of(api.app))
    assert len(routes) > 60
    nameless = [f"{route.method} {route.path}" for route in routes if not route.audiences]
    assert nameless == [], "say it with **open_to(…)"
    named = {audience for route in routes for audience in route.audiences}
    assert named == {*get_args(Audience)} == {*LET_IN}, "no audience is without a route"


async def test_no_route_has_a_way_around_the_perimeter(api: Api) -> None:
    """A hook of its own would take the place of the one that asks who it is; what is cached is answered before it."""
    routes = [route for route in api.app.routes if isinstance(route, HTTPRoute)]
    assert len(routes) == len(api.app.routes), "the hook is for HTTP alone"
    handlers = [handler for route in routes for handler in route.route_handlers]
    entered = {handler.resolve_before_request() for handler in handlers}
    assert len(entered) == 1 and None not in entered
    assert not any(handler.cache for handler in handlers)


async def test_route_that_names_nobody_is_for_nobody(api: Api) -> None:
    async def forgotten() -> str:
        return "seen"

    handler: HTTPRouteHandler = get("/forgotten")(forgotten)
    entrance = Entrance(api.pool, lambda: api.now, lasting(api.settings))
    access = Access(api.heads, api.pool, lambda: api.now, Meters().signature_checks)
    perimeter = Perimeter(api.settings, access, entrance, api.pool)
    app = Litestar([handler], before_request=perimeter.let_in, logging_config=None)
    ada = await add_person(api, "ada", "admin")
    transport = httpx.ASGITransport(app=cast(Any, app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        for headers in ({}, await token_of(api, ada, "read", "write")):
            answer = await client.get("/forgotten", headers=headers)
            assert (answer.status_code, "seen" in answer.text) == (500, False)


Credentials = Mapping[str, Mapping[str, str]]


async def _credentials(api: Api, person: Person | None) -> Credentials:
    """By what somebody is known: a token for the API, the session of a browser for pages."""
    if person is None:
        return {"token": {}, "session": {}}
    return {"token": await token_of(api, person, "read", "write"), "session": await session_of(api, person)}


def _headers(route: Route, credentials: Credentials) -> dict[str, str]:
    """A token under /v1, else the session of a browser that posts forms of our own."""
    if route.path.startswith("/v1/"):
        return {**credentials["token"]}
    return {"Accept": "text/html", "Origin": ORIGIN, **credentials["session"]}


async def _ask(client: httpx.AsyncClient, route: Route, headers: Mapping[str, str]) -> httpx.Response:
    content = b"" if route.method in ("POST", "PUT") else None
    form = {"Content-Type": "application/x-www-form-urlencoded"} if not route.path.startswith("/v1/") else {}
    return await client.request(route.method, route.address, headers={**headers, **form}, content=content)


def _is_let_in(answer: httpx.Response, route: Route) -> bool:
    """Whether it came as far as the handler: a way to the login, 401 and 403 are what the guard says."""
    if answer.status_code == 303:
        return route.path.startswith("/log") or not answer.headers["location"].startswith("/login")
    return answer.status_code not in (401, 403)


@pytest.mark.timeout(300)
async def test_everybody_is_let_in_exactly_where_a_route_is_for_them(api: Api) -> None:
    await api.publish({"brest": Wanted(Box("brest").identity, facts={"tenant": "ligue"})})
    people: dict[str, Person | None] = {"nobody": None}
    for number, (name, (role, tenant)) in enumerate(PEOPLE.items()):
        people[name] = await add_person(api, f"person-{number}", role, tenant)
    known = {name: await _credentials(api, person) for name, person in people.items()}
    wrong: list[str] = []
    async with api.client(peer="203.0.113.9", base=ORIGIN) as client:
        for route in routes_of(api.app):
            if route.audiences == ("boxes",):
                continue  # the next test
            expected = {name for audience in route.audiences for name in LET_IN[audience]}
            for name, credentials in known.items():
                answer = await _ask(client, route, _headers(route, credentials))
                if answer.status_code >= 500 and route.path not in WITHOUT:
                    wrong.append(f"{route.method} {route.path} for {name}: {answer.status_code}")
                if _is_let_in(answer, route) is not (name in expected):
                    wrong.append(f"{route.method} {route.path} for {name}: {answer.status_code} {route.audiences}")
            if route.method == "POST":  # which may have ended a session
                known = {name: await _credentials(api, person) for name, person in people.items()}
    assert wrong == []


async def test_route_of_boxes_is_for_no_person(api: Api) -> None:
    await api.publish({"brest": Wanted(Box("brest").identity)})
    ada = await add_person(api, "ada", "admin")
    boxes = [route for route in routes_of(api.app) if route.audiences == ("boxes",)]
    assert len(boxes) > 6
    async with api.client(peer="203.0.113.9", base=ORIGIN) as client:
        for route in boxes:
            for headers in ({}, await token_of(api, ada, "read", "write"), await session_of(api, ada)):
                answer = await _ask(client, route, headers)
                expected = (400, 401) if route.path == "/v1/enrolments" else (401,)
                assert answer.status_code in expected, (route, answer.status_code)


async def test_neighbour_sees_the_teams_pages_until_there_are_accounts(tmp_path: Path, database: str) -> None:
    async with whole_api(tmp_path, database) as api, api.client() as client:
        shown = [route for route in routes_of(api.app) if "team" in route.audiences and route.path[1:3] != "v1"]
        assert len(shown) > 6
        for route in shown:
            assert (await client.get(route.address)).status_code in (200, 404), route
        assert (await client.get("/audit")).status_code == 403
        await add_person(api, "marie")
        for route in shown:
            expected = 200 if route.path == "/metrics" else 401
            assert (await client.get(route.address)).status_code == expected, route
