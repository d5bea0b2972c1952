"""Where each page of PAGES is found in a test's fleet: a page without an address that shows something is no page."""

import re
from collections.abc import Iterator, Mapping

from control_plane.web.pages import PAGES

FILES = (".csv", ".json", "/thumbnail")
"""Endings of what is no page, but a file or a part of one."""


def addresses(examples: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Path in PAGES -> address; `examples` has a value for each parameter of a path, KeyError where one is missing."""
    for page in PAGES:
        yield page.path, re.sub(r"\{(\w+)(:\w+)?\}", lambda found: examples[found[1]], page.path)


def pages(examples: Mapping[str, str]) -> list[str]:
    """The addresses of those that are HTML."""
    return [address for path, address in addresses(examples) if not path.endswith(FILES)]
