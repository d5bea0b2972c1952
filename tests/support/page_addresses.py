"""Where each page of PAGES is found in a test's fleet: a page without an address that shows something is no page."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from control_plane.web.pages import PAGES

FILES: Final = (".csv", ".json", "/thumbnail")
"""Endings of what is no page, but a file or a part of one."""
PAGE_PATHS: Final = tuple(page.path for page in PAGES if not page.path.endswith(FILES))


STILL: Final = ("/acceptance", "/logs/{operation:str}")
"""Endings of pages that do not change while they are read: they neither ask anew nor say that they do."""


def address_of(path: str, examples: Mapping[str, str]) -> str:
    """`examples` has a value for each parameter of a path; KeyError where one is missing."""
    return re.sub(r"\{(\w+)(:\w+)?\}", lambda found: examples[found[1]], path)


def addresses(examples: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Path in PAGES -> address."""
    for page in PAGES:
        yield page.path, address_of(page.path, examples)


def pages(examples: Mapping[str, str]) -> list[str]:
    """The addresses of those that are HTML."""
    return [address_of(path, examples) for path in PAGE_PATHS]


def live_pages(examples: Mapping[str, str]) -> list[str]:
    """The addresses of those that keep themselves fresh."""
    return [address_of(path, examples) for path in PAGE_PATHS if not path.endswith(STILL)]
