"""The agent's HTTP against real servers: honest ones, broken ones, and those that only stand in the way."""

import hashlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reconciler_agent.client import Client
from reconciler_agent.deadline import READ_BYTES, Deadline
from reconciler_agent.download import BURST_S, Throttle
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AccessDenied, AgentError, DigestMismatch, NetworkTrouble, SettingsInvalid
from schemas import site_token
from schemas.manifest import ManifestBandwidth
from schemas.names import digest_of
from schemas.status import StatusReport
from tests.support.authority import Authority
from tests.support.hurried_clock import HurriedClock
from tests.support.patience import promised, wait_for
from tests.support.scripted_http import Asked, Say, ScriptedServer
from tests.support.trust_world import SITE, head

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
JSON = {"Content-Type": "application/json"}
PROBLEM = {"Content-Type": "application/problem+json"}
BLOB = bytes(range(256)) * 2048  # 512 KiB
DIGEST = digest_of(BLOB)
REPORT = StatusReport(run_id="0" * 32, sequence=1, at=datetime.now(UTC), agent_version="1.0")


class Clock(HurriedClock):
    """A clock that may be off."""

    def __init__(self, offset: timedelta = timedelta(), factor: float = 1.0) -> None:
        super().__init__(factor)
        self.offset = offset

    def now(self) -> datetime:
        return super().now() + self.offset


Serve = Callable[..., ScriptedServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers; they end with the test."""
    running: list[Any] = []

    def start(script: Callable[[Asked], Say], tls: ssl.SSLContext | None = None) -> ScriptedServer:
        context = ScriptedServer(script, tls).serving()
        running.append(context)
        return context.__enter__()

    yield start
    for context in reversed(running):
        context.__exit__(None, None, None)


def client(server: ScriptedServer, **options: Any) -> Client:
    return Client(**{"url": server.url, "site": SITE, "key": KEY, "clock": Clock()} | options)


# Heads and tokens


def test_head_is_fetched_with_our_token_and_asked_for_again_by_its_tag(serve: Serve) -> None:
    def script(asked: Asked) -> Say:
        claims = site_token.verify(asked.headers["Authorization"].split()[1], KEY.public_key(), datetime.now(UTC))
        assert claims.iss == SITE
        if asked.headers.get("If-None-Match") == '"1-a"':
            return Say(304, {"ETag": '"1-a"', "Content-Length": ""})
        return Say(200, {**JSON, "ETag": '"1-a"'}, head())

    server = serve(script)
    box = client(server)
    first = box.head()
    assert first == (head(), '"1-a"')
    assert box.head(first.etag, wait_s=20) is None
    assert server.asked[1].headers["Prefer"] == "wait=20"
    assert [asked.path for asked in server.asked] == [f"/v1/sites/{SITE}/head"] * 2
    assert server.connections == 1


def test_304_that_nobody_asked_for_is_trouble(serve: Serve) -> None:
    with pytest.raises(NetworkTrouble):
        client(serve(lambda _: Say(304, {"Content-Length": ""}))).head()


@pytest.mark.parametrize("offset", [timedelta(days=-9000), timedelta(hours=-3), timedelta(days=400)])
def test_clock_that_is_off_is_corrected_once_by_the_server_s_date(serve: Serve, offset: timedelta) -> None:
    def script(asked: Asked) -> Say:
        now = datetime.now(UTC)
        try:
            site_token.verify(asked.headers["Authorization"].split()[1], KEY.public_key(), now)
        except site_token.OutsideLifetime:
            return Say(401, {**PROBLEM, "Date": format_datetime(now, usegmt=True)}, b"{}")
        return Say(200, {**JSON, "ETag": '"1-a"'}, head())

    server = serve(script)
    box = client(server, clock=Clock(offset))
    assert box.head() is not None
    assert len(server.asked) == 2
    box.head()
    assert len(server.asked) == 3


def test_refused_token_of_a_right_clock_is_not_tried_again(serve: Serve) -> None:
    date = format_datetime(datetime.now(UTC), usegmt=True)
    server = serve(lambda _: Say(401, {**PROBLEM, "Date": date}, b'{"detail": "the token is not known"}'))
    with pytest.raises(AccessDenied, match="the token is not known"):
        client(server).head()
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_counts_only_from_the_control_plane_itself(serve: Serve, status: int) -> None:
    with pytest.raises(AccessDenied, match="revoked"):
        client(serve(lambda _: Say(status, PROBLEM, b'{"title": "no", "detail": "revoked"}'))).head()
    with pytest.raises(NetworkTrouble, match="captive portal"):
        client(serve(lambda _: Say(status, {"Content-Type": "text/html"}, b"<html>log in"))).head()


def test_long_poll_may_be_silent_longer_than_any_other_answer(serve: Serve) -> None:
    hold = threading.Event()
    threading.Timer(0.6, hold.set).start()
    server = serve(lambda _: Say(200, {**JSON, "ETag": '"1-a"'}, head(), hold=hold))
    assert client(server, answer_s=0.2).head('"0-a"', wait_s=5) is not None


def test_poll_and_calls_of_the_loop_do_not_wait_for_each_other(serve: Serve) -> None:
    hold = threading.Event()

    def script(asked: Asked) -> Say:
        if asked.path.endswith("head"):
            return Say(200, {**JSON, "ETag": '"1-a"'}, head(), hold=hold)
        return Say(204, {"Content-Length": ""})

    box = client(serve(script))
    polled: list[Any] = []
    thread = threading.Thread(target=lambda: polled.append(box.head('"0-a"', wait_s=20)))
    thread.start()
    for _ in range(3):
        box.report(REPORT)
    hold.set()
    thread.join(10)
    assert len(polled) == 1


# Documents and reports


def test_trust_documents_are_read_without_a_token_and_may_be_missing(serve: Serve) -> None:
    def script(asked: Asked) -> Say:
        assert "Authorization" not in asked.headers
        if asked.path in ("/v1/trust/2", "/v1/release-list/5"):
            return Say(200, JSON, head())
        return Say(404, PROBLEM, b'{"detail": "there is none yet"}')

    box = client(serve(script))
    assert (box.trust(2), box.release_list(5)) == (head(), head())
    assert (box.trust(3), box.release_list(6)) == (None, None)


def test_missing_document_counts_only_from_the_control_plane_itself(serve: Serve) -> None:
    with pytest.raises(NetworkTrouble):
        client(serve(lambda _: Say(404, {"Content-Type": "text/html"}, b"<html>nginx"))).trust(2)


def test_report_is_sent_as_json_and_is_kept_at_204_alone(serve: Serve) -> None:
    server = serve(lambda _: Say(204, {"Content-Length": ""}))
    client(server).report(REPORT)
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.headers["Content-Type"]) == (
        "POST",
        f"/v1/sites/{SITE}/status",
        "application/json",
    )
    assert b'"run_id"' in asked.body
    with pytest.raises(NetworkTrouble):
        client(serve(lambda _: Say(200, {"Content-Type": "text/html"}, b"thanks"))).report(REPORT)


# What stands in the way

CALLS: dict[str, Callable[[Client], object]] = {
    "head": lambda c: c.head(),
    "trust": lambda c: c.trust(2),
    "release list": lambda c: c.release_list(2),
    "blob": lambda c: c.blob(DIGEST, 1 << 20),
    "report": lambda c: c.report(REPORT),
}
IN_THE_WAY = {
    "portal": Say(200, {"Content-Type": "text/html"}, b"<html>" + b"Welcome to our Wi-Fi. " * 200),
    "portal as json": Say(200, JSON, b'{"login": "required"}'),
    "redirect": Say(302, {"Location": "http://portal.example/login"}),
    "permanent redirect": Say(308, {"Location": "https://elsewhere.example/"}),
    "proxy error": Say(502, {"Content-Type": "text/html"}, b"<html>Bad Gateway"),
    "network login": Say(511, {"Content-Type": "text/html"}, b"<html>"),
    "teapot": Say(418, {}, b""),
    "compressed": Say(200, {**JSON, "Content-Encoding": "gzip"}, b"\x1f\x8b" * 10),
    "cut off": Say(200, JSON, b'{"payloadType"', length=5000),
    "empty": Say(200, {}, b""),
}


OPAQUE = {("portal as json", "blob")}
"""Nobody can tell this from a blob but by its digest, as the next test does."""


@pytest.mark.parametrize(("say", "call"), sorted(set(product(IN_THE_WAY, CALLS)) - OPAQUE))
def test_what_stands_in_the_way_is_network_trouble_and_never_an_alarm(serve: Serve, say: str, call: str) -> None:
    with pytest.raises(NetworkTrouble) as caught:
        CALLS[call](client(serve(lambda _: IN_THE_WAY[say])))
    assert len(str(caught.value)) < 500


def test_blob_of_other_bytes_is_a_mismatch(serve: Serve) -> None:
    with pytest.raises(DigestMismatch):
        client(serve(lambda _: Say(200, {}, b"other"))).blob(DIGEST, 1 << 20)


@pytest.mark.parametrize("call", CALLS)
def test_endless_body_is_cut_off(serve: Serve, call: str) -> None:
    huge = Say(200, JSON, b'{"payloadType": "' + b"x" * (4 << 20))
    with pytest.raises(NetworkTrouble, match="more than"):
        CALLS[call](client(serve(lambda _: huge)))


def test_nobody_there_is_network_trouble() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NetworkTrouble, match=r"127\.0\.0\.1"):
        Client(url=f"http://127.0.0.1:{port}", site=SITE, key=KEY, clock=Clock()).head()


def test_silence_is_network_trouble() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(NetworkTrouble, match="no answer in time"):
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        Client(url=url, site=SITE, key=KEY, clock=Clock(), answer_s=0.2).head()


@pytest.mark.parametrize("call", CALLS)
def test_byte_now_and_then_does_not_hold_a_request_for_ever(serve: Serve, call: str) -> None:
    server = serve(lambda _: Say(200, JSON, b" " * (1 << 20), drip_s=0.05))
    with pytest.raises(NetworkTrouble, match="no answer in time"):
        CALLS[call](client(server, answer_s=0.3))


def test_agent_that_is_to_end_waits_for_no_answer(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deadline, "most_s", 0.2)
    hold = threading.Event()
    server = serve(lambda _: Say(200, JSON, head(), hold=hold))
    started_s = time.monotonic()
    with pytest.raises(NetworkTrouble, match="no answer in time"):
        client(server).head('"0-a"', wait_s=50)
    hold.set()
    assert time.monotonic() - started_s < promised(5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", 7.0), ("0", 1.0), ("999999", 3600.0), ("", None), ("soon", None), ("-5", None)],
)
@pytest.mark.parametrize("headers", [PROBLEM, {"Content-Type": "text/html"}])
def test_retry_after_is_heard_within_bounds(
    serve: Serve, text: str, expected: float | None, headers: dict[str, str]
) -> None:
    with pytest.raises(NetworkTrouble) as caught:
        client(serve(lambda _: Say(503, {**headers, "Retry-After": text}, b"{}"))).head()
    assert caught.value.retry_after_s == expected


def test_retry_after_may_be_a_date(serve: Serve) -> None:
    now = datetime.now(UTC)
    dates = {"Date": format_datetime(now, usegmt=True)}
    dates["Retry-After"] = format_datetime(now + timedelta(seconds=90), usegmt=True)
    with pytest.raises(NetworkTrouble) as caught:
        client(serve(lambda _: Say(429, {**PROBLEM, **dates}, b"{}")), clock=Clock(timedelta(days=900))).head()
    assert caught.value.retry_after_s == 90.0


def test_request_is_not_sent_before_the_time_that_was_asked_for(serve: Serve) -> None:
    """Only those of its kind wait; for how long is bounded (an hour)."""
    answers = {"head": Say(503, {**PROBLEM, "Retry-After": "86400"}, b"{}"), "status": Say(204, {"Content-Length": ""})}
    server = serve(lambda asked: answers[asked.path.rpartition("/")[2]])
    clock = SteadyClock()
    box = client(server, clock=clock)
    for waited_s, sent in ((0, 1), (1, 1), (3598, 1), (2, 2), (60, 2)):
        clock.sleep(waited_s)
        with pytest.raises(NetworkTrouble) as caught:
            box.head()
        box.report(REPORT)
        assert [asked.path.rpartition("/")[2] for asked in server.asked].count("head") == sent
        assert 0 < (caught.value.retry_after_s or 0) <= 3600
    assert len(server.asked) == 7


def test_envelope_that_was_cut_off_by_a_proxy_that_says_no_length_is_trouble(serve: Serve) -> None:
    unframed = {**JSON, "Content-Length": "", "Connection": "close"}
    for cut in (1, 2, 100, len(head()) - 30):
        with pytest.raises(NetworkTrouble):
            client(serve(lambda _, cut=cut: Say(200, unframed, head()[:-cut], length=0))).head()


def test_problem_that_is_no_text_is_still_trouble(serve: Serve) -> None:
    with pytest.raises(NetworkTrouble, match="does not say why"):
        client(serve(lambda _: Say(409, PROBLEM, b'{"detail": "\xd8"}'))).head()


def test_environment_is_not_listened_to(serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login a password b")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    authority = Authority(tmp_path, "own")
    server = serve(lambda _: Say(200, {**JSON, "Set-Cookie": "a=b"}, head()), authority.server_context())
    box = client(server, ca=authority.ca_file)
    assert box.trust(2) == box.trust(3) == head()
    assert not (tmp_path / "keys").exists()
    assert not {"Authorization", "Cookie"} & server.asked[1].headers.keys()


# TLS


@pytest.mark.parametrize(
    "url", ["http://example.org", "http://10.0.0.1", "ftp://localhost", "https://", "", "https://a:b@c"]
)
def test_url_that_is_not_safe_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid):
        Client(url=url, site=SITE, key=KEY, clock=Clock())


def test_missing_ca_file_is_one_clear_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="cannot use the certificates"):
        Client(url="https://127.0.0.1", site=SITE, key=KEY, clock=Clock(), ca=tmp_path / "none.pem")


def test_server_of_another_authority_is_refused(serve: Serve, tmp_path: Path) -> None:
    ours, theirs = Authority(tmp_path, "ours"), Authority(tmp_path, "theirs")
    server = serve(lambda _: Say(200, JSON, head()), theirs.server_context())
    for ca in (ours.ca_file, None):
        with pytest.raises(NetworkTrouble, match="certificate"):
            client(server, ca=ca).trust(2)
    assert server.asked == []


@pytest.mark.parametrize("unsynchronised", [False, True])
def test_server_of_another_name_is_refused(serve: Serve, tmp_path: Path, unsynchronised: bool) -> None:
    authority = Authority(tmp_path, "own")
    server = serve(lambda _: Say(200, JSON, head()), authority.server_context())
    floor = (lambda: datetime.now(UTC)) if unsynchronised else (lambda: None)
    box = client(server, url=f"https://127.0.0.2:{server.port}", ca=authority.ca_file, floor_at=floor)
    with pytest.raises(NetworkTrouble):
        box.trust(2)
    assert server.asked == []


YEAR = timedelta(days=365)


@pytest.mark.parametrize("issued", [-YEAR, timedelta(), YEAR])
@pytest.mark.parametrize("floor", [None, -2 * YEAR, timedelta(), 2 * YEAR])
def test_certificate_s_dates_are_judged_by_the_clock_or_by_the_floor_alone(
    serve: Serve, tmp_path: Path, issued: timedelta, floor: timedelta | None
) -> None:
    now = datetime.now(UTC)
    authority = Authority(tmp_path, "own", now + issued)
    server = serve(lambda _: Say(200, JSON, head()), authority.server_context())
    box = client(server, ca=authority.ca_file, floor_at=lambda: None if floor is None else now + floor)
    good = issued == timedelta() if floor is None else floor <= issued
    if good:
        assert box.trust(2) == head()
    else:
        with pytest.raises(NetworkTrouble, match="certificate"):
            box.trust(2)
        assert server.asked == []


def test_dates_are_judged_by_the_clock_again_once_it_is_synchronised(serve: Serve, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    authority = Authority(tmp_path, "own", now - YEAR)
    floor: list[datetime | None] = [now - 2 * YEAR]
    hung_up = {**JSON, "Connection": "close"}
    server = serve(lambda _: Say(200, hung_up, head()), authority.server_context())
    box = client(server, ca=authority.ca_file, floor_at=lambda: floor[0])
    assert box.trust(2) == head()
    floor[0] = None
    with pytest.raises(NetworkTrouble, match="certificate"):
        box.trust(2)


# Downloads


class Draft:
    """The real draft of the agent's disk, with what it holds."""

    def __init__(self, root: Path, had: bytes = b"") -> None:
        disk = Disk(root, "data/agent", "run")
        disk.make_folder(disk.partial)
        self.path = root / disk.partial / "blob"
        self.path.write_bytes(had)
        self.draft = disk.draft(f"{disk.partial}/blob", resume=True)

    @property
    def bytes(self) -> bytes:
        return self.path.read_bytes()


def ranged(asked: Asked, blob: bytes = BLOB, cut: int | None = None) -> Say:
    """An honest server of a blob; with `cut` it breaks off after so many bytes."""
    first = int(asked.headers["Range"].removeprefix("bytes=").rstrip("-")) if "Range" in asked.headers else 0
    if first >= len(blob):
        return Say(416, {**PROBLEM, "Content-Range": f"bytes */{len(blob)}"}, b"{}")
    rest = blob[first:]
    sent = rest if cut is None else rest[:cut]
    headers = {"Content-Range": f"bytes {first}-{len(blob) - 1}/{len(blob)}"} if first else {}
    return Say(206 if first else 200, headers, sent, length=len(rest))


def test_blob_is_downloaded_whole(serve: Serve, tmp_path: Path) -> None:
    target, counted = Draft(tmp_path), []
    client(serve(ranged)).download(DIGEST, len(BLOB), target.draft, counted.append)
    assert (target.bytes, sum(counted)) == (BLOB, len(BLOB))


def test_download_goes_on_where_an_earlier_run_ended(serve: Serve, tmp_path: Path) -> None:
    server, target = serve(ranged), Draft(tmp_path, BLOB[:100_000])
    client(server).download(DIGEST, len(BLOB), target.draft)
    assert target.bytes == BLOB
    assert [asked.headers["Range"] for asked in server.asked] == ["bytes=100000-"]


def test_download_that_is_there_already_asks_for_nothing(serve: Serve, tmp_path: Path) -> None:
    server = serve(ranged)
    client(server).download(DIGEST, len(BLOB), Draft(tmp_path, BLOB).draft)
    assert server.asked == []


def test_download_over_a_link_that_breaks_again_and_again_is_finished(serve: Serve, tmp_path: Path) -> None:
    server, target = serve(lambda asked: ranged(asked, cut=100_000)), Draft(tmp_path)
    client(server).download(DIGEST, len(BLOB), target.draft)
    assert target.bytes == BLOB
    assert len(server.asked) == 6


def test_interrupted_download_keeps_what_came(serve: Serve, tmp_path: Path) -> None:
    first = [True]

    def script(asked: Asked) -> Say:
        return ranged(asked, cut=100_000) if first.pop() else Say(503, {**PROBLEM, "Retry-After": "9"}, b"{}")

    target = Draft(tmp_path)
    first.insert(0, False)
    with pytest.raises(NetworkTrouble) as caught:
        client(serve(script)).download(DIGEST, len(BLOB), target.draft)
    assert (caught.value.retry_after_s, target.bytes) == (9.0, BLOB[:100_000])


def test_server_that_cannot_resume_starts_from_the_beginning(serve: Serve, tmp_path: Path) -> None:
    target = Draft(tmp_path, BLOB[:100_000])
    client(serve(lambda _: Say(200, {}, BLOB))).download(DIGEST, len(BLOB), target.draft)
    assert target.bytes == BLOB


@pytest.mark.parametrize("status", [412, 416])
def test_range_that_is_refused_is_asked_for_from_the_beginning(serve: Serve, tmp_path: Path, status: int) -> None:
    server = serve(lambda asked: Say(status, PROBLEM, b"{}") if "Range" in asked.headers else Say(200, {}, BLOB))
    target = Draft(tmp_path, BLOB[:100_000])
    client(server).download(DIGEST, len(BLOB), target.draft)
    assert target.bytes == BLOB


@pytest.mark.parametrize(
    "content_range", ["", "bytes 0-9/10", "bytes 100000-199999/200000", "pages 1-2/3", "bytes */9"]
)
def test_another_range_than_asked_for_is_not_appended(serve: Serve, tmp_path: Path, content_range: str) -> None:
    def script(asked: Asked) -> Say:
        if "Range" in asked.headers:
            return Say(206, {"Content-Range": content_range}, b"x" * 1000)
        return Say(200, {}, BLOB)

    target = Draft(tmp_path, BLOB[:100_000])
    client(serve(script)).download(DIGEST, len(BLOB), target.draft)
    assert target.bytes == BLOB


def test_damaged_beginning_is_fetched_anew(serve: Serve, tmp_path: Path) -> None:
    target = Draft(tmp_path, b"\x00" * 100_000)
    client(serve(ranged)).download(DIGEST, len(BLOB), target.draft)
    assert target.bytes == BLOB


@pytest.mark.parametrize("had", [0, 100_000, len(BLOB)])
def test_other_bytes_of_the_same_size_are_a_mismatch_and_are_not_kept(serve: Serve, tmp_path: Path, had: int) -> None:
    target = Draft(tmp_path, (BLOB[:-1] + b"longer")[:had] + b"more" * (had == len(BLOB)))
    with pytest.raises(DigestMismatch):
        client(serve(lambda asked: ranged(asked, blob=BLOB[::-1]))).download(DIGEST, len(BLOB), target.draft)
    assert target.bytes == b""


INSTEAD = {
    "web page": Say(200, {"Content-Type": "text/html"}, b"<html>log in"),
    "compressed": Say(200, {"Content-Encoding": "gzip"}, BLOB),
    "nothing": Say(200, {}, b""),
    "missing": Say(404, PROBLEM, b'{"detail": "no such blob"}'),
    "redirect": Say(302, {"Location": "https://portal.example"}),
    "store without TLS": Say(307, {"Location": "http://example.org/blob"}),
    "file": Say(307, {"Location": "file:///etc/passwd"}),
    "nowhere": Say(307, {}),
    "no range at all": Say(416, PROBLEM, b"{}"),
}


@pytest.mark.parametrize("instead", INSTEAD)
def test_download_of_something_else_is_network_trouble(serve: Serve, tmp_path: Path, instead: str) -> None:
    target = Draft(tmp_path)
    with pytest.raises(NetworkTrouble):
        client(serve(lambda _: INSTEAD[instead])).download(DIGEST, len(BLOB), target.draft)
    assert target.bytes == b""


@pytest.mark.parametrize("body", [BLOB + b"more", BLOB[:-1], b"", b"log in first"])
def test_answer_of_another_length_is_trouble_and_costs_nothing_of_what_is_there(
    serve: Serve, tmp_path: Path, body: bytes
) -> None:
    target = Draft(tmp_path, BLOB[:100_000])
    with pytest.raises(NetworkTrouble, match="in the place of"):
        client(serve(lambda _: Say(200, {}, body))).download(DIGEST, len(BLOB), target.draft)
    assert target.bytes == BLOB[:100_000]


def test_more_bytes_than_announced_by_nobody_are_trouble_and_are_not_kept(serve: Serve, tmp_path: Path) -> None:
    target = Draft(tmp_path)
    unframed = {"Content-Length": "", "Connection": "close"}
    with pytest.raises(NetworkTrouble, match="too many"):
        client(serve(lambda _: Say(200, unframed, BLOB + b"more", length=0))).download(DIGEST, len(BLOB), target.draft)
    assert target.bytes == b""


def test_silent_server_in_the_middle_of_a_download_is_left(serve: Serve, tmp_path: Path) -> None:
    hold = threading.Event()
    server = serve(lambda _: Say(200, {}, BLOB, hold=hold))
    with pytest.raises(NetworkTrouble, match="no answer in time"):
        client(server, answer_s=0.2).download(DIGEST, len(BLOB), Draft(tmp_path).draft)
    hold.set()


def test_download_that_drips_is_given_up(serve: Serve, tmp_path: Path) -> None:
    target = Draft(tmp_path)
    server = serve(lambda _: Say(200, {}, BLOB, drip_s=0.05))
    with pytest.raises(NetworkTrouble, match="too long"):
        client(server, clock=Clock(factor=10_000.0)).download(DIGEST, len(BLOB), target.draft)
    assert 0 < len(target.bytes) < len(BLOB)


class SteadyClock(Clock):
    """Time passes only by waiting, which is counted; 14:00 on a synchronised wall clock at first."""

    def __init__(self, synchronised: bool = True) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.synchronised = synchronised

    def monotonic(self) -> float:
        return sum(self.waits, 100.0)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    def believed(self) -> datetime | None:
        at = datetime(2026, 11, 23, 14, tzinfo=UTC) + timedelta(seconds=sum(self.waits))
        return at if self.synchronised else None


def throttled(clock: SteadyClock, limit_bytes_s: int, hours: str | None = None) -> Throttle:
    throttle = Throttle(clock)
    throttle.obey(ManifestBandwidth(limit_bytes_s=limit_bytes_s, hours=hours), UTC)
    return throttle


def test_downloads_together_keep_the_limit(serve: Serve, tmp_path: Path) -> None:
    clock = SteadyClock()
    box = client(serve(ranged), clock=clock, throttle=throttled(clock, len(BLOB) // 40))
    for number in range(3):
        (tmp_path / str(number)).mkdir()
        box.download(DIGEST, len(BLOB), Draft(tmp_path / str(number)).draft)

    assert 3 * 40 - BURST_S <= sum(clock.waits) <= 3 * 40 + 0.01
    assert max(clock.waits) <= 1.0


@pytest.mark.parametrize(
    ("hours", "synchronised", "waits_s"),
    [
        ("08:00-22:00", True, 40),
        ("22:00-08:00", True, 0),
        ("14:00-14:01", True, 40),
        ("22:00-14:00", True, 0),
        ("22:00-08:00", False, 40),
        (None, False, 40),
    ],
)
def test_limit_holds_in_its_hours_and_when_the_hour_is_unknown(
    serve: Serve, tmp_path: Path, hours: str | None, synchronised: bool, waits_s: float
) -> None:
    clock = SteadyClock(synchronised)
    throttle = throttled(clock, len(BLOB) // 40, hours)
    client(serve(ranged), clock=clock, throttle=throttle).download(DIGEST, len(BLOB), Draft(tmp_path).draft)
    assert waits_s - BURST_S <= sum(clock.waits) <= waits_s + 0.01


def test_download_is_free_from_the_minute_in_which_its_hours_end(serve: Serve, tmp_path: Path) -> None:
    clock = SteadyClock()
    throttle = throttled(clock, len(BLOB) // 600, "08:00-14:01")
    client(serve(ranged), clock=clock, throttle=throttle).download(DIGEST, len(BLOB), Draft(tmp_path).draft)
    assert 60 - BURST_S <= sum(clock.waits) < 60 + 600 * READ_BYTES / len(BLOB)  # what came at once is waited for


def test_download_that_is_held_back_hears_of_news(serve: Serve, tmp_path: Path) -> None:
    class Stopped(AgentError):
        """Enough."""

    clock = SteadyClock()

    def stop(count: int) -> None:
        if count == 0 and sum(clock.waits) > 5:
            raise Stopped("cannot go on: there is news")

    target = Draft(tmp_path)
    with pytest.raises(Stopped):
        client(serve(ranged), clock=clock, throttle=throttled(clock, 1000)).download(
            DIGEST, len(BLOB), target.draft, stop
        )
    assert sum(clock.waits) == pytest.approx(6.0)


def test_progress_may_stop_the_download(serve: Serve, tmp_path: Path) -> None:
    class Stopped(AgentError):
        """Enough."""

    def stop(_: int) -> None:
        raise Stopped("cannot go on: stopping")

    target = Draft(tmp_path)
    with pytest.raises(Stopped):
        client(serve(ranged)).download(DIGEST, len(BLOB), target.draft, stop)
    assert 0 < len(target.bytes) < len(BLOB)


def test_text_of_an_operation_is_handed_over_as_zstd(serve: Serve) -> None:
    packed = zstandard.ZstdCompressor().compress(b"a goal\n" * 1000)
    plane = serve(lambda _: Say(204, {"Content-Length": ""}))

    client(plane).log("2026-11-23-logs-brest", packed)

    (asked,) = plane.asked
    assert (asked.method, asked.path) == ("POST", f"/v1/sites/{SITE}/logs/2026-11-23-logs-brest")
    assert asked.headers["Content-Encoding"] == "zstd"
    assert zstandard.ZstdDecompressor().decompress(asked.body) == b"a goal\n" * 1000
    assert "Authorization" in asked.headers


@pytest.mark.parametrize(
    ("status", "error"), [(403, AccessDenied), (404, NetworkTrouble), (413, NetworkTrouble), (503, NetworkTrouble)]
)
def test_text_that_is_not_taken_is_told(serve: Serve, status: int, error: type[AgentError]) -> None:
    with pytest.raises(error, match="hand over a log"):
        client(serve(lambda _: Say(status, PROBLEM, b'{"detail": "no"}'))).log("x", b"packed")


def test_redirect_to_the_object_store_goes_without_our_token(serve: Serve, tmp_path: Path) -> None:
    store = serve(ranged)
    plane = serve(lambda _: Say(307, {"Location": f"{store.url}/bucket/blob?signature=x"}))
    target = Draft(tmp_path, BLOB[:1000])
    box = client(plane)
    box.download(DIGEST, len(BLOB), target.draft)
    assert target.bytes == BLOB
    assert box.blob(DIGEST, 1 << 20) == BLOB
    assert all("Authorization" in asked.headers for asked in plane.asked)
    assert all("Authorization" not in asked.headers for asked in store.asked)
    assert (store.asked[0].path, store.asked[0].headers["Range"]) == ("/bucket/blob?signature=x", "bytes=1000-")


def test_object_store_may_not_redirect_again(serve: Serve, tmp_path: Path) -> None:
    store = serve(lambda _: Say(307, {"Location": "https://example.org/"}))
    plane = serve(lambda _: Say(307, {"Location": store.url}))
    with pytest.raises(NetworkTrouble, match="redirect"):
        client(plane).download(DIGEST, len(BLOB), Draft(tmp_path).draft)


def test_download_learns_the_clock_s_offset_too(serve: Serve, tmp_path: Path) -> None:
    def script(asked: Asked) -> Say:
        now = datetime.now(UTC)
        try:
            site_token.verify(asked.headers["Authorization"].split()[1], KEY.public_key(), now)
        except site_token.OutsideLifetime:
            return Say(401, {**PROBLEM, "Date": format_datetime(now, usegmt=True)}, b"{}")
        return ranged(asked)

    target = Draft(tmp_path)
    client(serve(script), clock=Clock(timedelta(days=-30))).download(DIGEST, len(BLOB), target.draft)
    assert hashlib.sha256(target.bytes).digest() == hashlib.sha256(BLOB).digest()


def test_closed_client_ends_a_long_poll_soon(serve: Serve) -> None:
    hold = threading.Event()
    server = serve(lambda _: Say(200, JSON, head(), hold=hold))
    box = client(server)
    ended: list[Exception] = []

    def poll() -> None:
        try:
            box.head('"0-a"', wait_s=30)
        except AgentError as problem:
            ended.append(problem)

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    wait_for(lambda: server.asked, "the poll is open")
    box.close()
    hold.set()
    thread.join(promised(10))
    assert not thread.is_alive()
