"""The frame of every page: its language, its headers, its menu, and the few static files."""

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request, Response
from litestar.datastructures import Cookie

from control_plane.core.people import Reader, may_see
from control_plane.errors import NotFound
from control_plane.web.catalog import CATALOG
from control_plane.web.visit import Download, Page, Shown
from control_plane.web.words import LANGUAGES, Words, choose_language
from schemas.api import ProblemDetails

Asked = Request[Any, Any, Any]
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
_PRIVATE: Final = {**HEADERS, "Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
"""Of pages with forms and secrets. A browser that must not refer at all would not tell a form's origin either."""
_VARY: Final = f"Accept-Language, Cookie, Authorization, {FRAGMENT_HEADER}"
_MEDIA_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


ASSETS: Final = ("style.css", "sheet.css", "map.css", "live.js", "map.js", "icon.svg")


class _Asset(NamedTuple):
    body: bytes
    media_type: str
    version: str


class Frame:
    """Renders pages; `menu` are the pages that have a place in it, in its order."""

    def __init__(self, menu: Sequence[Page]) -> None:
        self._menu = menu
        self._assets = {asset: _read_asset(asset) for asset in ASSETS}
        self._templates = Environment(
            loader=PackageLoader("control_plane.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def words(self, request: Asked) -> Words:
        """The reader's language."""
        asked = (request.query_params.get("lang"), request.cookies.get(LANGUAGE_COOKIE))
        return Words(choose_language(asked, request.headers.get("accept-language", "")))

    def page(self, request: Asked, words: Words, reader: Reader | None, shown: Shown) -> Response[bytes]:
        """A page, or 304 when the browser has it; `reader` None: of nobody in particular, without a menu."""
        body = self._html(request, shown.template, words, reader, page=shown.page)
        if not shown.kept:
            return Response(body, media_type="text/html", headers={**_PRIVATE, "Content-Language": words.language})
        etag = f'W/"{hashlib.sha256(body).hexdigest()[:24]}"'
        headers = {
            **HEADERS,
            "Cache-Control": "no-cache",
            "Vary": _VARY,
            "ETag": etag,
            "Content-Language": words.language,
        }
        if request.headers.get("if-none-match") == etag:
            return Response(b"", status_code=304, headers=headers)
        response = Response(body, media_type="text/html", headers=headers)
        if request.query_params.get("lang") == words.language:
            response.set_cookie(_language_cookie(words.language, secure=request.url.scheme == "https"))
        return response

    def download(self, found: Download) -> Response[bytes]:
        """A file to keep."""
        headers = {**HEADERS, "Cache-Control": "private, max-age=3600" if found.inline else "no-store"}
        if not found.inline:
            headers["Content-Disposition"] = f'attachment; filename="{found.name}"'
        return Response(found.body, media_type=found.media_type, headers=headers)

    def problem(self, request: Asked, problem: ProblemDetails, headers: dict[str, str]) -> Response[bytes]:
        """An error as a page."""
        words, key = self.words(request), f"problem.{problem.status}"
        title = words(key) if key in CATALOG else words("problem.other")
        advice = words.known(f"{key}.help", "")
        body = self._html(request, "problem.html", words, None, problem=problem, title=title, advice=advice)
        return Response(
            body,
            status_code=problem.status,
            media_type="text/html",
            headers={**HEADERS, "Cache-Control": "no-store", **headers},
        )

    def asset(self, name: str, version: str | None) -> Response[bytes]:
        """A static file, from memory: a name is looked up, never made a path. NotFound."""
        asset = self._assets.get(name)
        if asset is None:
            raise NotFound(f"cannot find {name[:80]}")
        caching = f"public, max-age={_YEAR_S}, immutable" if version == asset.version else "no-cache"
        headers = {**HEADERS, "Cache-Control": caching, "Content-Type": asset.media_type}
        return Response(asset.body, headers=headers)

    def _html(self, request: Asked, template: str, words: Words, reader: Reader | None, **values: object) -> bytes:
        text = self._templates.get_template(template).render(
            t=words,
            languages=LANGUAGES,
            language_link=lambda language: _language_link(request, language),
            layout="fragment.html" if FRAGMENT_HEADER in request.headers else "base.html",
            asset=lambda name: f"/static/{name}?v={self._assets[name].version}",
            menu=[page for page in self._menu if reader is not None and may_see(reader, page.audience)],
            here=_chapter(request.url.path),
            reader=reader,
            **values,
        )
        return text.encode()


def _chapter(path: str) -> str:
    """The page of the menu that a path lies under: `/sites` of `/sites/brest`."""
    return "/" + path.strip("/").partition("/")[0]


def _language_link(request: Asked, language: str) -> str:
    given = [(key, value) for key, value in request.query_params.multi_items() if key != "lang"]
    # What answers a form has no address of its own.
    here = "" if request.method == "GET" else _chapter(request.url.path)
    return f"{here}?" + urlencode([*given, ("lang", language)])


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
