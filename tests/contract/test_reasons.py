"""Every reason that may be given has words on the page, in both languages, and a meaning with what to do."""

import importlib
import re
from pathlib import Path
from pkgutil import iter_modules

import reconciler_agent
from control_plane.web import texts
from control_plane.web.catalog import CATALOG
from reconciler_agent import errors
from schemas.reasons import CHAPTERS, REASONS

LITERAL = re.compile(r'"([A-Z][a-z]+(?:[A-Z][a-z]+)*)"')
"""A CamelCase word between quotes is a reason, but for those that are something else."""
CONDITIONS = {"Synced", "Progressing", "Degraded", "Connected", "True", "False", "Unknown"}
WORDS = {
    "ActiveState",
    "LoadState",
    "MemAvailable",
    "MemTotal",
    "Restarting",
    "Fetching",
    "Removing",
    "Starting",
    "Loop",
    "Match",
}
HEADERS = {"Authorization", "Range", "Prefer"}


def reasons() -> set[str]:
    """What is written down in the agent's code, and the names of its errors."""
    sources = [path.read_text() for path in Path(reconciler_agent.__file__).parent.rglob("*.py")]
    tree = {name for name, value in vars(errors).items() if isinstance(value, type) and value is not errors.AgentError}
    return {word for text in sources for word in LITERAL.findall(text)} - CONDITIONS - WORDS - HEADERS | tree


def test_every_reason_of_the_agent_has_words_on_the_page() -> None:
    found = reasons()
    assert {"OutsideWindow", "OperationFailed", "StateLost", "AtRest", "ReleaseHealthy", "DiskFull"} <= found
    assert {reason for reason in found if f"reason.{reason}" not in CATALOG} == set()


def test_every_reason_of_the_agent_has_a_meaning() -> None:
    assert reasons() - set(REASONS) == set()


def test_every_reason_that_the_server_gives_has_a_meaning() -> None:
    assert {key.removeprefix("why.") for key in CATALOG if key.startswith("why.")} - set(REASONS) == set()


def test_a_reason_is_told_in_one_chapter() -> None:
    assert len(REASONS) == sum(len(chapter) for chapter in CHAPTERS.values())


def test_every_text_of_the_pages_is_written_once() -> None:
    rooms = [importlib.import_module(f"{texts.__name__}.{room.name}").TEXTS for room in iter_modules(texts.__path__)]
    assert len(rooms) >= 4
    assert len(CATALOG) == sum(map(len, rooms))
