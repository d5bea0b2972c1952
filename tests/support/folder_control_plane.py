"""`python -m tests.support.folder_control_plane FOLDER PORT`: a control plane for one box, out of a folder of files.

head-N  root-N  list-N  blobs/HEX       what it answers; it signs nothing and checks nothing
current                                 the number of the head that is in force; may be changed while it runs
reports                                 what boxes sent, a line each
"""

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOLD_S = 20.0
LOOK_S = 0.2


class Handler(BaseHTTPRequestHandler):
    """Answers as the protocol has it, for an honest box."""

    protocol_version = "HTTP/1.1"
    folder: Path

    def do_GET(self) -> None:
        *_, kind, name = self.path.split("/")
        if name == "head":
            self._head()
        elif kind == "blobs":
            self._file(self.folder / "blobs" / name.partition(":")[2], "application/octet-stream")
        else:
            self._file(self.folder / f"{'root' if kind == 'trust' else 'list'}-{name}", "application/json")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.endswith("/status"):
            with (self.folder / "reports").open("ab") as file:
                file.write(body + b"\n")
        self._say(204, b"", "")

    do_PUT = do_POST

    def _head(self) -> None:
        """The head in force; held while the box has it already."""
        for _ in range(int(HOLD_S / LOOK_S)):
            number = (self.folder / "current").read_text().strip()
            if f'"{number}"' != self.headers.get("If-None-Match"):
                self._say(200, (self.folder / f"head-{number}").read_bytes(), "application/json", f'"{number}"')
                return
            threading.Event().wait(LOOK_S)
        self._say(304, b"", "", f'"{number}"')

    def _file(self, path: Path, kind: str) -> None:
        if path.is_file():
            self._say(200, path.read_bytes(), kind)
        else:
            self._say(404, b'{"title":"there is none"}', "application/problem+json")

    def _say(self, status: int, body: bytes, kind: str, etag: str = "") -> None:
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("ETag", etag), ("Content-Length", str(len(body)))):
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def main(folder: Path, port: int) -> None:
    """Serve until the end."""
    Handler.folder = folder
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
