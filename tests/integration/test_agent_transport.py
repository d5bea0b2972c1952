"""Answers that come when nobody asked: they are nobody's, and least of all the next request's."""

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reconciler_agent.transport import Ask, fetch, open_client, trust_nobody


class Talkative(socketserver.StreamRequestHandler):
    """Answers with the path that was asked for; with `times` of that at once for what begins with /more."""

    times = 3
    server: "Server"

    def handle(self) -> None:
        self.server.connections += 1
        while line := self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            path = line.split()[1]
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path)
            self.wfile.write(answer * (self.times if path.startswith(b"/more") else 1))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    connections = 0


@contextmanager
def talkative() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Talkative) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize(("paths", "connections"), [(["/a", "/b", "/c"], 1), (["/a", "/more", "/b", "/c"], 2)])
def test_answer_that_came_with_another_s_end_is_not_taken_for_the_next(paths: list[str], connections: int) -> None:
    with talkative() as server, open_client(trust_nobody(), f"http://127.0.0.1:{server.server_address[1]}") as client:
        assert [fetch(client, Ask("GET", path, {}), 100).body.decode() for path in paths] == paths
        assert server.connections == connections
