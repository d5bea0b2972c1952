"""What can go wrong with every connection to the control plane, as data: TCP, TLS, names, certificates."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.faults.boxes import Box
from tests.faults.wire import Wire
from tests.support.authority import Authority

Unwell = Callable[[Wire, Box], AbstractContextManager[None]]
HELLO_BYTES = 100
"""Of a TLS client's hello, which is larger."""


def on_connect(act: Callable[[Wire, socket.socket], bool]) -> Unwell:
    """Something happens to each connection; False: there is nothing more to come."""

    @contextmanager
    def unwell(wire: Wire, _box: Box) -> Iterator[None]:
        wire.on_connect = lambda connection: act(wire, connection)
        try:
            yield
        finally:
            wire.on_connect = lambda _: True

    return unwell


def elsewhere(url: Callable[[Wire], str]) -> Unwell:
    """The box asks at another address."""

    @contextmanager
    def unwell(wire: Wire, box: Box) -> Iterator[None]:
        before, box.url = box.url, url(wire)
        try:
            yield
        finally:
            box.url = before

    return unwell


def believing(ca: Callable[[Path], Path | None]) -> Unwell:
    """The box believes other authorities than the server's."""

    @contextmanager
    def unwell(_wire: Wire, box: Box) -> Iterator[None]:
        before, box.ca = box.ca, ca(box.folder)
        try:
            yield
        finally:
            box.ca = before

    return unwell


def presenting(at: Callable[[], datetime]) -> Unwell:
    """The server's certificate is of another time; the authority is believed."""

    @contextmanager
    def unwell(wire: Wire, box: Box) -> Iterator[None]:
        authority = Authority(box.folder, "dated", at())
        before, wire.tls, own, box.ca = wire.tls, authority.server_context(), box.ca, authority.ca_file
        try:
            yield
        finally:
            wire.tls, box.ca = before, own

    return unwell


def reset(connection: socket.socket) -> None:
    """An error for the other side."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def _answer(data: bytes, *, ends: bool = True) -> Unwell:
    """These bytes after the beginning of what the client says."""

    def act(wire: Wire, connection: socket.socket) -> bool:
        with suppress(OSError):
            connection.recv(HELLO_BYTES)
            connection.sendall(data)
            if not ends:
                wire.over.wait(30)
        return False

    return on_connect(act)


def _reset_after(size: int) -> Unwell:
    def act(_wire: Wire, connection: socket.socket) -> bool:
        with suppress(OSError):
            if size:
                connection.recv(size)
            reset(connection)
        return False

    return on_connect(act)


def _drip(wire: Wire, connection: socket.socket) -> bool:
    """A handshake, byte by byte."""
    with suppress(OSError):
        connection.recv(HELLO_BYTES)
        connection.sendall(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb")
        while not wire.over.wait(0.02):
            connection.sendall(b"\x00")
    return False


def _nobody(_wire: Wire) -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"https://127.0.0.1:{listener.getsockname()[1]}"


CONNECTIONS: dict[str, Unwell] = {
    "nobody listens": elsewhere(_nobody),
    "the name is not known": elsewhere(lambda _: "https://no-such-host.invalid"),
    "the name is too long": elsewhere(lambda _: f"https://{'a' * 64}.invalid"),
    "the certificate is of another name": elsewhere(lambda wire: wire.url.replace("127.0.0.1", "127.0.0.2")),
    "the certificate is of another authority": believing(lambda folder: Authority(folder, "another").ca_file),
    "the certificate is of no public authority": believing(lambda _: None),
    "the certificate has expired": presenting(lambda: datetime.now(UTC) - timedelta(days=400)),
    "the certificate is of next year": presenting(lambda: datetime.now(UTC) + timedelta(days=400)),
    "closed at once": on_connect(lambda _wire, _connection: False),
    "reset at once": _reset_after(0),
    "reset in the handshake": _reset_after(HELLO_BYTES),
    "closed in the handshake": _answer(b""),
    "silent": _answer(b"", ends=False),
    "half of a handshake, then silence": _answer(b"\x16\x03\x03\x01\x00\x02\x00", ends=False),
    "a handshake that drips": on_connect(_drip),
    "an alert": _answer(b"\x15\x03\x03\x00\x02\x02\x28"),
    "another version of TLS": _answer(b"\x15\x03\x01\x00\x02\x02\x46"),
    "noise": _answer(bytes(range(256)) * 64),
    "plain HTTP": _answer(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"),
    "a proxy's error": _answer(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
    "SSH": _answer(b"SSH-2.0-OpenSSH_9.2\r\n"),
}
