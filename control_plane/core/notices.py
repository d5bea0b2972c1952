"""What is told to whom: channels, which alerts are for them, and one message of many notices (pure)."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from control_plane.core.alert_words import remedy, sentence, title
from control_plane.core.alerts import Firing
from control_plane.core.language import Language
from schemas.alerts import Severity
from schemas.names import DocumentId

MAX_LINES: Final = 20
"""Alerts that a message names; it counts the others."""
What = Literal["fired", "worse", "cleared"]
_ORDER: Final = ("critical", "warning", "info")
_SAID: Final[dict[Language, dict[str, str]]] = {
    "en": {"critical": "critical", "warning": "warning", "info": "information", "cleared": "cleared"},
    "fr": {"critical": "critique", "warning": "avertissement", "info": "information", "cleared": "terminée"},
}
_MORE: Final[dict[Language, str]] = {"en": "and {n} more", "fr": "et {n} de plus"}


class Channel(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where people are told: `url` (or the file `url_file`, which holds it) as apprise reads it.

    `tenant`: only of that tenant's sites; without it of all, and of the fleet itself. `pause_s`: between two messages.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    url: str = ""
    url_file: str = ""
    severities: tuple[Severity, ...] = ("critical", "warning")
    tenant: DocumentId | None = None
    language: Language = "en"
    pause_s: Annotated[int, Meta(ge=0, le=86_400)] = 300


class Notice(Struct, frozen=True, kw_only=True):
    """A piece of news about an alert; `tenant` of its site, `link` to the page that shows why."""

    id: int
    what: What
    firing: Firing
    tenant: DocumentId | None = None
    link: str = ""


class Message(Struct, frozen=True, kw_only=True):
    """What a channel is sent: plain text."""

    title: str
    body: str


def is_for(channel: Channel, severity: Severity, tenant: DocumentId | None) -> bool:
    """Whether the channel hears of alerts of this severity and tenant."""
    return severity in channel.severities and (channel.tenant is None or channel.tenant == tenant)


def message_of(notices: Sequence[Notice], channel: Channel) -> Message:
    """One message of these notices, which are at least one: the gravest first, what cleared last."""
    ordered = sorted(notices, key=lambda one: (one.what == "cleared", _ORDER.index(one.firing.severity), one.id))
    first, rest = ordered[0], len(ordered) - 1
    more = f" ({_MORE[channel.language].format(n=rest)})" if rest else ""
    lines = [line for notice in ordered[:MAX_LINES] for line in _lines(notice, channel)]
    if len(ordered) > MAX_LINES:
        lines.append(_MORE[channel.language].format(n=len(ordered) - MAX_LINES))
    return Message(title=f"[{_word(first, channel)}] {_headline(first, channel)}{more}", body="\n".join(lines))


def _lines(notice: Notice, channel: Channel) -> list[str]:
    lines = [f"{_word(notice, channel)}: {sentence(notice.firing, channel.language)}"]
    if notice.what != "cleared":
        lines.append(f"  → {remedy(notice.firing, channel.language)}")
    return [*lines, f"  {notice.link}"] if notice.link else lines


def _headline(notice: Notice, channel: Channel) -> str:
    name = notice.firing.values.get("name", notice.firing.subject)
    return f"{title(notice.firing.kind, channel.language)}: {name}"


def _word(notice: Notice, channel: Channel) -> str:
    return _SAID[channel.language]["cleared" if notice.what == "cleared" else notice.firing.severity]
