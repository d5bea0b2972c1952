"""Parsed documents that outlive the program: found again, never wrong, private, bounded."""

import logging
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.core.compile import CompiledFleet, compile_commit
from control_plane.core.fixtures import Calendar
from control_plane.documents import DocumentCache, program_digest
from schemas.desired import Site
from tests.contract.test_same_tree_same_bytes import edit, everything
from tests.support.fleet_generator import as_tree, make_fleet

FLEET = make_fleet(60, 5)
ENTRIES, BLOBS = as_tree(FLEET)
TRUST = {entry.blob: BLOBS[entry.blob] for entry in ENTRIES if entry.path.startswith("trust/")}
"""All that must be read when every document is known; the fleet has nothing to warn of."""


@contextmanager
def opened(folder: Path, **how: bytes | int) -> Iterator[DocumentCache]:
    with closing(DocumentCache(folder, **how)) as documents:  # type: ignore[arg-type]
        yield documents


def kept(folder: Path, **how: bytes | int) -> CompiledFleet:
    """The fleet compiled and its documents kept."""
    with opened(folder, **how) as documents:
        compiled = compile_commit(ENTRIES, BLOBS, None, documents)
        documents.keep()
    return compiled


def test_documents_that_were_kept_are_not_read_again_after_a_restart(tmp_path: Path) -> None:
    first = kept(tmp_path)
    with opened(tmp_path) as documents:
        assert everything(compile_commit(ENTRIES, TRUST, None, documents)) == everything(first)


def test_a_document_is_known_before_it_is_written(tmp_path: Path) -> None:
    with opened(tmp_path) as documents:
        first = compile_commit(ENTRIES, BLOBS, None, documents)
        assert everything(compile_commit(ENTRIES, TRUST, None, documents)) == everything(first)


def test_another_version_of_the_program_finds_nothing(tmp_path: Path) -> None:
    kept(tmp_path, program=b"one")
    with opened(tmp_path, program=b"other") as documents, pytest.raises(KeyError):
        compile_commit(ENTRIES, TRUST, None, documents)
    with opened(tmp_path, program=b"one") as documents:
        assert compile_commit(ENTRIES, TRUST, None, documents).sites


def test_the_program_is_told_by_its_source() -> None:
    assert program_digest() == program_digest() != b""
    assert len(program_digest()) == 32


def test_the_same_bytes_read_as_another_kind_are_another_document(tmp_path: Path) -> None:
    kept(tmp_path)
    site = next(entry for entry in ENTRIES if entry.path.startswith("sites/"))
    moved = [
        entry._replace(path=entry.path.replace("sites/", "groups/")) if entry == site else entry for entry in ENTRIES
    ]
    with opened(tmp_path) as documents:
        again = compile_commit(moved, BLOBS, None, documents)
    assert everything(again) == everything(compile_commit(moved, BLOBS))
    assert again.has_errors


def test_the_folder_and_its_file_are_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "documents"
    kept(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in folder.iterdir()] == [0o600]


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_file_costs_time_and_nothing_else(tmp_path: Path, data: st.DataObject) -> None:
    folder = tmp_path / data.draw(st.uuids()).hex
    expected = everything(kept(folder))
    (file,) = folder.iterdir()
    whole = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 200))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    file.write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    for _ in range(2):
        with opened(folder) as documents:
            assert everything(compile_commit(ENTRIES, BLOBS, None, documents)) == expected
            documents.keep()
    kept(folder)
    with opened(folder) as documents:
        assert everything(compile_commit(ENTRIES, TRUST, None, documents)) == expected


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\0" + bytes(2000)])
def test_a_file_that_is_no_database_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "documents.sqlite3").write_bytes(content)
    kept(tmp_path)
    kept(tmp_path)
    with opened(tmp_path) as documents:
        assert compile_commit(ENTRIES, TRUST, None, documents).sites


def test_a_folder_that_cannot_be_is_told_and_nothing_is_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    with caplog.at_level(logging.WARNING, "control_plane.documents"):
        assert everything(kept(tmp_path / "file" / "documents")) == everything(compile_commit(ENTRIES, BLOBS))
    assert "they are parsed again" in caplog.text


def test_the_file_stays_within_its_bound_and_keeps_the_newest(tmp_path: Path) -> None:
    site = next(BLOBS[entry.blob] for entry in ENTRIES if entry.path.startswith("sites/"))
    for turn in range(40):
        files = {f"sites/club-{turn}-{n}.yaml": site + b"# %d %d\n" % (turn, n) for n in range(50)}
        entries, blobs = as_tree(files)
        with opened(tmp_path, max_bytes=200_000) as documents:
            compile_commit(entries, blobs, None, documents)
            documents.keep()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 400_000
    with opened(tmp_path) as documents:
        assert all(isinstance(documents.get((Site, entry.blob)), Site) for entry in entries)


@given(st.integers(0, 2**32))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_documents_from_the_cache_compile_to_what_their_files_do(tmp_path: Path, code: int) -> None:
    chance, files = random.Random(code), FLEET
    with opened(tmp_path) as documents:
        for _ in range(5):
            files = edit(files, chance, FLEET)
            tree = as_tree(files)
            assert everything(compile_commit(*tree, None, documents)) == everything(compile_commit(*tree))
            documents.keep()


def test_a_calendar_is_kept_like_any_document_unless_there_is_something_to_warn_of(tmp_path: Path) -> None:
    event = (
        b"BEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\nDTSTART:20260110T190000Z\r\nDTEND:20260110T210000Z\r\n"
    )
    sound = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n" + event + b"END:VEVENT\r\nEND:VCALENDAR\r\n"
    entries, blobs = as_tree(FLEET | {"calendars/home.ics": sound})
    with opened(tmp_path) as documents:
        first = compile_commit(entries, blobs, None, documents)
        documents.keep()
    with opened(tmp_path) as documents:
        again = compile_commit(entries, TRUST, None, documents)
    assert everything(again) == everything(first) and not first.problems
    calendar = first.state.reading.files["calendars/home.ics"].document
    assert isinstance(calendar, Calendar) and calendar.fixed
    assert again.state.reading.files["calendars/home.ics"].document == calendar
