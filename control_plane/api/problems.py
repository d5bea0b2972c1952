"""Every error as RFC 9457 `application/problem+json`, from one table: a FleetError brings its status and reason."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect
from litestar.types import ExceptionHandler, ExceptionHandlersMap

from control_plane.errors import FleetError
from control_plane.web.frame import FRAGMENT_HEADER
from schemas.api import ProblemDetails

MEDIA_TYPE: Final = "application/problem+json"
LOG = logging.getLogger(__name__)

_HEADERS: Final[dict[int, dict[str, str]]] = {
    401: {"WWW-Authenticate": 'Bearer realm="neopro-fleet"'},
    429: {"Retry-After": "10"},
    503: {"Retry-After": "5"},
}
"""What a status asks for beside its body: RFC 9110, 11.6.1 and 10.2.3. Seconds."""


Asked = Request[Any, Any, Any]
Page = Callable[[Asked, ProblemDetails, dict[str, str]], Response[bytes]]
Handler = Callable[[Asked, Any], tuple[ProblemDetails, dict[str, str]]]


def handlers(page: Page) -> ExceptionHandlersMap:
    """The table for Litestar: ours, the framework's (unknown route, oversized body …), and whatever else is a bug.

    `page` renders a problem for a browser that asked for a page; everything under /v1 answers problem+json.
    """

    def answering(describe: Handler) -> "ExceptionHandler[Any]":
        def answer(request: Asked, error: Any) -> Response[bytes]:
            problem, headers = describe(request, error)
            return _answer(request, problem, headers, page)

        return answer

    return {
        FleetError: answering(_of_fleet),
        HTTPException: answering(_of_framework),
        Exception: answering(_of_bug),
    }


def _answer(request: Asked, problem: ProblemDetails, headers: dict[str, str], page: Page) -> Response[bytes]:
    if wants_page(request):
        if problem.status == 401 and request.method == "GET" and FRAGMENT_HEADER not in request.headers:
            return Redirect(_login_for(request), status_code=303, headers={"Cache-Control": "no-store"})
        return page(request, problem, headers)
    return Response(
        msgspec.json.encode(problem),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **headers},
    )


def _login_for(request: Asked) -> str:
    """Where a person logs in, to come back to what was asked for."""
    query = request.scope["query_string"].decode("latin-1")
    return "/login?" + urlencode({"next": request.scope["path"] + (f"?{query}" if query else "")})


def wants_page(request: Asked) -> bool:
    """Whether a person's browser asks for something that is no part of the API."""
    path = request.scope["path"]
    return "text/html" in request.headers.get("accept", "") and not path.startswith("/v1/")


_PHRASES: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}
"""What RFC 9110 renamed; Python follows it from 3.13 on, and a reason is the same whatever serves."""


def _problem(
    status: int, detail: str, reason: str = "", headers: dict[str, str] | None = None
) -> tuple[ProblemDetails, dict[str, str]]:
    title = _PHRASES.get(status) or HTTPStatus(status).phrase
    reason = reason or title.title().replace(" ", "")
    return (
        ProblemDetails(title=title, status=status, detail=detail, reason=reason),
        {**_HEADERS.get(status, {}), **(headers or {})},
    )


def _of_fleet(_: Asked, error: FleetError) -> tuple[ProblemDetails, dict[str, str]]:
    if error.status == 500:
        LOG.error("%s: %s", error.reason, error)
    # What only the server's operator can mend is not told to strangers: paths, hosts, addresses of databases.
    detail = (
        str(error) if error.status < 500 else _OUTSIDE.get(error.reason, "the server cannot do this now; try again")
    )
    return _problem(error.status, detail, error.reason)


_OUTSIDE: Final = {
    "DatabaseUnavailable": "the server cannot use its database now; try again",
    "ObjectsUnavailable": "the server cannot use its object store now; try again",
}


def _of_framework(_: Asked, error: HTTPException) -> tuple[ProblemDetails, dict[str, str]]:
    headers = {k: v for k, v in (error.headers or {}).items() if k.lower() in {"allow", "content-range"}}
    detail = error.detail if error.status_code < 500 or error.status_code == HTTPStatus.INSUFFICIENT_STORAGE else ""
    return _problem(error.status_code, detail, headers=headers)


def _of_bug(request: Asked, error: Exception) -> tuple[ProblemDetails, dict[str, str]]:
    LOG.error("cannot answer %s %s: a bug", request.method, request.url.path, exc_info=error)
    return _problem(500, "the server has a bug; its log says more")
