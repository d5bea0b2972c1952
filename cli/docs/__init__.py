"""Pages of `docs/` that are made from the code: one module a page, `make docs` writes them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cli.docs.alerts import alerts_page
from cli.docs.conditions import conditions_page
from cli.docs.problems import problems_page
from cli.docs.prometheus import prometheus_page
from cli.docs.verbs import cli_page

FOLDER: Final = Path(__file__).parents[2] / "docs"
PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "alerts.md": alerts_page,
    "cli.md": cli_page,
    "conditions.md": conditions_page,
    "problems.md": problems_page,
    "prometheus.md": prometheus_page,
}
"""File in `docs/` -> what makes its text."""
