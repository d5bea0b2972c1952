"""Pages as their readers meet them, of a small fleet in four states."""

import re
from datetime import timedelta
from html.parser import HTMLParser

from schemas.status import RunningRelease
from tests.support.api import Api
from tests.support.published import NOW, Box, Wanted, report


class Page(HTMLParser):
    """A page as a reader meets it: its text, links, and the regions that its script replaces."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.regions: list[str] = []
        self.stack: list[str] = []
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.links += [given["href"] or ""] if tag == "a" else []
        self.sources += [given[name] or "" for name in ("src",) if name in given]
        self.sources += [given["href"] or ""] if tag == "link" else []
        self.regions += [given["id"] or ""] if "data-live" in given else []
        assert "style" not in given, "the policy forbids inline style"
        assert not any(name.startswith("on") for name in given), "the policy forbids inline script"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


async def page(api: Api, path: str, **headers: str) -> Page:
    """The page at a path, as it came."""
    answer = await api.http.get(path, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return Page(answer.text)


async def fleet(api: Api) -> tuple[int, int]:
    """Four sites in four states; the generations of the first and of the second commit."""
    facts = {"club": "HB Brest", "city": "Brest", "groups": ["bretagne", "beta"]}
    first = int(api.now.timestamp() * 1000)
    sites = {
        "brest": Wanted(Box("brest").identity, name="Brest Handball", release="2.1.3", facts=facts),
        "nantes": Wanted(Box("nantes").identity, name="Nantes Basket", release="2.1.3"),
        "rennes": Wanted(Box("rennes").identity, name="Rennes FC", release="2.1.3"),
        "vannes": Wanted(None, name="Vannes Rugby", release="2.1.3"),
    }
    await api.publish(sites, subject="Start the fleet", author="Ada Lovelace <ada@example.org>")
    api.now += timedelta(minutes=2)
    changed = {site: sites[site] for site in ("brest", "nantes")}
    await api.publish(changed, subject="Add spring sponsors")
    second = first + 120_000
    running = RunningRelease(version="2.1.3", tree="sha256:" + "0" * 64)
    await api.report("brest", report(second, release=running))
    await api.report("nantes", report(first, release=RunningRelease(version="2.0.0")))
    await api.report("rennes", report(first), at=NOW - timedelta(hours=3))
    return first, second
