"""The web server on the network: TLS 1.3 of our own, proxies that end TLS, a stop that waits for nobody."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from control_plane import serving
from control_plane.errors import SettingsInvalid
from control_plane.serving import GRACE_S, Application, Forwarded
from tests.support.authority import Authority
from tests.support.patience import promised
from tests.support.tls_proxy import tls_proxy
from tests.support.world import World, open_world

pytestmark = pytest.mark.anyio


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "front")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with what the application is told of the connection."""
    told = {"client": scope["client"][0], "scheme": scope["scheme"], "version": scope["http_version"]}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})


@asynccontextmanager
async def served(app: Application, authority: Authority | None = None) -> AsyncIterator[int]:
    """The application on a free port of loopback."""
    stop = asyncio.Event()
    with closing(serving.bind("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        file = authority.server_file if authority else None
        task = asyncio.create_task(serving.serve(app, nullcontext(), listener, stop, certificate=file, key=file))
        try:
            yield port
        finally:
            stop.set()
            await task


def client(authority: Authority, **options: Any) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    return httpx.AsyncClient(verify=context, trust_env=False, **options)


async def test_our_own_tls_answers_over_tls_1_3(authority: Authority) -> None:
    async with served(echo, authority) as port, client(authority) as http:
        answer = await http.get(f"https://localhost:{port}/")
        stream = answer.extensions["network_stream"].get_extra_info("ssl_object")
        assert stream.version() == "TLSv1.3"
        assert answer.json()["scheme"] == "https"


async def test_our_own_tls_refuses_tls_1_2(authority: Authority) -> None:
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with served(echo, authority) as port:
        with pytest.raises(ssl.SSLError, match=r"PROTOCOL_VERSION|protocol version"):
            await asyncio.open_connection("localhost", port, ssl=context)


async def test_our_own_tls_answers_no_plain_http(authority: Authority) -> None:
    async with served(echo, authority) as port, httpx.AsyncClient(trust_env=False) as http:
        with pytest.raises(httpx.TransportError):
            await http.get(f"http://localhost:{port}/")


@pytest.mark.parametrize("spoiled", ["absent", "empty", "other"])
def test_a_certificate_that_cannot_be_used_is_refused_before_anything_starts(tmp_path: Path, spoiled: str) -> None:
    authority, other = Authority(tmp_path, "one"), Authority(tmp_path, "two")
    key = {"absent": tmp_path / "nothing", "empty": tmp_path / "empty", "other": other.server_file}[spoiled]
    (tmp_path / "empty").touch()
    with pytest.raises(SettingsInvalid, match=r"cannot (use|read) tls_certificate"):
        serving.require_certificate(authority.server_file, key)


@pytest.mark.parametrize(
    ("trusted", "sent", "told"),
    [
        (["127.0.0.0/8"], {}, ("203.0.113.7", "https")),
        (["127.0.0.0/8"], {"X-Forwarded-For": "10.9.9.9"}, ("203.0.113.7", "https")),
        (["127.0.0.0/8", "203.0.113.0/24"], {"X-Forwarded-For": "198.51.100.2"}, ("198.51.100.2", "https")),
        (["10.0.0.0/8"], {"X-Forwarded-For": "10.9.9.9"}, ("127.0.0.1", "http")),
    ],
    ids=["proxy", "client invents a hop", "two proxies", "not our proxy"],
)
async def test_only_a_trusted_proxy_says_who_called(
    authority: Authority, trusted: list[str], sent: dict[str, str], told: tuple[str, str]
) -> None:
    app = Forwarded(echo, [ip_network(text) for text in trusted])
    async with (
        served(app) as port,
        tls_proxy(port, authority.server_context(), client="203.0.113.7") as front,
        client(authority) as http,
    ):
        answer = (await http.get(f"https://localhost:{front}/", headers=sent)).json()
    assert (answer["client"], answer["scheme"]) == told


@pytest.mark.parametrize("forwarded", ["", "unknown", "a, b", "203.0.113.7:80"])
async def test_a_forwarded_header_that_names_no_address_is_ignored(forwarded: str) -> None:
    app = Forwarded(echo, [ip_network("127.0.0.1/32")])
    async with served(app) as port, httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://127.0.0.1:{port}/", headers={"X-Forwarded-For": forwarded})
    assert answer.json()["client"] == "127.0.0.1"


async def test_boxes_are_served_over_our_own_tls_and_behind_a_proxy(
    tmp_path: Path, database: str, authority: Authority
) -> None:
    async def asks(world: World, url: str) -> int:
        async with client(authority) as http:
            return (await http.get(f"{url}/v1/sites/brest/head", headers=world.headers("brest"))).status_code

    file = authority.server_file
    async with open_world(tmp_path, database, tls_certificate=file, tls_key=file) as world:
        await world.ingest()
        async with world.serve() as url:
            assert url.startswith("https://")
            assert await asks(world, url) == 200
    behind = tmp_path / "behind"
    behind.mkdir()
    async with open_world(behind, database, first=False, trusted_proxy=["127.0.0.1"]) as other:
        other.site_keys = world.site_keys
        async with other.serve() as url:
            port = httpx.URL(url).port
            assert port is not None
            async with tls_proxy(port, authority.server_context()) as front:
                assert await asks(other, f"https://localhost:{front}") == 200


async def test_a_request_that_does_not_end_is_cut_when_the_server_stops() -> None:
    cut = asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cut.set()

    loop = asyncio.get_running_loop()
    async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
        async with served(endless) as port:
            asked = asyncio.create_task(http.get(f"http://127.0.0.1:{port}/"))
            while not await connected(port):
                await asyncio.sleep(0.01)
            started = loop.time()
        assert loop.time() - started < promised(GRACE_S + 2)
        assert cut.is_set()
        answer = (await asyncio.gather(asked, return_exceptions=True))[0]
        assert isinstance(answer, httpx.TransportError) or answer.status_code == 500


async def connected(port: int) -> bool:
    """Whether the server has taken a connection: the kernel's own list, so that nothing is asked of the server."""
    wanted = f"0100007F:{port:04X}"
    rows = await asyncio.to_thread(Path("/proc/net/tcp").read_text)
    return any(row.split()[1] == wanted and row.split()[3] == "01" for row in rows.splitlines()[1:])


async def test_after_a_stop_the_port_is_free_again() -> None:
    async with served(echo) as port, httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"http://127.0.0.1:{port}/")).status_code == 200
    serving.bind("127.0.0.1", port).close()


async def test_an_address_that_is_not_ours_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match=r"cannot listen on 192\.0\.2\.1:0: .*set listen"):
        serving.bind("192.0.2.1", 0)


async def test_a_taken_port_is_refused_even_when_the_other_one_shares_it() -> None:
    with closing(socket.socket()) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(SettingsInvalid, match="Address already in use"):
            serving.bind("127.0.0.1", other.getsockname()[1])


def timer_of(server: int, client: int) -> str:
    """Which timer the kernel runs for the server's end of a connection (`tr` of proc_net_tcp); 02: keep-alive."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if (int(words[1][-4:], 16), int(words[2][-4:], 16)) == (server, client):
            return words[5][:2]
    return "none"


async def test_a_client_that_vanished_without_a_word_is_noticed(authority: Authority) -> None:
    async with (
        served(echo) as port,
        httpx.AsyncClient(trust_env=False) as http,
        http.stream("GET", f"http://127.0.0.1:{port}/") as answer,
    ):
        _, own = answer.extensions["network_stream"].get_extra_info("client_addr")
        await answer.aread()
        assert timer_of(port, own) == "02"


async def test_http_2_that_answers_no_ping_is_closed(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "PING_MS", 50)
    monkeypatch.setattr(serving, "PONG_S", 1)
    context = ssl.create_default_context(cafile=str(authority.ca_file))
    context.set_alpn_protocols(["h2"])
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    async with served(echo, authority) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        writer.write(preface)
        async with asyncio.timeout(promised(10)):
            said = await reader.read()
        writer.close()
    assert bytes([0, 0, 8, 6, 0]) in said, "a PING frame came before the end"
