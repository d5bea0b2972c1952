"""Several files of content on their way at once.

Threads do nothing but bring bytes into a draft; everything else that touches the disk or the ledger is done by the
caller's thread, file by file.
"""

from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue
from threading import Event, Thread
from typing import NamedTuple

from reconciler_agent.draft import Draft
from reconciler_agent.errors import AgentError, Superseded
from reconciler_agent.resources.content import Content, Ledger, OnBytes
from reconciler_agent.state import Installed
from schemas.manifest import ContentFile

Fetched = tuple[ContentFile, Installed | AgentError]
"""A file with its entry for the ledger, or why it could not be had now."""


class Downloads:
    """Puts files in their places, at most `at_once` of them on their way at a time."""

    def __init__(self, content: Content, at_once: int) -> None:
        self._content = content
        self._at_once = at_once

    def fetch(
        self,
        files: Sequence[ContentFile],
        ledger: Callable[[], Ledger],
        on_begin: Callable[[ContentFile], None],
        on_bytes: OnBytes | None,
    ) -> Generator[Fetched, None, None]:
        """Each file as soon as it is in its place, or failed. Close the iterator to stop what is under way.

        `ledger` answers what is known now. `on_begin` is called in this thread, `on_bytes` in others.
        """
        batch = _Batch(self._content, on_bytes)
        try:
            for file in files:
                while len(batch.under_way) >= self._at_once or batch.is_bringing(file):
                    yield batch.next_ended()
                on_begin(file)
                if found := batch.begin(file, ledger()):
                    yield file, found
            while batch.under_way:
                yield batch.next_ended()
        finally:
            batch.stop()


class _Ended(NamedTuple):
    """A draft that has all of its file, or the problem that kept it from that."""

    draft: Draft
    problem: BaseException | None


class _Batch:
    """What is under way."""

    def __init__(self, content: Content, on_bytes: OnBytes | None) -> None:
        self.under_way: dict[Draft, ContentFile] = {}
        self._content = content
        self._on_bytes = on_bytes
        self._ended: SimpleQueue[_Ended] = SimpleQueue()
        self._stopped = Event()

    def is_bringing(self, file: ContentFile) -> bool:
        """Whether the same bytes are on their way already: once they are there, they are copied."""
        return any(other.digest == file.digest for other in self.under_way.values())

    def begin(self, file: ContentFile, ledger: Ledger) -> Installed | AgentError | None:
        """Have a file brought; None, or what is known of it at once."""
        try:
            begun = self._content.begin(file, ledger)
        except AgentError as problem:
            return problem
        if isinstance(begun, Installed):
            return begun
        Thread(target=self._bring, args=(file, begun), name=f"download {file.digest[7:15]}", daemon=True).start()
        self.under_way[begun] = file
        return None

    def next_ended(self) -> Fetched:
        """Wait until one has ended."""
        draft, problem = self._ended.get()
        file = self.under_way.pop(draft)
        try:
            if problem is not None:
                raise problem
            return file, self._content.place(file, draft)
        except AgentError as problem:
            self._content.give_up(draft, problem)
            return file, problem
        finally:
            draft.close()

    def stop(self) -> None:
        """End what is under way with its next bytes, keeping what it has."""
        self._stopped.set()
        while self.under_way:
            draft, _ = self._ended.get()
            del self.under_way[draft]
            draft.close()

    def _bring(self, file: ContentFile, draft: Draft) -> None:
        """In a thread of its own; whatever happens there is dealt with in the caller's."""
        problem: BaseException | None = None
        try:
            self._content.bring(file, draft, self._note)
        except BaseException as met:  # noqa: BLE001 (raised again by `next_ended`)
            problem = met
        self._ended.put(_Ended(draft, problem))

    def _note(self, count: int) -> None:
        """Some bytes came."""
        if self._stopped.is_set():
            raise Superseded("cannot go on: what was under way is to end")
        if self._on_bytes is not None:
            self._on_bytes(count)
