"""Whatever the network does to a request: the box is as it was or as it shall be, says so, and gets on when it can."""

import random
from pathlib import Path

import pytest

from reconciler_agent.client import Client
from reconciler_agent.draft import Draft
from reconciler_agent.durable import Disk
from reconciler_agent.errors import NetworkTrouble
from schemas.names import digest_of
from tests.faults.boxes import KEY
from tests.faults.connections import CONNECTIONS
from tests.faults.faults import FAULTS
from tests.faults.network import KINDS, MEANT, update
from tests.faults.wire import Line, Wire, part_of, render
from tests.support.hurried_clock import HurriedClock
from tests.support.trust_world import SITE

SAMPLE = 60
SAMPLE_CONNECTIONS = 5
SEED = 20261126


@pytest.mark.timeout(3600)
def test_any_request_that_goes_wrong_in_any_way_does_no_harm_and_is_overcome(
    long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    points = [(fault, kind) for fault in FAULTS for kind in KINDS if (fault, kind) not in MEANT]
    with update() as tried:
        for fault, kind in points if long else random.Random(SEED).sample(points, SAMPLE):
            tried.try_point(fault, kind)
    with capsys.disabled():
        print(
            f"\nnetwork: {tried.points} points tried of {len(points)} ({len(FAULTS)} faults, {len(KINDS)} kinds of"
            f" request), {len(tried.failures)} failures; longest life {tried.longest_s:.1f} s, most memory taken"
            f" {tried.growth_bytes / 1e6:.0f} MB"
        )
    assert not tried.failures, "\n".join(tried.failures[:20])


@pytest.mark.timeout(1200)
def test_any_trouble_with_every_connection_changes_nothing_and_is_overcome(
    long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with update(tls=True) as tried:
        for name in CONNECTIONS if long else random.Random(SEED).sample(sorted(CONNECTIONS), SAMPLE_CONNECTIONS):
            tried.try_connections(name, CONNECTIONS[name])
    with capsys.disabled():
        print(f"\nconnections: {tried.points} tried of {len(CONNECTIONS)}, {len(tried.failures)} failures")
    assert not tried.failures, "\n".join(tried.failures)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_lives_of_which_any_request_may_go_wrong_do_no_harm_and_are_overcome(
    share: float, long: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    with update() as tried:
        for round in range(10 if long else 1):
            wrong = tried.live_in_chaos(random.Random(f"{SEED} {share} {round}"), 20, share)
    with capsys.disabled():
        many = f"{wrong} requests of the last went wrong, a share of {share}"
        print(f"\nchaos: {tried.points} updates over 20 lives each ({many}), {len(tried.failures)} failures")
    assert not tried.failures, "\n".join(tried.failures[:20])


CUT_BYTES = 64 << 10


@pytest.mark.parametrize("how", ["closed", "reset"])
@pytest.mark.parametrize("again", [False, True], ids=["once", "every time"])
def test_download_that_is_cut_at_any_64_kib_is_taken_up_and_nothing_is_fetched_twice(
    tmp_path: Path, how: str, again: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """`again`: every connection brings so much and no more; else one cut, at each of the places.

    A reset takes away what lay unread in the kernel: that is sent twice, and taken once.
    """
    film = bytes(range(256)) * (32 * CUT_BYTES // 256)
    cuts = [0] if again else list(range(CUT_BYTES, len(film), CUT_BYTES))
    failures = []
    for cut in cuts:
        server, taken = CutServer(film, CUT_BYTES if again else cut, how, again), list[int]()
        (tmp_path / str(cut)).mkdir()
        disk = Disk(tmp_path / str(cut), "data/agent", "run")
        disk.make_folder(disk.partial)
        draft = disk.draft(f"{disk.partial}/film", resume=True)
        with server.wire.serving():
            download(server.wire.url, film, draft, taken)
        twice = sum(taken) - len(film) if how == "reset" else server.sent - len(film)
        if draft.digest() != digest_of(film) or twice:
            failures.append(f"cut at {cut}: {twice} bytes were fetched twice")
        draft.close()
        disk.close()
    with capsys.disabled():
        cut_places = len(film) // CUT_BYTES - 1 if again else len(cuts)
        print(f"\ncut ({how}, {'every time' if again else 'once'}): {cut_places} cuts, {len(failures)} failures")
    assert not failures, failures


def download(url: str, film: bytes, draft: Draft, taken: list[int]) -> None:
    """As rounds do: again, when it broke off so soon that it was given up."""
    client = Client(url=url, site=SITE, key=KEY, clock=HurriedClock(1.0))
    for _ in range(100):
        try:
            client.download(digest_of(film), len(film), draft, taken.append)
            break
        except NetworkTrouble:
            continue
    client.close()


class CutServer:
    """A film, on connections that end after so many bytes of it: the first one, or all."""

    def __init__(self, film: bytes, cut: int, how: str, again: bool) -> None:
        self.sent = self.cuts = 0
        self._film, self._cut, self._how, self._again = film, cut, how, again
        self.wire = Wire(lambda asked: part_of(film, asked.headers.get("range")))
        self.wire.act = self._send

    def _send(self, line: Line) -> None:
        reply = line.honest
        data = render(reply)
        head = len(data) - len(reply.body)
        body = reply.body
        line.last = True
        if self._again or not self.cuts:
            body = body[: self._cut]
        self.sent += len(body)
        line.send(data[:head] + body)
        if len(body) < len(reply.body):
            self.cuts += 1
            if self._how == "reset":
                line.reset()
