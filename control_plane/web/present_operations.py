"""What a box was asked to do once, and what came of it; pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from control_plane.store.operation_logs import Result, StoredLog
from control_plane.store.views import SiteView
from control_plane.web.words import Words, spaced
from schemas.manifest import ManifestOperation
from schemas.names import DocumentId
from schemas.status import Waiting

TONES: Final = {"OperationSucceeded": "good", "OperationFailed": "bad", "OperationExpired": "busy"}


class OperationRow(Struct, frozen=True, kw_only=True):
    """An operation. `state` in words; `log`: where its text is read, `log_note`: when it came, and its size."""

    name: str
    action: str
    state: str
    tone: str
    message: str
    when: str
    at: datetime | None
    log: str
    log_note: str


class Asked(NamedTuple):
    """What the manifest asks for, how operations ended by the box's events, and the texts that it sent."""

    wanted: Sequence[ManifestOperation]
    results: Sequence[Result]
    logs: Mapping[DocumentId, StoredLog]


def operation_rows(view: SiteView, asked: Asked, now: datetime, words: Words, *, reads: bool) -> list[OperationRow]:
    """What is asked for now, then what ended before, the newest first. `reads`: the reader may read texts."""
    done: dict[DocumentId, Result] = {}
    for result in reversed(asked.results):
        done[result.operation] = result
    wanted = sorted(asked.wanted, key=lambda one: one.not_after, reverse=True)
    rows = [_asked(view, one, done.get(one.id), now, words) for one in wanted]
    named = {one.id for one in wanted}
    rows += [_ended(result, "", now, words) for name, result in reversed(done.items()) if name not in named]
    return [_with_log(row, view, asked.logs.get(row.name), now, words) if reads else row for row in rows]


def _asked(
    view: SiteView, operation: ManifestOperation, result: Result | None, now: datetime, words: Words
) -> OperationRow:
    action = f"{operation.action} {operation.service or ''}".strip()
    if result is not None:
        return _ended(result, action, now, words)
    waiting = next(_waiting_for(operation.id, view), None)
    state, message = _state(view, operation, waiting, now, words)
    return OperationRow(
        name=operation.id,
        action=action,
        state=state,
        tone="busy",
        message=message,
        when=words("operation.before", instant=words.instant(operation.not_after)),
        at=None,
        log="",
        log_note="",
    )


def _state(
    view: SiteView, operation: ManifestOperation, waiting: Waiting | None, now: datetime, words: Words
) -> tuple[str, str]:
    if waiting is not None:
        return words.known(f"reason.{waiting.reason}", spaced(waiting.reason)), waiting.message
    if operation.not_after <= now:
        return words("operation.unheard"), ""
    said = view.report
    if said is not None and (said.head_generation or 0) >= view.generation:
        return words("operation.taken"), ""
    return words("operation.underway"), ""


def _waiting_for(operation: DocumentId, view: SiteView) -> Iterator[Waiting]:
    for one in view.report.waiting if view.report else ():
        if one.step == f"Operation {operation}" or f"({operation})" in one.message:
            yield one


def _ended(result: Result, action: str, now: datetime, words: Words) -> OperationRow:
    head, _, message = result.message.partition("): ")
    return OperationRow(
        name=result.operation,
        action=action or head.partition(" (")[2],
        state=words(f"reason.{result.reason}"),
        tone=TONES.get(result.reason, ""),
        message=message or result.message,
        when=words.ago(result.at, now),
        at=result.at,
        log="",
        log_note="",
    )


def _with_log(row: OperationRow, view: SiteView, log: StoredLog | None, now: datetime, words: Words) -> OperationRow:
    if log is None:
        return row
    note = f"{words.size(log.stored_bytes)} · {words.ago(log.received_at, now)}"
    return replace(row, log=f"/sites/{view.site}/logs/{row.name}", log_note=note)
