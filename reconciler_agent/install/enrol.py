"""`neopro-agent enrol`: a new box makes its keys, sends the public halves with a one-time token, and begins to ask.

Nothing that comes over the network is trusted before it is verified: the token, which came by another way, pins the
trust root that the box begins with. Everything can be cut off and done again; a token that is refused leaves nothing
but the box's keys.
"""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from msgspec.structs import replace

from reconciler_agent import __version__
from reconciler_agent.age_key import make_recipient, path_of
from reconciler_agent.beginning import BUILT_AT, read_state
from reconciler_agent.client import Client
from reconciler_agent.core.trust import first_state, trusted_root
from reconciler_agent.errors import NetworkTrouble, SettingsInvalid, TrustRefused
from reconciler_agent.install.site_conf import Written, settle_conf
from reconciler_agent.install.target import Target
from reconciler_agent.observe import SystemClock
from reconciler_agent.settings import Settings
from reconciler_agent.site_key import load_key, make_identity
from schemas.enrolment import EnrolmentRequest, EnrolmentToken, pin, read_token
from schemas.names import PublicKeyLine

MODEL: Final = Path("/proc/device-tree/model")
MAX_FACT: Final = 100


class Enrolment(NamedTuple):
    """What the command line says: the control plane's address, the token, its own authority if it has one."""

    conf: Path
    url: str
    token: str
    ca: Path | None


def enrol(asked: Enrolment, target: Target, say: Callable[[str], None]) -> None:
    """Bring the box so far that it only waits to be let in.

    SettingsInvalid, AccessDenied, TrustRefused or NetworkTrouble say why not. `site.conf` is written where there is
    none; one that is there is never changed.
    """
    token = _token(asked.token)
    written = _settled(asked, token, target)
    settings = written.settings
    identity = make_identity(target.at(settings.key))
    recipient = make_recipient(path_of(target.at(settings.key)))
    with _client(settings, target, asked.ca) as client:
        root = _fetch_root(client, token)
        _require_same_fleet(settings, target, token, root)
        say(f"trust root {token.root_version} is the one that the token names")
        answer = client.enrol(_request(token, identity, recipient))
    if target.look(settings.trust).form == "absent" or not _has_run(settings, target):
        _put(target, settings.trust, root)
    if not (has_conf := target.look(asked.conf).form != "absent"):
        _put(target, asked.conf, written.text.encode())
    for folder in sorted({path.parent for path in (settings.key, settings.trust, asked.conf)}):
        if not target.is_tidy(folder):
            target.tidy(folder)
    say(f"identity: {identity}")
    say(f"recipient: {recipient}")
    for line in _next_steps(asked, token, answer.state, converted=has_conf and _differs(asked.conf, target, written)):
        say(line)


def _request(token: EnrolmentToken, identity: PublicKeyLine, recipient: str) -> EnrolmentRequest:
    """The keys, and by what a person recognises the box."""
    return EnrolmentRequest(
        secret=token.secret,
        site=token.site,
        identity=identity,
        recipient=recipient,
        hostname=_printable(socket.gethostname()),
        model=_model(),
        agent_version=__version__,
    )


def _token(text: str) -> EnrolmentToken:
    try:
        return read_token(text)
    except ValueError as problem:
        raise SettingsInvalid(f"cannot use the token: {problem}") from None


def _settled(asked: Enrolment, token: EnrolmentToken, target: Target) -> Written:
    central = {"url": asked.url} | ({"ca": str(asked.ca.absolute())} if asked.ca else {})
    return settle_conf(target, asked.conf, {"site": {"id": token.site}, "central": central})


def _client(settings: Settings, target: Target, ca: Path | None) -> Client:
    clock = SystemClock(settings.clock)
    return Client(
        url=settings.central_url,
        site=settings.site,
        key=load_key(target.at(settings.key)),
        clock=clock,
        ca=ca or settings.ca,
        floor_at=lambda: None if clock.synchronised() else BUILT_AT,
    )


def _fetch_root(client: Client, token: EnrolmentToken) -> bytes:
    """The trust root that the token pins; TrustRefused when the control plane gives another one in its place."""
    root = client.trust(token.root_version)
    if root is None:
        raise NetworkTrouble(
            f"cannot fetch trust root {token.root_version}: the control plane has none; try again later"
        )
    if pin(root) != token.root_sha256:
        raise TrustRefused(
            f"cannot accept trust root {token.root_version}: it is not the one that the token names; "
            "tell the operator who made the token, and set this box up nowhere"
        )
    first_state(root, BUILT_AT)
    return root


def _require_same_fleet(settings: Settings, target: Target, token: EnrolmentToken, root: bytes) -> None:
    """What the agent trusts here already is not to be another fleet's."""
    state = read_state(replace(settings, state=target.at(settings.state)))
    if state is None:
        return
    if trusted_root(state.trust).version == token.root_version and state.trust.root != root:
        raise SettingsInvalid(
            f"cannot enrol this box: what it knows in {settings.state} is of another fleet; "
            "stop the agent and remove that folder if the box is to leave that fleet"
        )


def _has_run(settings: Settings, target: Target) -> bool:
    return read_state(replace(settings, state=target.at(settings.state))) is not None


def _put(target: Target, path: Path, data: bytes) -> None:
    if not target.holds(path, data, 0o644):
        target.put(path, data, 0o644)


def _differs(conf: Path, target: Target, written: Written) -> bool:
    """Whether a site.conf of the former agent is still to be converted."""
    return target.look(conf).data != written.text.encode()


def _next_steps(asked: Enrolment, token: EnrolmentToken, state: str, *, converted: bool) -> list[str]:
    words = f" --site {token.site} --central {asked.url}" if converted else ""
    ca = f" --ca {asked.ca}" if converted and asked.ca else ""
    install = f"sudo neopro-agent install{words}{ca}"
    if state == "accepted":
        return [f"The fleet knows this box as {token.site}.", f"Next, if the agent is not installed yet: {install}"]
    return [
        f"The box asks to be {token.site}; it is let in when its key is in Git: neopro enrol accept {token.site}",
        f"Next here, if the agent is not installed yet: {install}. It asks by itself until it is let in.",
    ]


def _model() -> str:
    """What the board calls itself; empty where it does not say."""
    try:
        return _printable(MODEL.read_bytes()[:MAX_FACT].decode("utf-8", "replace"))
    except OSError:
        return ""


def _printable(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:MAX_FACT]
