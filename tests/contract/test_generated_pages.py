"""Pages of docs/ that are made from the code are as the code makes them."""

import re

import pytest
from markdown_it import MarkdownIt

from cli.docs import FOLDER, PAGES


@pytest.mark.parametrize("name", sorted(PAGES))
def test_page_made_again_leaves_no_difference(name: str) -> None:
    """After a change that is meant: `make docs`."""
    assert (FOLDER / name).read_text() == PAGES[name]()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_links_within_a_page_lead_to_a_heading(name: str) -> None:
    tokens = MarkdownIt("commonmark").parse(PAGES[name]())
    headings = [tokens[n + 1].content for n, token in enumerate(tokens) if token.type == "heading_open"]
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGES[name]())) <= anchors
