"""A line to a server that goes dead in the middle of an upload, as a club's 4G does: open, and nothing moves."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class StallingProxy:
    """Passes `most_bytes` on to the server, counted over all connections, then nothing more; `stalled` tells when."""

    def __init__(self, upstream_port: int, most_bytes: int) -> None:
        self._upstream_port, self._left = upstream_port, most_bytes
        self._turn = threading.Lock()
        self._open: list[socket.socket] = []
        self.stalled = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Cut everything."""
        with self._turn:
            for one in (self._listener, *self._open):
                one.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._upstream_port))
            with self._turn:
                self._open += [client, server]
            threading.Thread(target=self._up, args=(client, server), daemon=True).start()
            threading.Thread(target=self._down, args=(server, client), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        while not self.stalled.is_set():
            data = self._received(client)
            with self._turn:
                passed = data[: self._left]
                self._left -= len(passed)
            if passed:
                server.sendall(passed)
            if not data:
                server.close()
                return
            if self._left == 0:
                self.stalled.set()

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        while data := self._received(server):
            with suppress(OSError):
                client.sendall(data)

    def _received(self, source: socket.socket) -> bytes:
        try:
            return source.recv(1 << 16)
        except OSError:
            return b""


@contextmanager
def stalling_proxy(upstream_port: int, most_bytes: int) -> Iterator[StallingProxy]:
    """One that is cut in the end."""
    proxy = StallingProxy(upstream_port, most_bytes)
    try:
        yield proxy
    finally:
        proxy.close()
