"""What can be wrong between this machine and the control plane; each finding says what to do. Reads only."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from cli.checkout import Checkout
from cli.checks import Check, Verdict, private
from cli.errors import CommandFailed
from cli.remote import Remote, find_target, find_target_if_any
from cli.settings import Setting, settings_of
from schemas.api import TokenInfo

if TYPE_CHECKING:
    import httpx

CLOCK_WARNING: Final = timedelta(seconds=30)
CLOCK_FAULT: Final = timedelta(minutes=5)
"""Tokens of boxes live some minutes; a clock that is this wrong makes every date of a verb wrong, too."""
TOKEN_SOON: Final = timedelta(days=14)
AREA: Final = "control plane"


def control_plane(checkout: Checkout | None, env: Mapping[str, str], now: datetime) -> Iterator[Check]:
    """Named, reachable, of this version, on time; the token known, and until when."""
    try:
        if find_target_if_any(env, checkout) is None:
            remedy = "set NEOPRO_URL, or in the checkout: git config neopro.url https://…  (neopro help environment)"
            yield Check(AREA, "warning", "none is named: what boxes report cannot be seen from here", remedy)
            return
        target = find_target(env, checkout)
    except CommandFailed as problem:
        sentence, _, remedy = str(problem).partition(": set ")
        yield Check(AREA, "fault", sentence, f"set {remedy}" if remedy else "neopro help environment")
        return
    found = settings_of(env, checkout)
    yield Check(AREA, "ok", f"{target.url}, by {found['url'].source}")
    yield from _token_file(found["token_file"])
    with Remote(target) as remote:
        yield from _asked(remote, now)


def _token_file(setting: Setting) -> Iterator[Check]:
    if not setting.value:
        return
    path = Path(setting.value).expanduser()
    if path.is_file() and not private(path):
        yield Check(AREA, "warning", f"others on this machine may read the token in {path}", f"chmod 600 {path}")


def _asked(remote: Remote, now: datetime) -> Iterator[Check]:
    try:
        alive = remote.get("/healthz")
    except CommandFailed as problem:
        sentence, _, remedy = str(problem).partition("; ")
        yield Check(AREA, "fault", sentence, remedy)
        return
    if not alive.is_success:
        remedy = "look at the URL, and at the proxy before the control plane"
        yield Check(AREA, "fault", f"it answers {alive.status_code} when asked whether it lives", remedy)
        return
    yield Check(AREA, "ok", "it lives, and what it says of itself is trusted")
    yield from _clock(alive, now)
    yield from _version(remote)
    yield from _token(remote, now)


def _clock(answer: "httpx.Response", now: datetime) -> Iterator[Check]:
    """RFC 9110, 6.6.1: the second in which the answer was made."""
    try:
        off = abs(now - parsedate_to_datetime(answer.headers.get("date", "")))
    except (TypeError, ValueError):
        return
    if off < CLOCK_WARNING:
        yield Check(AREA, "ok", "its clock and this machine's agree")
    else:
        verdict: Verdict = "fault" if off > CLOCK_FAULT else "warning"
        remedy = "set the clock of the one that is wrong: timedatectl set-ntp true"
        yield Check(AREA, verdict, f"its clock and this machine's are {off.total_seconds():.0f} s apart", remedy)


def _version(remote: Remote) -> Iterator[Check]:
    answer = remote.get("/v1/openapi.json")
    theirs = ours = version("neopro-fleet")
    if answer.is_success:
        theirs = str(msgspec.json.decode(answer.content).get("info", {}).get("version", ours))
    if theirs == ours:
        yield Check(AREA, "ok", f"it is of this version, {ours}")
    else:
        remedy = "both work together as far as they know each other; bring the older one up to date"
        yield Check(AREA, "warning", f"it is of version {theirs}, this is {ours}", remedy)


def _token(remote: Remote, now: datetime) -> Iterator[Check]:
    answer = remote.get("/v1/token")
    if answer.status_code == 401:
        yield Check(
            AREA, "fault", "it does not accept the token", "have a new one made, on the server: neopro token add"
        )
        return
    if not answer.is_success:
        yield Check(AREA, "warning", f"it answers {answer.status_code} when asked about the token")
        return
    token = msgspec.json.decode(answer.content, type=TokenInfo)
    says = f"the token {token.name} may {' and '.join(token.scopes)} until {token.expires_at:%Y-%m-%d}"
    verdict: Verdict = "warning" if token.expires_at < now + TOKEN_SOON else "ok"
    yield Check(AREA, verdict, says, "have a new one made in time, on the server: neopro token add")
