"""Operations: what boxes were asked to do once, who has done it and how it went."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from control_plane.core.people import may_see
from control_plane.errors import NotFound
from control_plane.store import library, operation_logs
from control_plane.store.operation_logs import Result, StoredLog
from control_plane.store.pool import connection
from control_plane.store.views import Fleet, SiteView
from control_plane.web.present_operations import Asked, OperationRow, operation_rows
from control_plane.web.table import SITES_SHOWN, Cell, Facts, ListPage, Table, heads
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words
from schemas.desired import Operation
from schemas.manifest import ManifestOperation
from schemas.names import DocumentId, SiteId

SINCE: Final = timedelta(days=90)
_TONES: Final = {"OperationSucceeded": "good", "OperationFailed": "bad", "OperationExpired": "busy"}


async def show(room: Room, visit: Visit) -> Shown:
    """What is in Git now, and how it went at every site; then the results of the last 90 days."""
    now, words = room.clock(), visit.words
    async with connection(room.pool) as conn:
        wanted = await library.documents_of(conn, "operations", Operation)
        results = await operation_logs.results_since(conn, now - SINCE)
        logs = await operation_logs.sites_with_logs(conn, [*wanted])
    fleet = await room.lookout.fleet()
    page = ListPage(
        title=words("nav.operations"),
        intro=words("operations.intro"),
        tables=[_wanted(wanted, results, logs, fleet, words), _results(results, fleet, now, words)],
    )
    return Shown("list.html", page)


async def show_one(room: Room, visit: Visit) -> Shown:
    """One operation: every site that it is for, or was, and the texts that their boxes sent."""
    name, now, words = visit.path["operation"], room.clock(), visit.words
    async with connection(room.pool) as conn:
        wanted = await library.document_of(conn, "operations", name, Operation)
        results = await operation_logs.results_of(conn, name)
        logs = {
            log.site: StoredLog(log.received_at, log.stored_bytes) for log in await operation_logs.logs_of(conn, name)
        }
    if wanted is None and not results and not logs:
        raise NotFound(f"cannot find the operation {name[:80]}: neither Git nor a box knows of it")
    fleet = await room.lookout.fleet()
    asked = [_manifest_operation(name, wanted)] if wanted else []
    done = {result.site: result for result in reversed(results)}
    for_whom = {view.site for view in targets(wanted, fleet)} if wanted else set()
    views = [view for view in fleet.sites if view.site in for_whom or view.site in done or view.site in logs]
    rows = []
    for view in views[:SITES_SHOWN]:
        known = Asked(
            asked,
            [done[view.site]] if view.site in done else [],
            {name: logs[view.site]} if view.site in logs else {},
        )
        rows.append(_of_site(view, operation_rows(view, known, now, words, reads=may_see(visit.reader, "operators"))))
    left = len(views) - len(rows)
    table = Table(
        key="sites",
        title=words("group.sites"),
        heads=heads(words("column.site"), words("operation.result"), words("operation.when"), words("operation.log")),
        rows=rows,
        none=words("group.empty"),
        more=words.count("table.more", left) if left > 0 else "",
    )
    page = ListPage(
        title=name,
        parents=[("/operations", words("nav.operations"))],
        facts=[Facts(key="facts", title=words("operation.facts"), facts=_facts(wanted, results, words))],
        tables=[table],
    )
    return Shown("list.html", page)


def _manifest_operation(name: DocumentId, operation: Operation) -> ManifestOperation:
    return ManifestOperation(id=name, action=operation.action, service=operation.service, not_after=operation.not_after)


def _of_site(view: SiteView, rows: Sequence[OperationRow]) -> list[Cell]:
    """A site whose box was asked, or said how it ended, or sent a text."""
    site = Cell(text=view.name, link=f"/sites/{view.site}")
    if not rows:
        return [site, Cell(text="—"), Cell(text="—"), Cell(text="—")]
    row = rows[0]
    text = Cell(text=row.log_note, link=row.log) if row.log else Cell(text="—")
    return [site, Cell(text=row.state, note=row.message, tone=row.tone), Cell(text=row.when, at=row.at), text]


def _facts(wanted: Operation | None, results: Sequence[Result], words: Words) -> list[tuple[str, Cell]]:
    if wanted is None:
        action = results[0].message.partition("): ")[0].partition(" (")[2] if results else "—"
        return [
            (words("operation.action"), Cell(text=action)),
            (words("change.state"), Cell(text=words("operation.gone"))),
        ]
    target = wanted.target
    link = f"/sites/{target.site}" if target.site else f"/groups/{target.group}"
    return [
        (words("operation.action"), Cell(text=f"{wanted.action} {wanted.service or ''}".strip())),
        (words("operation.target"), Cell(text=target.site or target.group or "", link=link)),
        (words("operation.until"), Cell(text=words.instant(wanted.not_after))),
    ]


def targets(operation: Operation, fleet: Fleet) -> list[SiteView]:
    """The active sites that an operation is for."""
    target = operation.target
    return [
        view
        for view in fleet.sites
        if view.state == "active"
        and (view.site == target.site or (target.group and target.group in view.facts.get("groups", ())))
    ]


def _wanted(
    wanted: Mapping[DocumentId, Operation],
    results: Sequence[Result],
    logs: Mapping[DocumentId, int],
    fleet: Fleet,
    words: Words,
) -> Table:
    done: dict[DocumentId, dict[SiteId, Result]] = {}
    for result in reversed(results):
        done.setdefault(result.operation, {})[result.site] = result
    rows = []
    for name, operation in sorted(wanted.items(), key=lambda pair: pair[1].not_after, reverse=True):
        sites, came = targets(operation, fleet), done.get(name, {})
        failed = sum(came[view.site].reason != "OperationSucceeded" for view in sites if view.site in came)
        reached = sum(view.site in came for view in sites)
        progress = f"{words.number(reached)} / {words.number(len(sites))}"
        rows.append(
            [
                Cell(
                    text=name, link=f"/operations/{name}", note=f"{operation.action} {operation.service or ''}".strip()
                ),
                Cell(text=operation.target.site or operation.target.group or ""),
                Cell(text=words.instant(operation.not_after)),
                Cell(text=progress, note=words("operation.logs", n=words.number(logs[name])) if logs.get(name) else ""),
                Cell(text=words.number(failed) if failed else "—", tone="bad" if failed else ""),
            ]
        )
    return Table(
        key="operations",
        title=words("operations.wanted"),
        heads=heads(
            words("operation.name"),
            words("operation.target"),
            words("operation.until"),
            words("operation.done") + ">",
            words("operation.failed") + ">",
        ),
        rows=rows,
        none=words("operations.none"),
    )


def _results(results: Sequence[Result], fleet: Fleet, now: datetime, words: Words) -> Table:
    names = {view.site: view.name for view in fleet.sites}
    return Table(
        key="results",
        title=words("operations.results"),
        heads=heads(words("operation.name"), words("column.site"), words("operation.result"), words("operation.when")),
        rows=[
            [
                Cell(text=result.operation, link=f"/operations/{result.operation}"),
                Cell(text=names.get(result.site, result.site), link=f"/sites/{result.site}"),
                Cell(
                    text=words(f"reason.{result.reason}"),
                    note="" if result.reason == "OperationSucceeded" else result.message,
                    tone=_TONES.get(result.reason, ""),
                ),
                Cell(text=words.ago(result.at, now), at=result.at),
            ]
            for result in results[:200]
        ],
        none=words("operations.none"),
    )
