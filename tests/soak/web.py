"""HTTP as a crowd of clients speaks it: requests on connections that are kept, or left in the middle."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

PATIENCE_S = 60.0


class Answer(NamedTuple):
    """A response, read whole; names of headers in lower case, the cookies that it set apart."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    cookies: Sequence[str] = ()


class Line:
    """One connection to the server, opened again when it was closed."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, headers: Mapping[str, str] = {}, body: bytes = b"") -> Answer:
        """One request and its answer; on a connection that the server has closed meanwhile, once more on another."""
        for last in (False, True):
            fresh = self._streams is None
            try:
                reader, writer = await self._open()
                writer.write(render(method, path, headers, body))
                return await asyncio.wait_for(_read(reader), PATIENCE_S)
            except (OSError, asyncio.IncompleteReadError):
                self.close()
                if last or fresh:
                    raise
        raise AssertionError("the second try returns or raises")

    async def leave(self, data: bytes, wait_s: float = 0.0) -> None:
        """Send this on a connection of its own, wait, and go away without reading."""
        _, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(data)
        with suppress(OSError):
            await writer.drain()
        await asyncio.sleep(wait_s)
        writer.transport.abort()

    async def glimpse(self, data: bytes) -> int:
        """Send this on a connection of its own, and go away when the status is there."""
        reader, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(data)
        first = await asyncio.wait_for(reader.readuntil(b"\r\n"), PATIENCE_S)
        writer.transport.abort()
        return int(first.split()[1])

    def close(self) -> None:
        """End the connection."""
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port, limit=1 << 24)
        return self._streams


@contextmanager
def line(url: str) -> Iterator[Line]:
    """A connection, closed with the context."""
    made = Line(url)
    try:
        yield made
    finally:
        made.close()


def render(
    method: str, path: str, headers: Mapping[str, str] = {}, body: bytes = b"", length: int | None = None
) -> bytes:
    """The bytes of a request; `length`: what it says that its body has, for one that is left in the middle."""
    size = len(body) if length is None else length
    given = {"Host": "127.0.0.1", **headers} | ({"Content-Length": str(size)} if size or method != "GET" else {})
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def as_json(value: object) -> bytes:
    """A body."""
    return msgspec.json.encode(value)


async def _read(reader: asyncio.StreamReader) -> Answer:
    status = int((await reader.readuntil(b"\r\n")).split()[1])
    headers: dict[str, str] = {}
    cookies: list[str] = []
    while (read := await reader.readuntil(b"\r\n")) != b"\r\n":
        name, _, value = read.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
        cookies += [value.strip().partition(";")[0]] if name.lower() == "set-cookie" else []
    if status in (204, 304):
        return Answer(status, headers, b"", cookies)
    if "chunked" in headers.get("transfer-encoding", ""):
        return Answer(status, headers, await _chunks(reader), cookies)
    return Answer(status, headers, await reader.readexactly(int(headers.get("content-length", 0))), cookies)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readuntil(b"\r\n")
    return bytes(body)
