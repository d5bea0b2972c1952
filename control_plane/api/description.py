"""The API described by itself: OpenAPI 3.1 at /v1/openapi.json; no viewer, since those load scripts from elsewhere."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, Final

from litestar import Litestar, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.serialization import encode_json
from msgspec.json import schema_components

from control_plane.web.visit import open_to
from schemas.analytics import Batch
from schemas.api import ProblemDetails, UploadState
from schemas.backup import KeptVideos
from schemas.club import ClubMirror
from schemas.dsse import Envelope
from schemas.enrolment import EnrolmentRequest
from schemas.status import StatusReport

_REFERENCE: Final = "#/components/schemas/{name}"
Content = dict[str, Any] | None
"""Media type -> what it holds, as OpenAPI has it; None: no body."""


def _json(name: str) -> Content:
    return {"application/json": {"schema": {"$ref": _REFERENCE.format(name=name)}}}


_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_OCTETS: Final[Content] = {"application/octet-stream": _BYTES}
_TEXT: Final[Content] = {"text/plain": {"schema": {"type": "string"}}}
_SIGNED: Final[Content] = _json("Envelope")
_PARTS: Final[Content] = {"application/json": {"schema": {"type": "object"}}}
_BLOB: Final[Content] = {"application/octet-stream": _BYTES, "application/json": _BYTES}
_UPLOAD: Final[Content] = _json("UploadState")
_BODIES: Final[dict[str, Content]] = {
    "postStatus": _json("StatusReport"),
    "postAnalytics": _json("Batch"),
    "enrol": _json("EnrolmentRequest"),
    "putClub": _json("ClubMirror"),
    "putVideoIndex": _json("KeptVideos"),
    "putVideoBackup": _OCTETS,
    "putBackup": _OCTETS,
    "putBlob": _OCTETS,
    "postLog": _TEXT,
}
"""Operation -> the body that its handler reads by itself."""
_ANSWERS: Final[dict[str, dict[str, Content]]] = {
    "getHead": {"200": _SIGNED, "304": None},
    "getTrustRoot": {"200": _SIGNED},
    "getReleaseList": {"200": _SIGNED},
    "getBlob": {"200": _BLOB, "206": _BLOB, "304": None, "307": None},
    "headBlob": {"200": None, "304": None},
    "putBlob": {"200": _UPLOAD, "201": _UPLOAD, "202": _UPLOAD},
    "putVideoBackup": {"201": _UPLOAD, "202": _UPLOAD},
    "getVideoIndex": {"200": _OCTETS},
    "getBackup": {"200": _OCTETS},
    "getLog": {"200": _TEXT},
    "getMetrics": {"200": _TEXT},
    "getReadiness": {"200": _PARTS, "503": _PARTS},
}
"""Operation -> status -> what its handler answers by itself, in the place of what its type says."""
_MEANING: Final = {
    "200": "It is there",
    "201": "All of it is there now",
    "202": "A part of it is there now",
    "206": "The part that was asked for",
    "304": "Nothing has changed",
    "307": "It is at the object store",
    "503": "Not ready",
}
_SECURITY: Final = {
    "box": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT (EdDSA), made by the box with its own key"},
    "operator": {"type": "http", "scheme": "bearer", "bearerFormat": "neopro_…, a personal token"},
}


class Description:
    """Describes these handlers; made when it is first asked for."""

    def __init__(self, handlers: Sequence[HTTPRouteHandler]) -> None:
        self._handlers = handlers
        self._document: bytes | None = None

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handler, bound to this object."""
        return [get("/v1/openapi.json", include_in_schema=False, **open_to("everyone"))(self.openapi)]

    async def openapi(self) -> Response[bytes]:
        """The document; anyone may read it."""
        if self._document is None:
            self._document = encode_json(_describe(self._handlers))
        headers = {"Content-Type": "application/vnd.oai.openapi+json", "Cache-Control": "no-cache"}
        return Response(self._document, headers=headers)


def _describe(handlers: Sequence[HTTPRouteHandler]) -> dict[str, Any]:
    # An application of its own, because Litestar's own route for the document takes every unknown path beside it.
    described = Litestar(
        route_handlers=list(handlers),
        openapi_config=OpenAPIConfig(
            title="NEOPRO Fleet", version=version("neopro-fleet"), use_handler_docstrings=True
        ),
        logging_config=None,
    )
    document = described.openapi_schema.to_schema()
    bodies = [Envelope, UploadState, StatusReport, Batch, ClubMirror, KeptVideos, EnrolmentRequest, ProblemDetails]
    _, schemas = schema_components(bodies, ref_template=_REFERENCE)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas)
    components["securitySchemes"] = _SECURITY
    for operations in document["paths"].values():
        for operation in operations.values():
            _complete(operation)
    return document


def _complete(operation: dict[str, Any]) -> None:
    """What handlers that read raw bodies, answer with bytes and check credentials do not tell Litestar."""
    name = operation["operationId"]
    if name in _BODIES:
        operation["requestBody"] = {"required": True, "content": _BODIES[name]}
    problem = {"schema": {"$ref": _REFERENCE.format(name="ProblemDetails")}}
    answers = {
        status: {"description": _MEANING[status]} | ({"content": content} if content else {})
        for status, content in _ANSWERS.get(name, {}).items()
    }
    # Litestar's own 400 is another shape than ours.
    kept = {status: told for status, told in operation["responses"].items() if status != "400" and not answers}
    operation["responses"] = (answers or kept) | {
        "default": {"description": "An error (RFC 9457)", "content": {"application/problem+json": problem}}
    }
    who: list[dict[str, list[str]]] = [{tag: []} for tag in operation.get("tags", ()) if tag in _SECURITY]
    if who:
        operation["security"] = who
