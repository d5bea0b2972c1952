"""The club's admin page of the box: here only what tells that it runs. PORT chooses where it listens."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

VERSION = (Path(__file__).resolve().parent.parent / "VERSION").read_text(encoding="utf-8").strip()
PAGE = f"<!doctype html><title>Neopro Admin</title><h1>Neopro Admin {VERSION}</h1>"


class Admin(BaseHTTPRequestHandler):
    """Two pages: the front page, and whether somebody is logged in."""

    def do_GET(self) -> None:
        """Answer a page."""
        if self.path == "/api/auth/status":
            self.reply(200, "application/json", json.dumps({"authenticated": False}))
        elif self.path == "/":
            self.reply(200, "text/html; charset=utf-8", PAGE)
        else:
            self.reply(404, "text/plain", "not found\n")

    def reply(self, status: int, kind: str, text: str) -> None:
        """Send `text`."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the agent asks often."""


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8080"))
    print(f"Neopro Admin {VERSION} on port {port}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", port), Admin).serve_forever()
