"""Operations: what boxes were asked to do once, who has done it and how it went."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from control_plane.store import library, operation_logs
from control_plane.store.operation_logs import Result
from control_plane.store.pool import connection
from control_plane.store.views import Fleet, SiteView
from control_plane.web.table import Cell, ListPage, Table, heads
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words
from schemas.desired import Operation
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
                Cell(text=name, note=f"{operation.action} {operation.service or ''}".strip()),
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
                Cell(text=result.operation),
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
