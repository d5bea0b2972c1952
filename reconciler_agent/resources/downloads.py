"""Several files of content on their way at once.

Threads do nothing but bring bytes into a draft; everything else that touches the disk or the ledger is done by the
caller's thread, file by file.
"""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event

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
        with ThreadPoolExecutor(self._at_once, "download") as pool:
            try:
                for file in files:
                    while len(batch.under_way) >= self._at_once or batch.is_bringing(file):
                        yield from batch.next_ended()
                    on_begin(file)
                    yield from batch.begin(file, ledger(), pool)
                while batch.under_way:
                    yield from batch.next_ended()
            finally:
                batch.stop()


class _Batch:
    """What is under way."""

    def __init__(self, content: Content, on_bytes: OnBytes | None) -> None:
        self.under_way: dict[Future[None], tuple[ContentFile, Draft]] = {}
        self._content = content
        self._on_bytes = on_bytes
        self._stopped = Event()

    def is_bringing(self, file: ContentFile) -> bool:
        """Whether the same bytes are on their way already: once they are there, they are copied."""
        return any(other.digest == file.digest for other, _ in self.under_way.values())

    def begin(self, file: ContentFile, ledger: Ledger, pool: ThreadPoolExecutor) -> Generator[Fetched, None, None]:
        """Have a file brought; what is known of it at once."""
        try:
            begun = self._content.begin(file, ledger)
        except AgentError as problem:
            yield file, problem
            return
        if isinstance(begun, Installed):
            yield file, begun
        else:
            self.under_way[pool.submit(self._content.bring, file, begun, self._note)] = (file, begun)

    def next_ended(self) -> Generator[Fetched, None, None]:
        """Wait until one or more have ended."""
        for future in wait(self.under_way, return_when=FIRST_COMPLETED).done:
            file, draft = self.under_way.pop(future)
            try:
                future.result()
                yield file, self._content.place(file, draft)
            except AgentError as problem:
                self._content.give_up(draft, problem)
                yield file, problem
            finally:
                draft.close()

    def stop(self) -> None:
        """End what is under way with its next bytes, keeping what it has."""
        self._stopped.set()
        wait(self.under_way)
        for _, draft in self.under_way.values():
            draft.close()

    def _note(self, count: int) -> None:
        """In a thread of the pool: some bytes came."""
        if self._stopped.is_set():
            raise Superseded("cannot go on: what was under way is to end")
        if self._on_bytes is not None:
            self._on_bytes(count)
