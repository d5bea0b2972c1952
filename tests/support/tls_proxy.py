"""A small reverse proxy that ends TLS, as nginx or a platform in front of the server does."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MAX_HEAD_BYTES = 64 * 1024


@asynccontextmanager
async def tls_proxy(
    upstream_port: int, context: ssl.SSLContext, *, client: str = "", seen: list[str] | None = None
) -> AsyncIterator[int]:
    """A TLS port of loopback that passes HTTP/1.1 on to `upstream_port` of loopback, one request a connection.

    It appends X-Forwarded-For to what the client sent, as proxies do, and sets X-Forwarded-Proto. `client`: the address
    that it pretends to have been called from. `seen` gets the method and path of every request.
    """
    proxy = _Proxy(upstream_port, client, [] if seen is None else seen)
    server = await asyncio.start_server(proxy.pass_on, "127.0.0.1", 0, ssl=context, limit=MAX_HEAD_BYTES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        proxy.cancel()
        await server.wait_closed()


class _Proxy:
    def __init__(self, upstream_port: int, client: str, seen: list[str]) -> None:
        self._upstream_port, self._client, self._seen = upstream_port, client, seen
        self._tasks: set[asyncio.Task[None] | None] = set()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            upstream, sink = await asyncio.open_connection("127.0.0.1", self._upstream_port)
            sink.write(self._forwarded(head, writer.get_extra_info("peername")[0]))
            sending = asyncio.create_task(_pump(reader, sink))
            await _pump(upstream, writer)
            sending.cancel()
            sink.close()
        writer.close()
        self._tasks.discard(task)

    def cancel(self) -> None:
        """Cut what is still being passed on."""
        for task in self._tasks:
            if task is not None:
                task.cancel()

    def _forwarded(self, head: bytes, peer: str) -> bytes:
        request, *headers = head.decode("latin-1").split("\r\n")[:-2]
        self._seen.append(request.rpartition(" ")[0])
        names = {"connection", "x-forwarded-for", "x-forwarded-proto"}
        kept = [line for line in headers if line.partition(":")[0].lower() not in names]
        claimed = [line.partition(":")[2].strip() for line in headers if line.lower().startswith("x-forwarded-for:")]
        chain = ", ".join([*claimed, self._client or peer])
        added = [f"X-Forwarded-For: {chain}", "X-Forwarded-Proto: https", "Connection: close"]
        return "\r\n".join([request, *kept, *added, "", ""]).encode("latin-1")


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(1 << 16):
        sink.write(data)
        await sink.drain()
