"""Every code that a Problem can have: what it means, why, what to do, and an example (pure).

`neopro explain CODE` prints an entry, `docs/problems.md` is made of all of them, and the tests run each example.
"""

from collections.abc import Mapping
from typing import Final

from control_plane.core.problem_catalogue.across import ACROSS
from control_plane.core.problem_catalogue.documents import DOCUMENTS
from control_plane.core.problem_catalogue.entry import Entry, Sample
from control_plane.core.problem_catalogue.names import NAMES
from control_plane.core.problem_catalogue.text import TEXT
from control_plane.core.problem_catalogue.trust import TRUST

__all__ = ["CATALOGUE", "CHAPTERS", "Entry", "Sample"]

CHAPTERS: Final[Mapping[str, tuple[Entry, ...]]] = {
    "Names of files and folders": NAMES,
    "YAML, read strictly": TEXT,
    "Within one document": DOCUMENTS,
    "Across documents": ACROSS,
    "Trust": TRUST,
}
"""The entries as a page tells them."""

CATALOGUE: Final[Mapping[str, Entry]] = {
    entry.code: entry for chapter in CHAPTERS.values() for entry in sorted(chapter, key=lambda entry: entry.code)
}
"""Code -> entry."""
