"""Alerts to people, by apprise: mail, Slack, Teams, Matrix, webhooks … A URL may hold a secret: it is never shown."""

import asyncio
import tomllib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from prometheus_client import Counter

from control_plane.core.notices import Channel, Message, Notice, message_of
from control_plane.errors import SettingsInvalid
from control_plane.settings import read_secret
from control_plane.store import notices
from control_plane.store.pool import Pool, connection

SEND_S: Final = 60.0


def read_channels(path: Path) -> list[Channel]:
    """The `[[channel]]` tables of a TOML file; SettingsInvalid says what is wrong, and never quotes a URL."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
        channels = msgspec.convert(document.get("channel", []), list[Channel])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise SettingsInvalid(f"cannot read notifications {path}: {why}") from None
    except msgspec.ValidationError as problem:
        raise SettingsInvalid(f"cannot use notifications {path}: {problem}") from None
    if others := document.keys() - {"channel"}:
        raise SettingsInvalid(f"cannot use notifications {path}: there is no table {min(others)}; write [[channel]]")
    names = [channel.name for channel in channels]
    if len({*names}) != len(names):
        raise SettingsInvalid(f"cannot use notifications {path}: two channels have one name")
    return [_with_url(channel, path) for channel in channels]


def _with_url(channel: Channel, path: Path) -> Channel:
    if bool(channel.url) == bool(channel.url_file):
        raise SettingsInvalid(f"cannot use the channel {channel.name} in {path}: write one of url and url_file")
    url = channel.url or read_secret(path.parent / channel.url_file)
    if _apprise().Apprise.instantiate(url) is None:
        raise SettingsInvalid(
            f"cannot use the channel {channel.name} in {path}: apprise does not know its URL's form (SCHEME://…)"
        )
    return msgspec.structs.replace(channel, url=url)


def _apprise() -> Any:
    try:
        import apprise
    except ImportError:
        raise SettingsInvalid(
            "cannot notify: apprise is not installed; install neopro-fleet[notify], or leave notifications unset"
        ) from None
    return apprise


class Notifier:
    """Sends what is to be told. `base`: the public URL that links begin with; empty: links are left out.

    `sendings` counts messages by channel and outcome, `sent` or `failed`.
    """

    def __init__(
        self, channels: Sequence[Channel], pool: Pool, clock: Callable[[], datetime], base: str, sendings: Counter
    ) -> None:
        self._channels, self._pool, self._clock, self._base = channels, pool, clock, base.rstrip("/")
        self._sendings = sendings

    async def tell(self) -> int:
        """One message at most to each channel; how many notices were delivered. Failures are kept and tried again."""
        async with connection(self._pool) as conn:
            await notices.deal(conn, self._channels, self._clock())
            await notices.give_up(conn, self._clock())
        return sum([await self._tell(channel) for channel in self._channels])

    async def _tell(self, channel: Channel) -> int:
        async with connection(self._pool) as conn:
            due = await notices.claim(conn, channel, self._clock())
        if not due:
            return 0
        error = await self._send(channel, message_of([self._linked(one) for one in due], channel))
        self._sendings.labels(channel.name, "failed" if error else "sent").inc()
        async with connection(self._pool) as conn:
            if error:
                await notices.failed(conn, channel.name, due, error, self._clock())
                return 0
            await notices.sent(conn, channel.name, due, self._clock())
        return len(due)

    def _linked(self, notice: Notice) -> Notice:
        return msgspec.structs.replace(notice, link=self._base + notice.link if self._base else "")

    async def _send(self, channel: Channel, message: Message) -> str:
        """Why it could not be delivered; empty: it was."""
        apprise = _apprise()
        target = apprise.Apprise()
        target.add(channel.url)
        try:
            async with asyncio.timeout(SEND_S):
                took = await target.async_notify(body=message.body, title=message.title, body_format="text")
        except TimeoutError:
            return f"it did not answer within {SEND_S:.0f} s"
        return "" if took else "it did not take the message"
