"""The box's configuration, converged: the club's parts kept, the central ones made right, the screen told.

    read, with patience while it does not parse · merge · equal: write nothing · wait until it has been quiet ·
    read again, from the start if it changed · exchange with a synced new one · look at the displaced one after a
    second, and carry what a late writer did there · tell the screen

What is remembered of it lies beside it (`configuration_file`), so that a run that ends anywhere is taken up.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any, Final, Literal, NamedTuple, Protocol

from msgspec import Struct

from reconciler_agent.core.changes import carry, referenced_paths, same
from reconciler_agent.core.club import put_back
from reconciler_agent.core.merge import Merged, merge
from reconciler_agent.core.screen import Notice
from reconciler_agent.durable import Disk
from reconciler_agent.errors import ConfigurationUnreadable
from reconciler_agent.resources.configuration_file import (
    NAME,
    PATH,
    READ_PATIENCE_S,
    Clock,
    ConfigurationFile,
    Late,
    Standing,
)
from schemas.manifest import SiteManifest
from schemas.status import Difference, Reason

BUSY_S: Final = 60.0
"""How long other writers may keep `apply` from finding a quiet second before it gives up until the next round."""
ABSENT_S: Final = 120.0
"""A page that was cut off connects again within seconds; one that is loaded with the machine, within a minute."""
NEEDED: Final = ("sponsors", "categories", "auth")
"""Without them the applications fail; one variant in the field has none of them."""


class Screen(Protocol):
    """Who is told that the configuration changed."""

    def notify(self) -> Notice:
        """Tell, and say what came of it."""


class Observation(Struct, frozen=True, kw_only=True):
    """`settled`: `apply` has nothing to do. `lost`: the file is not where it belongs.

    `references`: every file under the root that the configuration names.
    """

    settled: bool
    lost: bool = False
    differences: list[Difference] = []
    renamed: dict[str, str] = {}
    references: frozenset[str] = frozenset()


class Applied(Struct, frozen=True, kw_only=True):
    """`notice`: what came of it; after `told` none is due any more, else `observe` says that it is not settled, and
    `apply` tries again. `absent`: the screen's page has not been there for so long that it will not come by itself.

    `renamed`: club categories whose id a central one took, or whose videos moved out of one; old id: new id.
    `completed`: keys that every application needs and that were not there. `lost`: it was, and what came back.
    """

    changed: bool
    notice: Notice
    absent: bool = False
    completed: list[str] = []
    lost: Literal["", "good copy", "nothing"] = ""
    differences: list[Difference] = []
    renamed: dict[str, str] = {}


class _Computed(NamedTuple):
    """A merge and what it was made of, by identity, so that an unchanged round need not merge again."""

    standing: Standing
    manifest: SiteManifest
    today: date
    installed: frozenset[str]
    merged: Merged
    equal: bool
    references: frozenset[str]


class Configuration:
    """The configuration of the box whose root is that of `disk`."""

    def __init__(self, disk: Disk, screen: Screen, clock: Clock) -> None:
        self._file = ConfigurationFile(disk, clock)
        self._screen = screen
        self._clock = clock
        self._computed: _Computed | None = None
        self._late: list[Late] = []
        self._notice_due = False
        self._alone_s: float | None = None
        self._club: dict[str, Any] | None = None

    def recover(self) -> None:
        """Take up what an earlier run left undone; once, at start, under the lock."""
        record = self._file.recover()
        if record is not None:
            self._late, self._notice_due = record.late, True

    @property
    def path(self) -> str:
        """Where the truth lies now: in `data/`, or where the applications look."""
        return self._file.path

    @property
    def known(self) -> dict[str, Any] | None:
        """The configuration as it was last observed; the very same while it is the same."""
        return self._computed.standing.value if self._computed is not None else None

    def put_back(self, club: dict[str, Any] | None) -> None:
        """Have the next `apply` unite what the club had elsewhere with what stands; None: nothing any more."""
        self._club = club

    @property
    def restoring(self) -> bool:
        """Whether something is still to be put back."""
        return self._club is not None

    def observe(self, manifest: SiteManifest, today: date, installed: frozenset[str]) -> Observation:
        """How the file differs from what `manifest` wants on the local day `today`; nothing of the box is changed.

        `installed` as in `merge`. Pass the same manifest again while it is the same: an unchanged round costs a few
        stat calls. ConfigurationUnreadable while the file is missing or does not parse, for a minute.
        """
        standing = self._file.look(patience_s=0.0)
        self._file.keep_good(standing)
        computed = self._compute(standing, manifest, today, installed)
        differences = list(computed.merged.differences)
        in_place = self._file.is_in_place(standing)
        if not in_place:
            differences.append(Difference(kind="configuration", what=NAME, observed="lost, or not where it belongs"))
        if self.restoring:
            differences.append(Difference(kind="configuration", what=NAME, desired="the club's backup put back"))
        return Observation(
            settled=computed.equal and in_place and not (self._late or self._notice_due or self.restoring),
            lost=not in_place,
            differences=differences,
            renamed=computed.merged.renamed,
            references=computed.references,
        )

    def references(self) -> frozenset[str]:
        """Every file that the configuration names now; ConfigurationUnreadable when that cannot be told."""
        return referenced_paths(self._file.look(READ_PATIENCE_S).value)

    def apply(self, manifest: SiteManifest, today: date, installed: frozenset[str]) -> Applied:
        """Make it as it should be without losing a save of any other writer; then tell the screen, if it changed.

        ConfigurationUnreadable when it does not parse for long, or is never left alone.
        """
        before = self._file.look(READ_PATIENCE_S)
        merged = merge(before.value, manifest, today, installed)
        changed = self._converge(manifest, today, installed)
        self._file.link()
        self._club = None
        self._notice_due = self._notice_due or changed
        return Applied(
            changed=changed,
            notice=self._tell(),
            absent=self._alone_s is not None and self._clock.monotonic() - self._alone_s >= ABSENT_S,
            completed=[key for key in NEEDED if changed and before.signature and key not in before.value],
            lost="" if before.signature else "good copy" if before.value else "nothing",
            differences=merged.differences,
            renamed=merged.renamed,
        )

    def spare_notice(self) -> None:
        """No notice is due any more: the screen's page is loaded anew, or there is none."""
        self._notice_due, self._alone_s = False, None
        if not self._late:
            self._file.finish()

    def secure(self) -> None:
        """Have the applications read `data/configuration.json` itself, before another page takes the place of theirs.

        What stood in the page is taken over as it is. ConfigurationUnreadable: it is lost, broken or never left alone.
        """
        deadline_s = self._clock.monotonic() + BUSY_S
        while not self._file.is_in_place(standing := self._file.look(READ_PATIENCE_S)):
            if standing.signature is None or self._clock.monotonic() >= deadline_s:
                raise ConfigurationUnreadable(f"cannot keep {NAME}: it is lost, or others are writing it; next time")
            if standing.path == PATH:
                self._file.link()
            elif self._file.wait_until_quiet(standing):
                self._late += self._file.take_over(standing)
        if not (self._late or self._notice_due):
            self._file.finish()

    def _converge(self, manifest: SiteManifest, today: date, installed: frozenset[str]) -> bool:
        """Exchange the file until it is as it should be and no late writer is left; whether anything was changed."""
        deadline_s, changed = self._clock.monotonic() + BUSY_S, False
        while self._clock.monotonic() < deadline_s:
            standing = self._file.look(READ_PATIENCE_S)
            if standing.path != PATH:
                if self._file.wait_until_quiet(standing):
                    self._late += self._file.take_over(standing)
                continue
            target = merge(self._carried(standing.value), manifest, today, installed).configuration
            if standing.signature is not None and same(target, standing.value):
                self._late = []
                return changed
            if not self._file.wait_until_quiet(standing):
                continue
            late = self._file.exchange(standing, target, self._late)
            if late is not None:
                self._late, changed = late, True
        raise ConfigurationUnreadable(f"cannot write {NAME}: others have been writing it for {BUSY_S:.0f} s")

    def _carried(self, value: dict[str, Any]) -> dict[str, Any]:
        for late in self._late:
            value = carry(late.base, late.changed, value)
        return value if self._club is None else put_back(value, self._club)

    def _compute(self, standing: Standing, manifest: SiteManifest, today: date, installed: frozenset[str]) -> _Computed:
        known = self._computed
        if (
            known is None
            or known.standing.value is not standing.value
            or known.manifest is not manifest
            or (known.today, known.installed) != (today, installed)
        ):
            merged = merge(standing.value, manifest, today, installed)
            equal = same(merged.configuration, standing.value)
            references = referenced_paths(standing.value)
            known = _Computed(standing, manifest, today, installed, merged, equal, references)
            self._computed = known
        return known

    def _tell(self) -> Notice:
        """Tell the screen if it is due; a notice that did not reach it is remembered across restarts."""
        notice = self._screen.notify() if self._notice_due else "told"
        if notice == "told":
            self.spare_notice()
            return notice
        self._file.await_notice(self._late)
        if notice == "silent":
            self._alone_s = None
        elif self._alone_s is None:
            self._alone_s = self._clock.monotonic()
        return notice


def news(applied: Applied) -> Iterator[tuple[Literal["info", "warning", "error"], Reason, str]]:
    """What the box says of a configuration that was written, as events."""
    for old, new in applied.renamed.items():
        said = f"The club's category {old!r} goes on as {new!r}: the fleet has one of that id."
        yield "info", "ClubCategoryRenamed", said
    if applied.completed:
        said = f"{NAME} had no {', no '.join(applied.completed)}: completed, its own keys kept."
        yield "info", "ConfigurationCompleted", said
    if applied.lost == "good copy":
        yield "warning", "ConfigurationRestored", f"{NAME} was lost or broken: its last good copy came back."
    if applied.lost == "nothing":
        said = f"{NAME} was lost or broken and there was no good copy: only what the fleet knows is in it now."
        yield "error", "ConfigurationRestored", said
