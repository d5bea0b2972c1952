"""The agent's downloads from real servers: resumed, limited, and never believed before they are verified."""

import hashlib
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from reconciler_agent.deadline import READ_BYTES
from reconciler_agent.download import BURST_S, Throttle
from reconciler_agent.durable import Disk
from reconciler_agent.errors import AgentError, DigestMismatch, NetworkTrouble
from schemas import site_token
from schemas.manifest import ManifestBandwidth
from tests.support.scripted_client import BLOB, DIGEST, KEY, PROBLEM, Clock, Serve, SteadyClock, client
from tests.support.scripted_http import Asked, Say

pytestmark = pytest.mark.usefixtures("process_life")


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
