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
from schemas.api import ProblemDetails
from schemas.backup import KeptVideos
from schemas.club import ClubMirror
from schemas.enrolment import EnrolmentRequest
from schemas.status import StatusReport

_REFERENCE: Final = "#/components/schemas/{name}"
_BODIES: Final[dict[tuple[str, str], dict[str, Any]]] = {
    ("/v1/sites/{site}/status", "post"): {
        "application/json": {"schema": {"$ref": _REFERENCE.format(name="StatusReport")}}
    },
    ("/v1/sites/{site}/analytics", "post"): {"application/json": {"schema": {"$ref": _REFERENCE.format(name="Batch")}}},
    ("/v1/enrolments", "post"): {"application/json": {"schema": {"$ref": _REFERENCE.format(name="EnrolmentRequest")}}},
    ("/v1/sites/{site}/club", "put"): {"application/json": {"schema": {"$ref": _REFERENCE.format(name="ClubMirror")}}},
    ("/v1/sites/{site}/backup/videos", "put"): {
        "application/json": {"schema": {"$ref": _REFERENCE.format(name="KeptVideos")}}
    },
    ("/v1/sites/{site}/backup/videos/{digest}", "put"): {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
    },
    ("/v1/sites/{site}/backup", "put"): {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
    },
    ("/v1/sites/{site}/logs/{operation}", "post"): {"text/plain": {"schema": {"type": "string"}}},
    ("/v1/blobs/{digest}", "put"): {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
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
    bodies = [StatusReport, Batch, ClubMirror, KeptVideos, EnrolmentRequest, ProblemDetails]
    _, schemas = schema_components(bodies, ref_template=_REFERENCE)
    components = document.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas)
    components["securitySchemes"] = _SECURITY
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _complete(operation, _BODIES.get((path, method)))
    return document


def _complete(operation: dict[str, Any], body: dict[str, Any] | None) -> None:
    """What handlers that read raw bodies and check credentials themselves do not tell Litestar."""
    if body is not None:
        operation["requestBody"] = {"required": True, "content": body}
    problem = {"schema": {"$ref": _REFERENCE.format(name="ProblemDetails")}}
    operation.setdefault("responses", {})["default"] = {
        "description": "An error (RFC 9457)",
        "content": {"application/problem+json": problem},
    }
    who: list[dict[str, list[str]]] = [{tag: []} for tag in operation.get("tags", ()) if tag in _SECURITY]
    if who:
        operation["security"] = who
