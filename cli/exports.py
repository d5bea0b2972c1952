"""The tables of an export: a JSON file, or a folder of CSV or JSON files. Rows keep the place where they stood."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from cli.errors import CommandFailed
from control_plane.core.yaml_strict import INVISIBLE, MAX_JSON_INTEGER

TABLES: Final = ("sites", "groups", "site_groups", "videos")
MAX_BYTES: Final = 256 << 20
_NOTHING: Final[tuple[Any, ...]] = (None, "", [], {})


class Row(NamedTuple):
    """A row of a table: `place` as `sites.csv:14` or `export.json: sites[3]`; `cells` by lower-case column.

    `asked` are the columns of the table that somebody looked at: the rest was not taken over.
    """

    place: str
    cells: Mapping[str, Any]
    asked: set[str]

    def get(self, *names: str) -> Any:
        """The first of these columns that holds something; None where none does."""
        self.asked.update(names)
        return next((value for name in names if (value := self.cells.get(name)) not in _NOTHING), None)

    def text(self, *names: str) -> str:
        """The same as text on one line without blanks around it; empty where there is none."""
        value = self.get(*names)
        return "" if value is None or isinstance(value, list | dict) else clean(value)

    def items(self, *names: str) -> list[str]:
        """The same as a list: JSON's, PostgreSQL's `{a,b}`, or text with commas or semicolons."""
        value = self.get(*names)
        if isinstance(value, str):
            inner = value[1:-1] if value[:1] + value[-1:] == "{}" else value
            value = [part.strip(' "') for part in inner.replace(";", ",").split(",")]
        found = value if isinstance(value, list) else [] if value is None else [value]
        return [text for item in found if not isinstance(item, list | dict) and (text := clean(item))]

    def number(self, *names: str) -> float | None:
        """The same as a number; None where it is none, or beyond what a document may hold."""
        try:
            number = float(self.text(*names).replace(",", "."))
        except ValueError:
            return None
        return number if abs(number) <= MAX_JSON_INTEGER else None  # which neither infinity nor NaN is


def clean(value: object) -> str:
    """Text on one line, without what nobody could see and no document may hold."""
    text = str(value).encode("utf-8", "ignore").decode()
    return " ".join(INVISIBLE.sub(" ", text).split())


def read_export(path: Path) -> dict[str, list[Row]]:
    """Table -> rows, for the tables that are known; CommandFailed where there is no export."""
    if path.is_dir():
        files = {name: file for name in TABLES if (file := _file_of(path, name))}
        found = {name: list(_rows_of(file, name)) for name, file in files.items()}
    else:
        found = {name: list(_rows_of(path, name)) for name in TABLES}
    if not found.get("sites"):
        raise CommandFailed(
            f"cannot import {path}: it holds no sites; name a folder with sites.csv (or .json), groups and videos, or "
            'one JSON file {"sites": [...], "groups": [...], "videos": [...]}'
        )
    return found


def left_columns(rows: Sequence[Row]) -> list[str]:
    """The columns that hold something and that nobody looked at."""
    held = {column for row in rows for column, value in row.cells.items() if value not in _NOTHING}
    return sorted(held - rows[0].asked) if rows else []


def _file_of(folder: Path, name: str) -> Path | None:
    return next((file for end in ("csv", "json") if (file := folder / f"{name}.{end}").is_file()), None)


def _rows_of(file: Path, table: str) -> Iterator[Row]:
    text = _text_of(file)
    if file.suffix.lower() == ".csv":
        return _csv_rows(file.name, text)
    return _json_rows(file, table, text)


def _text_of(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise CommandFailed(f"cannot import {file}: it has more than {MAX_BYTES >> 20} MiB")
        data = file.read_bytes()
    except OSError as problem:
        raise CommandFailed(f"cannot import {file}: {problem.strerror}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")  # what a spreadsheet writes on Windows


def _csv_rows(name: str, text: str) -> Iterator[Row]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    asked: set[str] = set()
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        for cells in reader:
            known = {key.strip().lower(): _cell(value) for key, value in cells.items() if key and value is not None}
            if any(value not in _NOTHING for value in known.values()):
                yield Row(f"{name}:{reader.line_num}", known, asked)
    except csv.Error as problem:
        raise CommandFailed(f"cannot import {name}:{reader.line_num}: {problem}") from None


def _cell(value: Any) -> Any:
    """A cell: JSON where it is a list or a map, else text; NULL is nothing."""
    text = value.strip() if isinstance(value, str) else ""
    if text[:1] + text[-1:] in ("[]", "{}"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return "" if text.upper() in ("NULL", "\\N") else text


def _json_rows(file: Path, table: str, text: str) -> Iterator[Row]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise CommandFailed(f"cannot import {file}: it is no JSON: {problem}") from None
    rows: Any = document
    where = f"{file.name}: {table}"
    if isinstance(document, dict):
        rows = document.get(table) or document.get("data" if file.stem == table else table) or []
    elif table not in (file.stem, "sites"):
        rows = []
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise CommandFailed(f"cannot import {file}: {table} is not a list")
    asked: set[str] = set()
    for number, cells in enumerate(rows, 1):
        if not isinstance(cells, dict):
            raise CommandFailed(f"cannot import {where}[{number}]: it is not an object with names and values")
        yield Row(f"{where}[{number}]", {str(key).lower(): value for key, value in cells.items()}, asked)
