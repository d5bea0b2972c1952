"""What a control plane answered, read; what went wrong, in one sentence."""

import re
from contextlib import suppress
from typing import Final, TypeVar

import httpx
import msgspec

from cli.errors import CommandFailed
from schemas.api import ProblemDetails

T = TypeVar("T")

MAX_ANSWER_BYTES: Final = 64 << 20
_NOT_KNOWN: Final = "; have a new one made, on the server: neopro token add NAME"
_ERRNO: Final = re.compile(r"^\[Errno -?\d+\] ")


def read(url: str, what: str, answer: httpx.Response, kind: type[T]) -> T:
    """The body of an answer; `what` completes 'cannot …'. CommandFailed says what the control plane refused."""
    if answer.is_success:
        with suppress(msgspec.DecodeError):
            return msgspec.json.decode(answer.content[:MAX_ANSWER_BYTES], type=kind)
        raise CommandFailed(f"cannot {what}: {url} does not answer like a control plane of NEOPRO Fleet")
    raise CommandFailed(f"cannot {what}: {why(answer)}")


def why(answer: httpx.Response) -> str:
    """The detail of a problem document (RFC 9457), or the bare status of something else that answered."""
    with suppress(msgspec.DecodeError):
        details = msgspec.json.decode(answer.content, type=ProblemDetails)
        detail = details.detail or details.title
        remedy = _NOT_KNOWN if answer.status_code == httpx.codes.UNAUTHORIZED else ""
        return (f"the control plane {detail}" if detail.startswith("cannot ") else detail) + remedy
    return f"it answered {answer.status_code} {answer.reason_phrase}"


def unreachable(url: str, problem: Exception) -> CommandFailed:
    """Nothing answered."""
    what = _ERRNO.sub("", str(problem)) or type(problem).__name__
    return CommandFailed(f"cannot reach the control plane at {url}: {what}; is it running, is the URL right?")
