"""Every code of a Problem is explained, and every explanation is of a code that is found."""

import ast
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import get_args

import pytest

import control_plane
from control_plane.core.absent import absent_problems
from control_plane.core.compile import Problem, TreeEntry, compile_commit
from control_plane.core.problem_catalogue import CATALOGUE, Entry, Sample
from control_plane.core.problem_codes import Code
from control_plane.core.trust import require_continued
from tests.support.commits import NOEL, changed, release, site, small_fleet
from tests.support.fleet_generator import as_tree, trust_documents

CODES = frozenset(get_args(Code))
SOURCES = Path(control_plane.__file__).parent
WHERE = "control_plane/core/problem_catalogue"
ROOT, LIST = "trust/root-1.json", "trust/release-list-1.json"


def fleet(changes: Mapping[str, bytes | None] = {}) -> dict[str, bytes]:
    """A fleet of two sites without a problem."""
    return changed(small_fleet(), {"groups/rugby.yaml": None, **changes})


def said(samples: tuple[Sample, ...]) -> list[Problem]:
    """What is said of the fleet with these files in it."""
    modes = {sample.path: sample.mode for sample in samples}
    entries, blobs = as_tree(fleet({sample.path: sample.data for sample in samples}))
    entries = [TreeEntry(e.path, e.blob, modes.get(e.path, e.mode), e.size) for e in entries]
    return list(compile_commit(entries, blobs).problems)


def literals(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_every_code_has_an_entry_and_no_other_word_has() -> None:
    missing, extra = CODES - CATALOGUE.keys(), CATALOGUE.keys() - CODES
    assert not missing, f"explain {sorted(missing)} in {WHERE}: one Entry each, with a wrong and a right example"
    assert not extra, f"{sorted(extra)} are no codes: take them out of {WHERE}"


def test_every_code_is_one_that_the_code_can_find() -> None:
    """mypy sees to the reverse: a Problem takes no other code."""
    files = [file for file in SOURCES.rglob("*.py") if not file.is_relative_to(SOURCES / "core" / "problem_catalogue")]
    used = {word for file in files if file.name != "problem_codes.py" for word in literals(file)}
    assert used >= CODES


@pytest.mark.parametrize("entry", CATALOGUE.values(), ids=list(CATALOGUE))
def test_entry_says_what_why_and_what_to_do(entry: Entry) -> None:
    assert entry.title
    assert not entry.title.endswith(".")
    for text in (entry.means, entry.why, entry.remedy):
        assert text.endswith(".")
        assert text[0].isupper() or text[0] == "`"


@pytest.mark.parametrize("code", [code for code, entry in CATALOGUE.items() if entry.wrong])
def test_wrong_example_yields_its_code_alone_and_the_right_one_nothing(code: str) -> None:
    entry = CATALOGUE[code]
    found = said(entry.wrong)
    assert {problem.code for problem in found} == {code}
    assert {problem.severity for problem in found} <= set(entry.severities)
    assert entry.right
    assert said(entry.right) == []


def commit(changes: Mapping[str, bytes | None]) -> Callable[[], list[Problem]]:
    return lambda: list(compile_commit(*as_tree(fleet(changes))).problems)


def without_blob() -> list[Problem]:
    return list(absent_problems({"sha256:" + "ab" * 32}, {}, set(), *as_tree(fleet({"videos/noel.yaml": NOEL}))))


def rewritten() -> list[Problem]:
    published, other = trust_documents(7), trust_documents(8)
    trust = compile_commit(*as_tree(fleet(other))).trust_documents
    return require_continued(trust, published[ROOT], published[LIST])


# What no page can show: sizes, signatures, what is not there.
NOT_SHOWN: dict[str, Callable[[], list[Problem]]] = {
    "BlobMissing": without_blob,
    "FileTooLarge": commit({"sites/x.yaml": b"#" * (1 << 20) + b"\n"}),
    "MissingFile": commit({"fleet.yaml": None}),
    "NameMismatch": commit({"releases/9.9.9.yaml": release("2.1.3")}),
    "ReleaseNotAllowed": commit({"sites/x.yaml": site("x", "release: 2.2.0\n"), **trust_documents(7, ("2.1.3",))}),
    "ReleaseTreeDiffers": commit(
        {"releases/2.2.0.yaml": f"version: 2.2.0\ntree: sha256:{'0' * 64}\nsize_bytes: 1\n".encode()}
    ),
    "RequirementNotMet": commit(
        {
            "releases/2.1.3.yaml": release("2.1.3", "requires: {hardware: [rpi5-8gb]}\n"),
            "sites/x.yaml": site("x", "hardware: rpi4-4gb\n"),
        }
    ),
    "RootMissing": commit({"trust/root-3.json": trust_documents(7)[ROOT]}),
    "SignatureRefused": commit({LIST: trust_documents(8)[LIST]}),
    "TooManyProblems": commit({"sites/x.yaml": b"a: &x 1\n" * 300}),
    "TrustMissing": commit({LIST: None}),
    "TrustRewritten": rewritten,
}


def test_every_entry_has_an_example_or_is_shown_here() -> None:
    assert {code for code, entry in CATALOGUE.items() if not entry.wrong} == NOT_SHOWN.keys()


@pytest.mark.parametrize("code", sorted(NOT_SHOWN))
def test_what_a_page_cannot_show_is_found_too(code: str) -> None:
    found = [problem for problem in NOT_SHOWN[code]() if problem.code == code]
    assert found
    assert {problem.severity for problem in found} == set(CATALOGUE[code].severities)
