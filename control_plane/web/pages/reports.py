"""How it went: availability, deployments, traffic and frequent troubles, by week and by month."""

from datetime import date, timedelta
from typing import Final

from control_plane.web.present import Segment
from control_plane.web.table import Cell, ListPage, Table, heads
from control_plane.web.visit import Room, Shown, Visit
from control_plane.web.words import Words, spaced
from schemas.memory import Availability, Deployments, Period, Traffic, Trouble

WEEKS: Final = 8
MONTHS: Final = 12


async def show(room: Room, visit: Visit) -> Shown:
    """The page, by week, or by month with `?by=month`."""
    words = visit.words
    by: Period = "month" if visit.query.get("by") == "month" else "week"
    count = MONTHS if by == "month" else WEEKS
    await room.lookout.fleet()
    found = await room.lookout.outcomes(by, count)
    other = "week" if by == "month" else "month"
    page = ListPage(
        title=words("nav.reports"),
        parents=[(f"/reports?by={other}", words(f"reports.{other}"))],
        tables=[
            _availability(found.availability, by, words),
            _deployments(found.deployments, by, words),
            _traffic(found.traffic, by, words),
            _troubles(found.troubles, words),
        ],
    )
    return Shown("list.html", page)


def _availability(found: list[Availability], by: Period, words: Words) -> Table:
    rows = []
    for one in reversed(found):
        share = one.heard
        bar = [] if share is None else _bar(share, words)
        said = "—" if share is None else words("percent", n=words.decimal(100 * share, 2))
        offline = (
            words("percent", n=words.decimal(100 * one.ran_unheard_s / one.ran_s, 1))
            if one.ran_s and one.known_s
            else "—"
        )
        rows.append([Cell(text=_period(one.begins, by, words)), Cell(text=said, bar=bar), Cell(text=offline)])
    return Table(
        key="availability",
        title=words("reports.availability"),
        heads=heads(words(f"reports.{by}"), words("reports.heard") + ">", words("reports.away") + ">"),
        rows=rows,
        none=words("reports.none"),
    )


def _deployments(found: list[Deployments], by: Period, words: Words) -> Table:
    rows = []
    for one in reversed(found):
        success = one.success
        rows.append(
            [
                Cell(text=_period(one.begins, by, words)),
                Cell(text=words.number(one.published)),
                Cell(
                    text="—" if success is None else words("percent", n=words.decimal(100 * success, 1)),
                    bar=[] if success is None else _bar(success, words),
                ),
                Cell(text=words.number(one.failing) if one.failing else "—", tone="bad" if one.failing else ""),
                Cell(text=words.number(one.waiting) if one.waiting else "—"),
                Cell(text=_span(one.median_s, words)),
                Cell(text=_span(one.mean_s, words)),
            ]
        )
    labels = ("published", "success", "failing", "waiting", "median", "mean")
    return Table(
        key="deployments",
        title=words("reports.deployments"),
        heads=heads(words(f"reports.{by}"), *(words(f"reports.{label}") + ">" for label in labels)),
        rows=rows,
        none=words("reports.none"),
    )


def _traffic(found: list[Traffic], by: Period, words: Words) -> Table:
    most = max((one.download_bytes for one in found), default=0)
    rows = [
        [
            Cell(text=_period(one.begins, by, words)),
            Cell(text=words.number(one.reports)),
            Cell(text=words.number(one.downloads)),
            Cell(
                text=words.size(one.download_bytes),
                bar=_bar(one.download_bytes / most, words) if one.download_bytes else [],
            ),
        ]
        for one in reversed(found)
    ]
    return Table(
        key="traffic",
        title=words("reports.traffic"),
        heads=heads(
            words(f"reports.{by}"),
            words("activity.reports") + ">",
            words("reports.downloads") + ">",
            words("activity.transfers") + ">",
        ),
        rows=rows if any(one.reports or one.downloads for one in found) else [],
        none=words("reports.none"),
    )


def _troubles(found: list[Trouble], words: Words) -> Table:
    return Table(
        key="troubles",
        title=words("reports.troubles"),
        heads=heads(
            words("reports.reason"), words("reports.events") + ">", words("group.sites") + ">", words("reports.last")
        ),
        rows=[
            [
                Cell(
                    text=words.known(f"reason.{one.reason}", spaced(one.reason)),
                    note=words(f"severity.{one.severity}"),
                    tone="bad" if one.severity == "error" else "",
                ),
                Cell(text=words.number(one.events)),
                Cell(text=words.number(one.sites)),
                Cell(text=words.instant(one.last_at)),
            ]
            for one in found
        ],
        none=words("reports.calm"),
    )


def _bar(share: float, words: Words) -> list[Segment]:
    width = round(100 * share, 2)
    text = words("percent", n=words.decimal(100 * share, 1))
    return [Segment(standing="Synced", start=0.0, width=width, text=text)]


def _period(begins: date, by: Period, words: Words) -> str:
    return words.day(begins) if by == "week" else words.month(begins)


def _span(seconds: float | None, words: Words) -> str:
    if seconds is None:
        return "—"
    return words("span.moment") if seconds < 60 else words.span(timedelta(seconds=seconds))
