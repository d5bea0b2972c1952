"""What a page may not be made of, as a browser's parser sees it: anything that came from somebody's text."""

import re
from collections.abc import Sequence
from typing import Any

import html5lib

from tests.support.hostile import SIGN

LOADING = {"src", "href", "action", "formaction", "data", "poster", "srcset", "ping", "background", "cite"}
"""Attributes that lead somewhere."""
HERE = re.compile(r"[?#]|/(?![/\\])")


def elements(html: str) -> Sequence[Any]:
    """Every element, as a browser's parser makes it of the text."""
    return list(html5lib.parse(html, namespaceHTMLElements=False).iter())


def require_no_script(html: str, where: str) -> None:
    """No element or attribute came from a text, no link leads to a script, and the only script is our own file."""
    found = elements(html)
    assert len(found) > 10, where
    for element in found:
        if not isinstance(element.tag, str):
            assert SIGN not in (element.text or ""), f"{where}: a comment holds a text"
            continue
        names = {re.sub(r"\{.*\}", "", name).lower() for name in element.attrib}
        assert SIGN not in element.tag and not any(SIGN in name for name in names), f"{where}: {element.tag} {names}"
        assert not any(name.startswith("on") or name == "style" for name in names), f"{where}: {element.tag} {names}"
        assert element.tag not in ("iframe", "object", "embed", "base", "style"), f"{where}: {element.tag}"
        for name in names & LOADING:
            value = element.get(name) or element.get("{http://www.w3.org/1999/xlink}" + name) or ""
            assert HERE.match(value), f"{where}: {element.tag} {name}={value}"
        if element.tag == "script":
            assert not element.text and element.get("src", "").startswith("/static/"), where
