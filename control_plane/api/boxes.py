"""What a box calls for itself: its head, by long poll, and its report. RFC 9110 (ETag), RFC 7240 (Prefer: wait)."""

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import (
    ClientException,
    HTTPException,
    NotFoundException,
    ServiceUnavailableException,
    TooManyRequestsException,
)
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.status_codes import HTTP_422_UNPROCESSABLE_ENTITY

from control_plane.api.access import Access, bearer, header, is_personal
from control_plane.api.bodies import read_body
from control_plane.api.budget import DailyBudget
from control_plane.api.heads import Head, Heads
from control_plane.api.inbox import Inbox, InboxFull, Unstorable
from control_plane.api.pulse import Tally
from control_plane.api.refusals import Refusals
from control_plane.api.timing import HELD_S
from control_plane.store import publications
from control_plane.store.pool import Pool, connection
from control_plane.web.visit import open_to
from schemas.names import SiteId
from schemas.status import MAX_REPORT_BYTES, StatusReport

MAX_WAIT_S: Final = 55.0
"""Below the minute after which proxies give up on a silent connection."""
MAX_VERSION: Final = 2**31 - 1
MAX_PAST_A_DAY: Final = 20_000
"""Events, changes of conditions and measurements of one site, repeated ones as well: a box that was away for months
brings some 4,500, and one gone wild must not fill the disk."""
Asked = Request[Any, Any, Any]
_REPORT: Final = msgspec.json.Decoder(StatusReport)
_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?", re.IGNORECASE)
_ENVELOPE: Final = "application/json"


class Boxes:
    """The routes of boxes."""

    def __init__(
        self,
        *,
        heads: Heads,
        access: Access,
        inbox: Inbox,
        pool: Pool,
        clock: Callable[[], datetime],
        tally: Tally,
        refusals: Refusals,
    ) -> None:
        self._tally = tally
        self._heads, self._access, self._inbox, self._pool, self._clock = heads, access, inbox, pool, clock
        self._refusals = refusals
        self._past = DailyBudget(clock, MAX_PAST_A_DAY, "events, changes and measurements")

    def routes(self) -> Sequence[HTTPRouteHandler]:
        """The handlers, bound to this object."""
        return [
            get("/v1/sites/{site:str}/head", operation_id="getHead", **open_to("boxes", "team"))(self.head),
            post(
                "/v1/sites/{site:str}/status",
                status_code=204,
                operation_id="postStatus",
                **open_to("boxes"),
                request_max_body_size=MAX_REPORT_BYTES,
            )(self.status),
            get("/v1/trust/{version:str}", operation_id="getTrustRoot", **open_to("everyone"))(self.trust_root),
            get("/v1/release-list/{version:str}", operation_id="getReleaseList", **open_to("everyone"))(
                self.release_list
            ),
        ]

    async def head(self, request: Asked, site: FromPath[str]) -> ASGIResponse:
        """The signed head of a site: 200 with a strong ETag, or 304 when `If-None-Match` still holds.

        `Prefer: wait=N` holds the request until the head changes, at most N (capped at 55) seconds.
        """
        token, known = bearer(request), header(request, b"if-none-match")
        head = self._head_for_people(site) if is_personal(token) else self._access.own_box(token, site)
        if not _matches(known, head):
            return _whole(head)
        wait_s = 0.0 if is_personal(token) else _preferred_wait_s(request)
        if not wait_s:
            return _unchanged(head)
        held_at = time.perf_counter()
        await self._heads.wait(head.site, head.etag, wait_s)
        request.scope["state"][HELD_S] = time.perf_counter() - held_at
        # Asked again: the box may have been revoked while it waited.
        head, waited = self._access.own_box(token, site), ("Preference-Applied", f"wait={wait_s:.0f}")
        return _unchanged(head, waited) if _matches(known, head) else _whole(head, waited)

    def _head_for_people(self, site: str) -> Head:
        head = self._heads.get(site)
        if head is None:
            raise NotFoundException(f"cannot find the site {site[:80]}: it was never published")
        return head

    async def status(self, request: Asked, site: FromPath[str]) -> None:
        """Keep what a box says of itself (a `StatusReport`); idempotent by its `run_id` and `sequence`.

        422 for one with anything of the past when there were 20,000 events, changes and measurements within a day.
        """
        head = self._access.own_box(bearer(request), site)
        try:
            await self._keep(head.site, _report(await read_body(request, MAX_REPORT_BYTES)))
        except HTTPException as problem:
            await self._refusals.note(head.site, problem)
            raise

    async def _keep(self, site: SiteId, report: StatusReport) -> None:
        self._require_measure(site, report)
        try:
            await self._inbox.keep(site, report, self._clock())
        except Unstorable as problem:
            raise ClientException(str(problem)) from None
        except InboxFull as problem:
            raise ServiceUnavailableException(str(problem)) from None
        self._tally.report(site)
        self._heads.mark_told(site, report.head_generation)

    def _require_measure(self, site: SiteId, report: StatusReport) -> None:
        """What is of now is always taken: the agent leaves out the past where it is told that it never will be."""
        past = len(report.events) + len(report.transitions) + len(report.history.samples) + len(report.history.boots)
        try:
            self._past.take(site, past)
        except TooManyRequestsException as problem:
            raise HTTPException(problem.detail, status_code=HTTP_422_UNPROCESSABLE_ENTITY) from None

    async def trust_root(self, version: FromPath[str]) -> Response[bytes]:
        """The trust root of that version, signed; anyone may read it."""
        return await self._document("root", version)

    async def release_list(self, version: FromPath[str]) -> Response[bytes]:
        """The release list of that version, signed; anyone may read it."""
        return await self._document("release-list", version)

    async def _document(self, kind: Literal["root", "release-list"], version: str) -> Response[bytes]:
        number = int(version) if re.fullmatch(r"[0-9]{1,10}", version) else 0
        found = None
        if 0 < number <= MAX_VERSION:
            async with connection(self._pool) as conn:
                found = await publications.trust_document(conn, kind, number)
        if found is None:
            raise NotFoundException(f"cannot find {kind} {version[:20]}: there is none yet")
        return Response(found, media_type=_ENVELOPE, headers={"Cache-Control": "public, max-age=300"})


def _unchanged(head: Head, *more: tuple[str, str]) -> ASGIResponse:
    return ASGIResponse(status_code=304, headers=[("ETag", head.etag), *more])


def _whole(head: Head, *more: tuple[str, str]) -> ASGIResponse:
    headers = [("ETag", head.etag), ("Cache-Control", "no-cache"), ("Vary", "Authorization"), *more]
    return ASGIResponse(body=head.envelope, media_type=_ENVELOPE, headers=headers)


def _report(body: bytes) -> StatusReport:
    try:
        return _REPORT.decode(body)
    except (msgspec.DecodeError, RecursionError, ValueError) as problem:
        raise ClientException(f"cannot read the report: {str(problem)[:200]}") from None


def _matches(known: str | None, head: Head) -> bool:
    """If-None-Match, RFC 9110, 13.1.2: any of the tags, compared weakly (a proxy may have weakened ours), or `*`."""
    if known is None:
        return False
    return known == head.etag or any(tag.strip().removeprefix("W/") in (head.etag, "*") for tag in known.split(","))


def _preferred_wait_s(request: Asked) -> float:
    """Seconds of `Prefer: wait=N`, capped; 0 when there is none."""
    found = _WAIT.search(header(request, b"prefer") or "")
    return min(float(found[1]), MAX_WAIT_S) if found else 0.0
