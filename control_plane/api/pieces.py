"""How an upload names its blob and its piece."""

import re
from typing import Any, Final

from litestar import Request
from litestar.exceptions import ClientException, HTTPException, NotFoundException
from litestar.status_codes import HTTP_411_LENGTH_REQUIRED

from control_plane.api.ranges import Piece, parse_content_range
from schemas.names import Digest

_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


def named_blob(text: str) -> Digest:
    """The Digest in a URL, with or without `sha256:`; 404 when it is none, so that nothing else ever names a file."""
    found = _DIGEST.fullmatch(text)
    if found is None:
        raise NotFoundException("cannot find it: a blob is named by 64 hexadecimal digits")
    return "sha256:" + found[1]


def piece_of(request: Request[Any, Any, Any]) -> Piece:
    """What `Content-Range: bytes FIRST-LAST/TOTAL` says, or the whole body; 400 and 411 where neither can be told."""
    announced = request.headers.get("content-range")
    if announced is not None:
        piece = parse_content_range(announced)
        if piece is None:
            raise ClientException("cannot read Content-Range: write bytes FIRST-LAST/TOTAL")
        return piece
    length = request.headers.get("content-length", "")
    if not re.fullmatch(r"\d{1,15}", length):
        raise HTTPException("cannot take a body of unknown length", status_code=HTTP_411_LENGTH_REQUIRED)
    return Piece(0, int(length), int(length))
