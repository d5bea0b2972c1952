"""The slots of the agent itself, beside its launcher; `launcher` says what lies there and who starts what.

A slot is made in the agent's own folder, file by file, copied from the other slots where they have it; it gets its name
when it is whole and synced, and is checked whole once more before its trial. Parts for other machines are left out.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

import reconciler_agent
from reconciler_agent import launcher
from reconciler_agent.core.agent_update import Seen, Trial, slot_of
from reconciler_agent.draft import Draft
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AgentError, DigestMismatch, DiskFault
from reconciler_agent.resources.content import OnBytes, Source, copy
from reconciler_agent.state import MAX_LISTING_BYTES
from schemas.manifest import AgentTarget, FileTree, TreeFile
from schemas.names import Digest, digest_of

PRIVATE: Final = ".work"
FOLDER: Final = "slots"
DRAFT: Final = "slot-"


def own_slot() -> Path | None:
    """The slot that this process was started from; None where the agent was installed otherwise."""
    here = Path(reconciler_agent.__file__).resolve()
    slot = here.parents[2]  # SLOT/any/reconciler_agent/__init__.py
    return slot if slot.parent.name == FOLDER and (slot / launcher.START).is_file() else None


class Slots:
    """The slots in the folder of `disk`; `running` is the one that this process came from."""

    def __init__(self, disk: Disk, source: Source, running: str) -> None:
        self._disk = disk
        self._source = source
        self.seen = Seen(running=running, good=disk.link_target(launcher.GOOD) or "", trial=self._read_trial())

    def stage(self, target: AgentTarget, on_bytes: OnBytes | None = None) -> None:
        """Put a release together under its name, whole and durably; what an earlier try brought is taken up."""
        name = slot_of(target)
        if not launcher.is_whole(self._disk.root, name):
            self._disk.remove(name)
            draft = f"{self._disk.partial}/{DRAFT}{name}"
            self._disk.make_folder(draft, 0o700)
            files = [file for file in self._listing(target).files if launcher.is_needed(file.path)]
            self._disk.require_room(sum(self._left_bytes(draft, file) for file in files))
            sources = self._sources(except_for=name)
            for file in files:
                self._fill(f"{draft}/{file.path}", file, sources, on_bytes)
            self._disk.sync_tree(draft)
            self._disk.install(draft, name)
        self._see(staged=self.seen.staged | {name})

    def begin(self, target: AgentTarget, url: str, ca: str) -> None:
        """Put a staged release on trial, from the next start on; DigestMismatch where it is whole no more."""
        name = slot_of(target)
        if not launcher.is_whole(self._disk.root, name):
            self._see(staged=self.seen.staged - {name})
            raise DigestMismatch(f"cannot start agent {target.version}: its files are not those of its listing")
        trial = Trial(slot=name, url=url, ca=ca, version=target.version, tree=target.tree)
        self._disk.write_file(launcher.TRIAL, msgspec.json.encode(trial), 0o600)
        self._see(trial=trial)

    def confirm(self) -> None:
        """The slot that runs is the good one, and the good one of before the one to go back to."""
        good, running = self.seen.good, self.seen.running
        if good != running:
            if good and launcher.is_whole(self._disk.root, good):
                self._disk.symlink(good, launcher.PREVIOUS)
            self._disk.symlink(running, launcher.GOOD)
            self._see(good=running)

    def end_trial(self) -> None:
        """Nothing is on trial any more."""
        self._disk.remove(launcher.TRIAL)
        self._see(trial=None)

    def prune(self, wanted: AgentTarget | None) -> None:
        """Take away what is neither running, good, the one before it, on trial nor wanted."""
        trial = self.seen.trial
        kept = {self.seen.running, self.seen.good, self._disk.link_target(launcher.PREVIOUS)}
        kept |= {slot_of(wanted)} if wanted is not None else set()
        kept |= {trial.slot} if trial is not None and not trial.failed else set()
        for name in self._disk.names(""):
            if "-" in name and not name.startswith(".") and name.removesuffix(".json") not in kept:
                self._disk.remove(name)
        for name in self._disk.names(self._disk.partial):
            slot = name.removeprefix(DRAFT)
            if slot not in kept or self._disk.stat(slot) is not None:
                self._disk.remove(f"{self._disk.partial}/{name}")

    def _see(self, **changed: object) -> None:
        self.seen = msgspec.structs.replace(self.seen, **changed)

    def _read_trial(self) -> Trial | None:
        try:
            data = self._disk.read(launcher.TRIAL, launcher.MAX_BYTES)
            return None if data is None else msgspec.json.decode(data, type=Trial)
        except (DiskFault, msgspec.DecodeError):  # the launcher takes it for none as well
            return None

    def _listing(self, target: AgentTarget) -> FileTree:
        """The listing, kept beside the slot under its name."""
        place = f"{slot_of(target)}.json"
        try:
            body = self._disk.read(place, MAX_LISTING_BYTES)
        except DiskFault:
            body = None
        if body is None or digest_of(body) != target.tree:
            body = self._source.blob(target.tree, MAX_LISTING_BYTES)
            self._disk.remove(place)
            self._disk.write_file(place, body, 0o600)
        try:
            listing = msgspec.json.decode(body, type=FileTree)
        except msgspec.DecodeError as problem:
            raise DigestMismatch(f"cannot use {target.tree[:19]}… as an agent: {str(problem)[:200]}") from None
        if launcher.START not in {file.path for file in listing.files}:
            raise DigestMismatch(f"cannot use {target.tree[:19]}… as an agent: it has no {launcher.START}")
        return listing

    def _sources(self, except_for: str) -> dict[Digest, str]:
        """Where a slot has a file with this digest; it is checked when it is copied."""
        sources: dict[Digest, str] = {}
        for name in self._disk.names(""):
            slot = name.removesuffix(".json")
            if slot in (name, except_for) or name == launcher.TRIAL:
                continue
            try:
                body = self._disk.read(name, MAX_LISTING_BYTES)
                files = msgspec.json.decode(body or b"", type=FileTree).files
            except (DiskFault, msgspec.DecodeError):
                continue
            sources |= {file.digest: f"{slot}/{file.path}" for file in files}
        return sources

    def _left_bytes(self, draft: str, file: TreeFile) -> int:
        found = self._disk.stat(f"{draft}/{file.path}")
        return max(0, file.size_bytes - (found.st_size if found is not None else 0))

    def _fill(self, path: str, file: TreeFile, sources: Mapping[Digest, str], on_bytes: OnBytes | None) -> None:
        """A file of a slot in the making, not synced yet."""
        self._disk.make_folder(path.rpartition("/")[0], 0o700)
        draft = self._disk.draft(path, resume=True)
        try:
            if (draft.digest(), draft.size_bytes) != (file.digest, file.size_bytes):
                self._bring(draft, file, sources.get(file.digest), on_bytes)
            draft.require(file.digest)
            draft.seal(0o600, sync=False)
        except (DigestMismatch, DiskFault):
            draft.close()
            self._disk.remove(path)
            raise
        finally:
            draft.close()

    def _bring(self, draft: Draft, file: TreeFile, twin: str | None, on_bytes: OnBytes | None) -> None:
        if twin is not None:
            draft.restart()
            try:
                copy(self._disk, twin, draft)
            except AgentError:
                draft.restart()
            if draft.digest() == file.digest:
                return
            draft.restart()
        self._source.download(file.digest, file.size_bytes, draft, on_bytes)
