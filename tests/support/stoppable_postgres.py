"""A PostgreSQL of one's own that goes away and comes back at the same address, as in an upgrade or a failover."""

import asyncio
import concurrent.futures
import socket
from collections.abc import Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

from control_plane.store.binaries import Programs
from control_plane.store.embedded import EmbeddedPostgres


class StoppablePostgres:
    """Runs from `start` to `stop`, and again."""

    def __init__(self, folder: Path, programs: Programs) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self._port = free.getsockname()[1]
        settings = {"listen_addresses": "127.0.0.1", "port": str(self._port), "fsync": "off"}
        self._folder = folder
        self._server = EmbeddedPostgres(folder, programs.folder, settings)

    @property
    def conninfo(self) -> str:
        """Where it is when it runs."""
        password = (self._folder / "password").read_text()
        return make_conninfo(
            host="127.0.0.1", port=self._port, user="neopro", password=password, dbname="postgres", connect_timeout=5
        )

    def start(self) -> None:
        """Return when it takes connections."""
        _run(self._server.start())

    def stop(self) -> None:
        """Return when it is gone; whoever was connected is not any more."""
        _run(self._server.stop())


@contextmanager
def stoppable_postgres(folder: Path, programs: Programs) -> Iterator[StoppablePostgres]:
    """One that runs already, stopped with the context at the latest."""
    server = StoppablePostgres(folder, programs)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _run(coroutine: Coroutine[Any, Any, object]) -> None:
    # In a thread: whoever drives a browser has an event loop in its own already.
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        executor.submit(asyncio.run, coroutine).result()
