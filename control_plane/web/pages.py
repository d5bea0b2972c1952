"""The read-only status page: two views, server-rendered, escaped, in two languages; its own few static files."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response, get
from litestar.datastructures import Cookie
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from control_plane.errors import NotFound
from control_plane.store import views
from control_plane.store.lookout import Lookout
from control_plane.store.pool import Pool, connection
from control_plane.web.catalog import CATALOG
from control_plane.web.present import Query, fleet_page
from control_plane.web.present_site import site_page
from control_plane.web.words import LANGUAGES, Words, choose_language
from schemas.api import ProblemDetails

Asked = Request[Any, Any, Any]
Admit = Callable[[Asked], Awaitable[None]]
FRAGMENT_HEADER: Final = "x-fragment"
"""Sent by the page's own script: it wants what changes, without the frame."""
LANGUAGE_COOKIE: Final = "neopro_language"
_YEAR_S: Final = 365 * 86_400
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


class _Asset(NamedTuple):
    body: bytes
    media_type: str
    version: str


class Pages:
    """The routes of people. `admit` lets a reader in or raises NotAuthenticated, Forbidden."""

    def __init__(self, pool: Pool, lookout: Lookout, clock: Callable[[], datetime], admit: Admit) -> None:
        self._pool, self._lookout, self._clock, self._admit = pool, lookout, clock, admit
        self._assets = {asset: _read_asset(asset) for asset in ("style.css", "live.js", "icon.svg")}
        self._templates = Environment(
            loader=PackageLoader("control_plane.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        return [
            get("/", include_in_schema=False)(self.fleet),
            get("/sites/{site:str}", include_in_schema=False)(self.site),
            get("/static/{name:str}", include_in_schema=False)(self.static),
        ]

    async def fleet(self, request: Asked) -> Response[bytes]:
        """Every site in one table, how they stand, and the changes under way."""
        await self._admit(request)
        words, fleet = self._words(request), await self._lookout.fleet()
        return self._render(request, "fleet.html", words, page=fleet_page(fleet, _query(request), words))

    async def site(self, request: Asked, site: FromPath[str]) -> Response[bytes]:
        """One site: what is desired, what its box says, what happened."""
        await self._admit(request)
        words, now = self._words(request), self._clock()
        async with connection(self._pool) as conn:
            found = await views.detail(conn, site, now)
        if found is None:
            raise NotFound(f"cannot find the site {site[:80]}: it was never published")
        return self._render(request, "site.html", words, page=site_page(*found, now, words))

    async def static(self, request: Asked, name: FromPath[str]) -> Response[bytes]:
        """The page's style, script and icon, from memory: a name is looked up, never made a path."""
        asset = self._assets.get(name)
        if asset is None:
            raise NotFound(f"cannot find {name[:80]}")
        fresh = request.query_params.get("v") == asset.version
        caching = f"public, max-age={_YEAR_S}, immutable" if fresh else "no-cache"
        headers = {**HEADERS, "Cache-Control": caching, "Content-Type": asset.media_type}
        return Response(asset.body, headers=headers)

    def problem(self, request: Asked, problem: ProblemDetails, headers: dict[str, str]) -> Response[bytes]:
        """An error as a page."""
        words, key = self._words(request), f"problem.{problem.status}"
        title = words(key) if key in CATALOG else words("problem.other")
        advice = words.known(f"{key}.help", "")
        body = self._html(request, "problem.html", words, problem=problem, title=title, advice=advice)
        return Response(
            body,
            status_code=problem.status,
            media_type="text/html",
            headers={**HEADERS, "Cache-Control": "no-store", **headers},
        )

    def _words(self, request: Asked) -> Words:
        asked = (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE))
        return Words(choose_language(asked, request.headers.get("accept-language", "")))

    def _render(self, request: Asked, template: str, words: Words, **values: object) -> Response[bytes]:
        body = self._html(request, template, words, **values)
        etag = f'W/"{hashlib.sha256(body).hexdigest()[:24]}"'
        vary = f"Accept-Language, Cookie, Authorization, {FRAGMENT_HEADER}"
        headers = {
            **HEADERS,
            "Cache-Control": "no-cache",
            "Vary": vary,
            "ETag": etag,
            "Content-Language": words.language,
        }
        if request.headers.get("if-none-match") == etag:
            return Response(b"", status_code=304, headers=headers)
        response = Response(body, media_type="text/html", headers=headers)
        if request.query_params.get("lang") == words.language:
            response.set_cookie(_language_cookie(words.language, secure=request.url.scheme == "https"))
        return response

    def _html(self, request: Asked, template: str, words: Words, **values: object) -> bytes:
        text = self._templates.get_template(template).render(
            t=words,
            languages=LANGUAGES,
            language_link=lambda language: _language_link(request, language),
            layout="fragment.html" if FRAGMENT_HEADER in request.headers else "base.html",
            asset=lambda name: f"/static/{name}?v={self._assets[name].version}",
            **values,
        )
        return text.encode()


def _language_link(request: Asked, language: str) -> str:
    given = [(key, value) for key, value in request.query_params.multi_items() if key != "lang"]
    return "?" + urlencode([*given, ("lang", language)])


def _query(request: Asked) -> Query:
    given = request.query_params
    standing, page = given.get("standing", ""), given.get("page", "")
    return Query(
        standing=standing if standing in views.STANDINGS else "",
        text=given.get("q", "")[:100],
        page=int(page) if page.isascii() and page.isdecimal() and len(page) < 7 else 1,
    )


def _language_cookie(language: str, *, secure: bool) -> Cookie:
    return Cookie(
        key=LANGUAGE_COOKIE,
        value=language,
        max_age=_YEAR_S,
        path="/",
        samesite="lax",
        httponly=True,
        secure=secure,
    )


def _read_asset(name: str) -> _Asset:
    body = (files("control_plane.web") / "static" / name).read_bytes()
    kind = _MEDIA_TYPES["." + name.rpartition(".")[2]]
    return _Asset(body, f"{kind}; charset=utf-8", hashlib.sha256(body).hexdigest()[:16])
