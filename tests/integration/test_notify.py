"""Alerts that reach people: by apprise over real HTTP, to a receiver that may be away."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from control_plane.core.notices import Channel
from control_plane.errors import SettingsInvalid
from control_plane.monitoring.meters import Meters
from control_plane.notify import Notifier, read_channels
from control_plane.store import notices
from control_plane.watching import Watch
from schemas.status import Metrics
from tests.support.api import Api, open_api
from tests.support.published import NOW, Box, Wanted, report

pytestmark = pytest.mark.anyio
MINUTE = timedelta(minutes=1)


class Receiver:
    """A webhook; `answers` is the status that it gives."""

    def __init__(self) -> None:
        self.answers, self.got = 200, list[dict[str, Any]]()

    @property
    def titles(self) -> list[str]:
        return [one["title"] for one in self.got]


@contextmanager
def receiving(receiver: Receiver) -> Iterator[str]:
    """The receiver at work; the URL that apprise knows it by."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if receiver.answers == 200:
                receiver.got.append(json.loads(body))
            self.send_response(receiver.answers)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"json://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def url(receiver: Receiver) -> Iterator[str]:
    with receiving(receiver) as found:
        yield found


@pytest.fixture
async def api(tmp_path: Path, database: str) -> AsyncIterator[Api]:
    async with open_api(tmp_path, database) as opened:
        kalon = {"tenant": "kalon"}
        sites = {"brest": Wanted(Box("brest").identity), "nantes": Wanted(Box("nantes").identity, facts=kalon)}
        await opened.publish(sites)
        yield opened


async def heat(api: Api, site: str, celsius: float, sequence: int) -> None:
    generation = int(NOW.timestamp() * 1000)
    said = report(generation, sequence=sequence, at=api.now, metrics=Metrics(temperature_celsius=celsius))
    await api.report(site, said)
    await Watch(api.pool, lambda: api.now, listens_since=api.now - timedelta(hours=1)).look()


def notifier(api: Api, *channels: Channel, base: str = "https://fleet.example.org") -> Notifier:
    return Notifier(channels, api.pool, lambda: api.now, base, Meters().notifications)


async def test_alert_reaches_the_channel_once_with_what_to_do_and_a_link(
    api: Api, receiver: Receiver, url: str
) -> None:
    tell = notifier(api, Channel(name="team", url=url, pause_s=0))
    await heat(api, "brest", 90, 1)
    assert [await tell.tell(), await tell.tell()] == [1, 0]
    (got,) = receiver.got
    assert got["title"] == "[critical] Too hot: Brest"
    assert "Let it breathe" in got["message"]
    assert "https://fleet.example.org/sites/brest" in got["message"]


async def test_many_alerts_are_one_message_and_messages_keep_their_pause(
    api: Api, receiver: Receiver, url: str
) -> None:
    tell = notifier(api, Channel(name="team", url=url, pause_s=300))
    await heat(api, "brest", 75, 1)
    await heat(api, "nantes", 90, 1)
    await tell.tell()
    assert receiver.titles == ["[critical] Too hot: Nantes (and 1 more)"]
    api.now += MINUTE
    await heat(api, "brest", 91, 2)
    assert await tell.tell() == 0
    api.now += 5 * MINUTE
    assert await tell.tell() == 1
    assert receiver.titles[1:] == ["[critical] Too hot: Brest"]


async def test_receiver_that_was_away_is_told_when_it_is_back_and_meanwhile_it_is_shown(
    api: Api, receiver: Receiver, url: str
) -> None:
    tell = notifier(api, Channel(name="team", url=url, pause_s=0))
    await heat(api, "brest", 90, 1)
    receiver.answers = 500
    assert await tell.tell() == 0
    async with api.connection() as conn:
        (one,) = await notices.failing(conn)
    assert (one.channel, one.waiting, one.error) == ("team", 1, "it did not take the message")
    assert "1 wait, the first since just now" in (await api.http.get("/system")).text
    receiver.answers = 200
    assert await tell.tell() == 0, "not before a minute has passed"
    api.now += MINUTE
    assert await tell.tell() == 1
    async with api.connection() as conn:
        assert await notices.failing(conn) == []


async def test_tenants_channel_hears_of_its_own_sites_alone(api: Api, receiver: Receiver, url: str) -> None:
    tell = notifier(api, Channel(name="kalon", url=url, tenant="kalon", pause_s=0))
    await heat(api, "brest", 90, 1)
    await heat(api, "nantes", 90, 1)
    await tell.tell()
    assert receiver.titles == ["[critical] Too hot: Nantes"]


async def test_what_was_claimed_before_a_crash_is_sent_after_it(api: Api, receiver: Receiver, url: str) -> None:
    channel = Channel(name="team", url=url, pause_s=0)
    await heat(api, "brest", 90, 1)
    async with api.connection() as conn:
        await notices.deal(conn, [channel], api.now)
        assert len(await notices.claim(conn, channel, api.now)) == 1
    assert await notifier(api, channel).tell() == 0, "it may be on its way"
    api.now += 6 * MINUTE
    assert await notifier(api, channel).tell() == 1


async def test_news_of_yesterday_are_given_up(api: Api, receiver: Receiver, url: str) -> None:
    tell = notifier(api, Channel(name="team", url=url, pause_s=0))
    receiver.answers = 500
    await heat(api, "brest", 90, 1)
    await tell.tell()
    api.now += timedelta(days=2)
    receiver.answers = 200
    assert await tell.tell() == 0
    assert receiver.got == []


WRONG = [
    ("[[channel]]\nname = 'a'\n", "write one of url and url_file"),
    ("[[channel]]\nname = 'a'\nurl = 'nonsense secret'\n", "apprise does not know its URL's form"),
    ("[[channel]]\nname = 'A b'\nurl = 'json://x'\n", "notifications"),
    ("[[channel]]\nname = 'a'\nurl = 'json://x'\ntypo = 1\n", "typo"),
    ("[[channel]]\nname = 'a'\nurl = 'json://x'\n" * 2, "two channels have one name"),
    ("[chanel]\n", "there is no table chanel"),
    ("[[channel]\n", "cannot read"),
]


@pytest.mark.parametrize(("text", "words"), WRONG)
def test_file_that_cannot_be_used_says_why_and_quotes_no_url(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "notifications.toml"
    file.write_text(text)
    with pytest.raises(SettingsInvalid, match=words) as caught:
        read_channels(file)
    assert "secret" not in str(caught.value)


def test_url_may_lie_in_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "team.url").write_text("json://127.0.0.1/hook\n")
    (tmp_path / "team.url").chmod(0o600)
    file = tmp_path / "notifications.toml"
    file.write_text("[[channel]]\nname = 'team'\nurl_file = 'team.url'\nseverities = ['critical']\n")
    (channel,) = read_channels(file)
    assert (channel.url, channel.severities) == ("json://127.0.0.1/hook", ("critical",))
