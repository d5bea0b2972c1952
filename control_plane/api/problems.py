"""Every error as RFC 9457 `application/problem+json`, from one table: a FleetError brings its status and reason."""

import logging
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ExceptionHandlersMap

from control_plane.errors import FleetError
from schemas.api import ProblemDetails

MEDIA_TYPE: Final = "application/problem+json"
LOG = logging.getLogger(__name__)

_HEADERS: Final[dict[int, dict[str, str]]] = {
    401: {"WWW-Authenticate": 'Bearer realm="neopro-fleet"'},
    429: {"Retry-After": "10"},
    503: {"Retry-After": "5"},
}
"""What a status asks for beside its body: RFC 9110, 11.6.1 and 10.2.3. Seconds."""


def handlers() -> ExceptionHandlersMap:
    """The table for Litestar: ours, the framework's (unknown route, oversized body …), and whatever else is a bug."""
    return {FleetError: _of_fleet, HTTPException: _of_framework, Exception: _of_bug}


def problem(status: int, detail: str, reason: str = "", headers: dict[str, str] | None = None) -> Response[bytes]:
    """The response of one problem; the title is the status' own phrase."""
    title = HTTPStatus(status).phrase
    body = ProblemDetails(title=title, status=status, detail=detail, reason=reason or title.title().replace(" ", ""))
    return Response(
        msgspec.json.encode(body),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={"Cache-Control": "no-store", **_HEADERS.get(status, {}), **(headers or {})},
    )


def _of_fleet(_: Request[Any, Any, Any], error: FleetError) -> Response[bytes]:
    if error.status == 500:
        LOG.error("%s: %s", error.reason, error)
    # What only the server's operator can mend is not told to strangers: paths, hosts, addresses of databases.
    detail = (
        str(error) if error.status < 500 else _OUTSIDE.get(error.reason, "the server cannot do this now; try again")
    )
    return problem(error.status, detail, error.reason)


_OUTSIDE: Final = {
    "DatabaseUnavailable": "the server cannot use its database now; try again",
    "ObjectsUnavailable": "the server cannot use its object store now; try again",
}


def _of_framework(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    headers = {k: v for k, v in (error.headers or {}).items() if k.lower() in {"allow", "content-range"}}
    detail = error.detail if error.status_code < 500 else ""
    return problem(error.status_code, detail, headers=headers)


def _of_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    LOG.error("cannot answer %s %s: a bug", request.method, request.url.path, exc_info=error)
    return problem(500, "the server has a bug; its log says more")
