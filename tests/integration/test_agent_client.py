"""The agent's HTTP against real servers: honest ones, broken ones, and those that only stand in the way."""

import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import zstandard

from reconciler_agent.client import Client
from reconciler_agent.deadline import Deadline
from reconciler_agent.errors import AccessDenied, AgentError, DigestMismatch, NetworkTrouble
from schemas import site_token
from tests.support.authority import Authority
from tests.support.patience import promised, wait_for
from tests.support.scripted_client import DIGEST, JSON, KEY, PROBLEM, REPORT, Clock, Serve, SteadyClock, client
from tests.support.scripted_http import Asked, Say
from tests.support.trust_world import SITE, head

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
