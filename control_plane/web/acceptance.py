"""The acceptance sheet of a box: what was checked, what was not, and who signs; pure.

A check is passed or failed only by what the box said; whatever it has not said is open, and the sheet says so.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from control_plane.core.standing import OFFLINE_AFTER
from control_plane.store.views import SiteView
from control_plane.web.present import HOT_CELSIUS, fact
from control_plane.web.present_content import Content
from control_plane.web.present_site import WEAK_SIGNAL_DBM, Labelled, facts_of
from control_plane.web.words import Words
from schemas.names import DocumentId
from schemas.status import Metrics

Result = Literal["passed", "failed", "open"]
EXPECTED: Final = (
    "release",
    "unit neopro-app",
    "unit neopro-admin",
    "unit neopro-kiosk",
    "page",
    "neopro-app",
    "neopro-admin",
    "configuration",
    "disk",
    "clock",
    "link",
)
"""The checks of every self-test, by their names; units are those of the release."""
BY_HAND: Final = ("picture", "sound", "remote", "loop", "match", "power", "air", "person")
"""What only somebody in the room can see."""
_LINE: Final = re.compile(r"(FAIL|ok  ) (.*?): (.*)")


class Told(NamedTuple):
    """A check of a self-test, as its text says it; `found`: what was seen, or what is wrong."""

    name: str
    passed: bool
    found: str


class SelfTest(NamedTuple):
    """The newest self-test that a box handed over: for which operation, when it came, and its checks."""

    operation: DocumentId
    received_at: datetime
    checks: list[Told]


class Known(NamedTuple):
    """What is known of a box beside its reports: its newest self-test, its content, its public key."""

    test: SelfTest | None
    content: Content | None
    identity: str | None


class Check(Struct, frozen=True, kw_only=True):
    """A line of the sheet. `told`: what the box said, in its own language."""

    label: str
    result: Result
    word: str
    found: str = ""
    told: str = ""


class Group(Struct, frozen=True, kw_only=True):
    """Checks that belong together, and where they come from."""

    title: str
    note: str
    checks: list[Check]


class Sheet(Struct, frozen=True, kw_only=True):
    """The sheet. `verdict` and its `result` follow from the checks alone; nobody's signature is in it."""

    site: str
    name: str
    place: list[Labelled]
    box: list[Labelled]
    groups: list[Group]
    verdict: str
    result: Result
    by_hand: list[str]
    ask: str
    printed: str


def checks_in(text: str) -> list[Told]:
    """The checks in the text of a self-test; a line that is none belongs to the one before it."""
    found: list[Told] = []
    for line in text.splitlines():
        if (read := _LINE.fullmatch(line)) is not None:
            found.append(Told(read[2], read[1] != "FAIL", read[3]))
        elif found and line.strip():
            found[-1] = found[-1]._replace(found=f"{found[-1].found} {line.strip()}")
    return found


def sheet_of(view: SiteView, known: Known, now: datetime, words: Words) -> Sheet:
    """The sheet of this site as of `now`."""
    test, content, identity = known
    tested = Group(
        title=words("sheet.test"),
        note=words("sheet.test.at", instant=words.instant(test.received_at), operation=test.operation)
        if test
        else words("sheet.test.none"),
        checks=list(_of_test(test, words)),
    )
    told = Group(
        title=words("sheet.reports"),
        note=words("sheet.reports.at", instant=words.instant(view.received_at))
        if view.received_at
        else words("why.NeverReported"),
        checks=list(_of_reports(view, content, now, words)),
    )
    checks = [*tested.checks, *told.checks]
    failed, still_open = (sum(check.result == result for check in checks) for result in ("failed", "open"))
    result: Result = "failed" if failed else "open" if still_open else "passed"
    return Sheet(
        site=view.site,
        name=view.name,
        place=[*facts_of(view, words)],
        box=list(_box(view, identity, words)),
        groups=[tested, told],
        verdict=words.count(f"sheet.verdict.{result}", failed or still_open or len(checks)),
        result=result,
        by_hand=[words(f"sheet.hand.{key}") for key in BY_HAND],
        ask=f"neopro op self-test --site {view.site} --commit",
        printed=words("sheet.printed", instant=words.instant(now)),
    )


def _check(label: str, result: Result, words: Words, *, found: str = "", told: str = "") -> Check:
    return Check(label=label, result=result, word=words(f"sheet.{result}"), found=found, told=told)


def _of_test(test: SelfTest | None, words: Words) -> Iterator[Check]:
    """What the self-test said, then what every one should say and this one did not."""
    checks = test.checks if test else []
    for one in checks:
        yield _check(_label(one.name, words), "passed" if one.passed else "failed", words, told=one.found)
    seen = {one.name for one in checks}
    units = any(name.startswith("unit ") for name in seen)
    for name in EXPECTED:
        if name not in seen and not (units and name.startswith("unit ")):
            yield _check(_label(name, words), "open", words)


def _label(name: str, words: Words) -> str:
    kind, _, rest = name.partition(" ")
    return words("sheet.check.unit", unit=rest) if kind == "unit" else words.known(f"sheet.check.{name}", name)


def _of_reports(view: SiteView, content: Content | None, now: datetime, words: Words) -> Iterator[Check]:
    fresh = view.received_at is not None and now - view.received_at <= OFFLINE_AFTER
    stands = view.verdict.standing
    synced: Result = "passed" if stands == "Synced" else "failed" if stands == "Degraded" else "open"
    yield _check(words("sheet.check.synced"), synced, words, found=words(f"standing.{stands}"))
    complete: Result = "open"
    if fresh and content is not None and content.known:
        complete = "failed" if content.missing else "passed"
    yield _check(words("sheet.check.content"), complete, words, found=content.said if content else "")
    metrics = view.report.metrics if fresh and view.report else Metrics()
    yield from _measured(metrics, words)


def _measured(metrics: Metrics, words: Words) -> Iterator[Check]:
    degrees = metrics.temperature_celsius
    yield _check(
        words("metric.temperature"),
        "open" if degrees is None else "failed" if degrees >= HOT_CELSIUS else "passed",
        words,
        found="" if degrees is None else f"{words.decimal(degrees)} °C",
    )
    if metrics.strain is None:
        yield _check(words("metric.power"), "open", words)
    else:
        weak, past = "under_voltage" in metrics.strain, "under_voltage" in (metrics.past_strain or ())
        said = words(f"metric.power.{'weak' if weak else 'past' if past else 'good'}")
        yield _check(words("metric.power"), "failed" if weak or past else "passed", words, found=said)
    link = metrics.link
    if link is None:
        yield _check(words("metric.link"), "open", words)
        return
    signal = f" · {link.signal_dbm} dBm" if link.signal_dbm is not None else ""
    weak = link.signal_dbm is not None and link.signal_dbm <= WEAK_SIGNAL_DBM
    found = words(f"metric.link.{link.kind}") + signal
    yield _check(words("metric.link"), "failed" if weak else "passed", words, found=found)


def _box(view: SiteView, identity: str | None, words: Words) -> Iterator[Labelled]:
    said = view.report
    yield Labelled(words("sheet.identity"), identity or words("why.NoIdentity"))
    if said is not None:
        running = said.release.version if said.release else "—"
        wanted = view.desired_release or words("unmanaged")
        yield Labelled(words("column.release"), words("sheet.release", running=running, wanted=wanted))
        yield Labelled(words("site.agent"), said.agent_version)
        total, free = said.metrics.disk_total_bytes, said.metrics.disk_free_bytes
        if total and free is not None:
            size = words("metric.disk.free", free=words.size(free), total=words.size(total))
            yield Labelled(words("metric.disk"), size)
    yield Labelled(words("column.commit"), f"{view.commit[:12]} · {words('site.generation')} {view.generation}")
    if sets := fact(view, "video_sets"):
        yield Labelled(words("video.sets"), sets)
