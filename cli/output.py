"""What a verb prints: data on standard output (text, or JSON alone), everything else on standard error.

Colour follows the terminal and NO_COLOR; progress is shown on a terminal only, so that logs and pipes stay clean.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol, TextIO
from unicodedata import category, combining, east_asian_width

import msgspec

LEAST_WIDTH: Final = 6
"""Of a column that gives way."""


class Advance(Protocol):
    """Tells a progress bar how much more is done."""

    def __call__(self, done: int) -> None:
        """`done` more of the total."""


class Output:
    """Where one run of a verb prints; with `json`, `say`, `table` and `mark` are silent and `data` speaks."""

    def __init__(self, json: bool = False, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.json = json
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._open_line = False

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks on: text on a terminal."""
        return self._out.isatty() and not self.json

    @property
    def width(self) -> int:
        """Columns that a table may take: the terminal's, or as many as it wants when piped."""
        return os.get_terminal_size(self._out.fileno()).columns if self._out.isatty() else 10_000

    def say(self, text: str = "") -> None:
        """A line for people, or several."""
        self._say(visible(text))

    def _say(self, text: str) -> None:
        if not self.json:
            self._end_line()
            print(text, file=self._out, flush=True)

    def mark(self, mark: str, colour: str, text: str) -> None:
        """A line of a list of findings, behind its mark."""
        self._say(f"  {self.style(mark, colour)} {visible(text)}")

    def note(self, text: str) -> None:
        """A line beside the data: warnings, what was left out."""
        print(visible(text), file=self._err, flush=True)

    def data(self, value: Any) -> None:
        """The result, where `--json` asked for it."""
        if self.json:
            print(msgspec.json.format(msgspec.json.encode(value)).decode(), file=self._out, flush=True)

    def raw(self, text: str) -> None:
        """Text that a program asked for, as it is."""
        print(text, end="", file=self._out, flush=True)

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Mapping[str, str] | None = None
    ) -> None:
        """Rows under a heading, cut to the terminal where there is one; `styles`: a cell's text -> its ANSI style."""
        if self.json:
            return
        for cells in layout(columns, rows, self.width):
            line = "  ".join(self.style(cell, (styles or {}).get(cell.rstrip(), "")) for cell in cells)
            print(line.rstrip(), file=self._out)
        self._out.flush()

    def clear(self) -> None:
        """An empty terminal."""
        print("\x1b[H\x1b[2J", end="", file=self._out)

    def style(self, text: str, code: str) -> str:
        """`text` in an ANSI style, where colours are wanted."""
        coloured = self._out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return f"\x1b[{code}m{text}\x1b[0m" if coloured and code else text

    @contextmanager
    def step(self, doing: str) -> Iterator[None]:
        """Say what is being done while it is done; then a check mark and the time, or a cross when it failed."""
        started = time.monotonic()
        if not self.json:
            print(f"{doing} …", end="", file=self._out, flush=True)
            self._open_line = True
        try:
            yield
        except BaseException:
            self._finish(doing, "✗", "31", started)
            raise
        self._finish(doing, "✓", "32", started)

    def _finish(self, doing: str, mark: str, colour: str, started: float) -> None:
        took = f"{time.monotonic() - started:.1f} s"
        if self._open_line and not self.is_terminal:
            self._open_line = False
            print(f" {mark} {took}", file=self._out, flush=True)
        else:
            self._say(f"{self.style(mark, colour)} {doing} ({took})")

    def _end_line(self) -> None:
        """Leave the line of a step under way: a terminal forgets it, a log keeps it."""
        if self._open_line:
            print("\r\x1b[K" if self.is_terminal else "\n", end="", file=self._out)
            self._open_line = False

    @contextmanager
    def progress(self, doing: str, total: int) -> Iterator[Advance]:
        """A bar over `total` bytes on standard error, where that is a terminal."""
        if not self._err.isatty() or total == 0:
            yield lambda _done: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(file=self._err), transient=True) as bars:
            task = bars.add_task(doing, total=total)
            yield lambda done: bars.advance(task, done)


def visible(text: str, *, lines: bool = True) -> str:
    """`text` with its control and other invisible characters written out; with `lines`, line ends stay.

    Subjects of commits and words of boxes come here: none of them may steer the operator's terminal.
    """
    if text.isprintable():
        return text
    kept = "\u00a0\u202f\n" if lines else "\u00a0\u202f"  # French sets its colons off with such blanks
    return "".join(c if c.isprintable() or c in kept else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def layout(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    """The cells of a table, each as wide as its column, two blanks apart; what does not fit is cut, ids last of all."""
    table = [list(columns), *([visible(cell, lines=False) for cell in row] for row in rows)]
    widths = _fitted([max(columns_of(row[index]) for row in table) for index in range(len(columns))], width)
    return [
        [*(_padded(cell, size) for cell, size in zip(row, widths[:-1], strict=False)), _cut(row[-1], widths[-1])]
        for row in table
    ]


def columns_of(text: str) -> int:
    """How many columns of a terminal the text takes: wide characters two, combining ones none (UAX 11)."""
    if text.isascii():
        return len(text)
    return sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if combining(character) or category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(character) in ("W", "F") else 1


def _fitted(wanted: Sequence[int], width: int) -> list[int]:
    """Widths of columns that fit: the first (an id, to be copied) keeps its own, the widest of the others give way."""
    room = width - 2 * (len(wanted) - 1)
    if sum(wanted) <= room or len(wanted) == 1:
        return [min(wanted[0], max(room, 1)), *wanted[1:]]
    others = max(room - wanted[0], LEAST_WIDTH * (len(wanted) - 1))
    cap = others
    while sum(min(size, cap) for size in wanted[1:]) > others and cap > LEAST_WIDTH:
        cap -= 1
    fitted = [min(size, cap) for size in wanted[1:]]
    fitted[-1] = max(fitted[-1], min(wanted[-1], others - sum(fitted[:-1])))
    return [min(wanted[0], max(room - sum(fitted), LEAST_WIDTH)), *fitted]


def _padded(text: str, width: int) -> str:
    cut = _cut(text, width)
    return cut + " " * (width - columns_of(cut))


def _cut(text: str, width: int) -> str:
    if columns_of(text) <= width:
        return text
    kept, used = 0, 0
    while (used := used + _columns_of(text[kept])) < width:
        kept += 1
    return text[:kept] + "…"
