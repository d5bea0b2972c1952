"""A table as most pages show one: cells of a few kinds, so that no page needs a template of its own for a list."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from control_plane.store.views import SiteView
from control_plane.web.curve import Curve
from control_plane.web.present import Segment, site_row
from control_plane.web.words import Words
from schemas.api import Standing

SITES_SHOWN: Final = 300
"""Of a table of sites: the page of all sites has search and filters."""


class Cell(Struct, frozen=True, kw_only=True):
    """What stands in a cell: a text, and beside or around it a link, a note, a standing, a bar or an instant.

    `lang`: the language of the text where it is not the page's; `tone`: good, bad, busy or quiet.
    """

    text: str = ""
    link: str = ""
    note: str = ""
    standing: Standing | None = None
    bar: Sequence[Segment] = ()
    at: datetime | None = None
    code: bool = False
    lang: str = ""
    tone: str = ""
    image: str = ""


class Head(Struct, frozen=True, kw_only=True):
    """The head of a column; `end`: numbers, set at the right."""

    label: str
    end: bool = False


class Table(Struct, frozen=True, kw_only=True):
    """Rows whose first cell names them; `none` is said when there are none, `more` when there are more than these.

    `key` is its id on the page.
    """

    key: str
    title: str
    heads: Sequence[Head]
    rows: Sequence[Sequence[Cell]]
    none: str
    more: str = ""


class Facts(Struct, frozen=True, kw_only=True):
    """Terms and what is so."""

    key: str
    title: str
    facts: Sequence[tuple[str, Cell]]


class ListPage(Struct, frozen=True, kw_only=True):
    """A page that is made of facts and tables. `parents`: links to the pages above it."""

    title: str
    intro: str = ""
    parents: Sequence[tuple[str, str]] = ()
    facts: Sequence[Facts] = ()
    tables: Sequence[Table] = ()
    curve: Curve | None = None
    text: str = ""
    """A text by somebody, in their language: a changelog."""


def heads(*labels: str) -> list[Head]:
    """Columns; a label that ends in `>` is of numbers."""
    return [Head(label=label.removesuffix(">"), end=label.endswith(">")) for label in labels]


class Column(Struct, frozen=True, kw_only=True):
    """A further column of a table of sites."""

    head: str
    cell: Callable[[SiteView], Cell]


def sites_table(
    views: Sequence[SiteView],
    now: datetime,
    words: Words,
    *,
    key: str,
    title: str,
    none: str,
    more: Sequence[Column] = (),
) -> Table:
    """These sites, how they stand and what they run."""
    rows: list[list[Cell]] = []
    for view in views[:SITES_SHOWN]:
        row = site_row(view, now, words)
        usual = [
            Cell(text=row.name, link=f"/sites/{row.site}", note=row.place),
            Cell(text=row.word, standing=row.standing, note="" if row.standing == "Synced" else row.why),
            Cell(text=row.release.observed),
        ]
        rows.append([*usual, *(column.cell(view) for column in more)])
    labels = (words("column.site"), words("column.state"), words("column.release"), *(column.head for column in more))
    left = len(views) - len(rows)
    said = words.count("table.more", left) if left > 0 else ""
    return Table(key=key, title=title, heads=heads(*labels), rows=rows, none=none, more=said)
