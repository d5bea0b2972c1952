"""The way to the control plane, one stretch after the other, so that the one that fails can be named."""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpx

from reconciler_agent.client import Client
from reconciler_agent.errors import AccessDenied, AgentError, NetworkTrouble, SettingsInvalid
from reconciler_agent.observe import SystemClock
from reconciler_agent.settings import Settings
from reconciler_agent.technician.findings import Check
from reconciler_agent.transport import (
    Answer,
    Ask,
    fetch,
    load_certificates,
    media_type,
    open_client,
    parse_date,
    trust_nobody,
)

WITHIN_S: Final = 8.0
"""For each stretch."""
MAX_BYTES: Final = 64 << 10
OFF: Final = timedelta(minutes=1)
_EXPIRED, _NOT_YET = 10, 9
_UNKNOWN: Final = frozenset((18, 19, 20, 21))
_OTHER_NAME: Final = frozenset((62, 64))
"""X509_V_ERR_… of OpenSSL: dates, an authority that nobody trusts, a name that differs."""


class Way(NamedTuple):
    """Where the control plane is. `floor_at`: the time that it is at least, while the clock is not synchronised."""

    settings: Settings
    clock: SystemClock
    floor_at: Callable[[], datetime | None]

    @property
    def host(self) -> str:
        """The name that certificates must have."""
        return urlsplit(self.settings.central_url).hostname or ""

    @property
    def port(self) -> int:
        """Where it listens."""
        parts = urlsplit(self.settings.central_url)
        return parts.port or (443 if parts.scheme == "https" else 80)

    @property
    def is_secure(self) -> bool:
        """Whether TLS is spoken; not on loopback, in tests and demonstrations."""
        return self.settings.central_url.startswith("https:")


def walk(way: Way, client: Client) -> Iterator[Check]:
    """Name, connection, TLS, what answers, the clock, and whether it knows us; it ends where the way ends."""
    for stretch in (_name, _connection, _tls, _answer):
        check = stretch(way)
        if check is not None:
            yield check
            if check.problem:
                return
    yield _known(client)


def _name(way: Way) -> Check:
    try:
        found = sorted({str(entry[4][0]) for entry in socket.getaddrinfo(way.host, way.port, type=socket.SOCK_STREAM)})
    except OSError as problem:
        said = problem.strerror or str(problem)
        remedy = "is the cable in, is the Wi-Fi joined? `ip addr` shows an address, `resolvectl status` a name server"
        return Check(name="name", problem=f"nobody knows the address of {way.host}: {said}", remedy=remedy)
    return Check(name="name", found=f"{way.host} is {', '.join(found[:3])}")


def _connection(way: Way) -> Check:
    try:
        socket.create_connection((way.host, way.port), WITHIN_S).close()
    except OSError as problem:
        said = "no answer in time" if isinstance(problem, TimeoutError) else problem.strerror or str(problem)
        remedy = f"does the club's network let port {way.port} out? If other sites fail too, look at the control plane"
        return Check(name="connection", problem=f"{way.host} port {way.port}: {said}", remedy=remedy)
    return Check(name="connection", found=f"{way.host} port {way.port} takes connections")


def _tls(way: Way) -> Check | None:
    if not way.is_secure:
        return None
    try:
        certificates = load_certificates(way.settings.ca, way.floor_at)
        with closing(socket.create_connection((way.host, way.port), WITHIN_S)) as plain:
            certificates.wrap_socket(plain, server_hostname=way.host).close()
    except SettingsInvalid as problem:
        return Check(name="TLS", problem=str(problem), remedy="correct [central] ca in site.conf")
    except ssl.SSLCertVerificationError as problem:
        return _certificate(way, problem)
    except OSError as problem:
        said = str(problem.strerror or problem)[:200]
        remedy = "something between here and there answers in its place: a proxy, a filter, a captive portal"
        return Check(name="TLS", problem=f"no TLS with {way.host}: {said}", remedy=remedy)
    return Check(name="TLS", found=f"the certificate is that of {way.host}")


def _certificate(way: Way, problem: ssl.SSLCertVerificationError) -> Check:
    """What is wrong with a certificate, and who is to put it right."""
    code, said = getattr(problem, "verify_code", 0), (getattr(problem, "verify_message", "") or str(problem))[:200]
    today = f"{way.clock.now():%Y-%m-%d}"
    if code in (_EXPIRED, _NOT_YET) or "has expired" in said:
        remedy = f"this box says that it is {today}: if that is wrong, mend the clock; if it is right, the certificate"
    elif code in _OTHER_NAME:
        remedy = f"another server answers for {way.host}: a captive portal, or a wrong name in [central] url"
    elif code in _UNKNOWN:
        remedy = "a captive portal or a filter reads along, or the fleet has an authority of its own: [central] ca"
    else:
        remedy = "tell the operator of the control plane"
    return Check(name="TLS", problem=f"the certificate of {way.host} is not accepted: {said}", remedy=remedy)


def _answer(way: Way) -> Check:
    """Who answers at /healthz, and what its clock says."""
    certificates = load_certificates(way.settings.ca, way.floor_at) if way.is_secure else trust_nobody()
    with closing(open_client(certificates, way.settings.central_url)) as client:
        try:
            answer = fetch(client, Ask("GET", "/healthz", {}, None, WITHIN_S), MAX_BYTES)
        except NetworkTrouble as problem:
            return Check(name="answer", problem=str(problem), remedy="try again; then tell the operator")
    if not _is_ours(answer):
        return _stranger(way, answer)
    return _its_clock(way, answer.headers)


def _is_ours(answer: Answer) -> bool:
    return answer.status == 200 and media_type(answer.headers) == "application/json" and b'"status"' in answer.body


def _stranger(way: Way, answer: Answer) -> Check:
    kind = media_type(answer.headers) or "nothing"
    is_portal = 300 <= answer.status < 400 or kind == "text/html"
    said = f"{answer.status} with {kind} came in place of a control plane's answer"
    portal = "a captive portal: open a web page in this network and accept what it asks, or ask for another network"
    other = "is [central] url right? If so, tell the operator: the control plane or its proxy is in trouble"
    return Check(name="answer", problem=f"{way.settings.central_url}: {said}", remedy=portal if is_portal else other)


def _its_clock(way: Way, headers: httpx.Headers) -> Check:
    date = parse_date(headers.get("date"))
    off = abs(date - way.clock.now()) if date is not None else timedelta()
    if off <= OFF:
        return Check(name="answer", found="a control plane answers, and its clock agrees with ours")
    said = f"a control plane answers; its clock is {off // timedelta(minutes=1)} minutes off from this box's"
    if way.clock.synchronised():
        return Check(name="answer", found=f"{said}, though that follows a time server")
    return Check(name="answer", found=f"{said}; what the box signs goes by the other one")


def _known(client: Client) -> Check:
    try:
        client.head()
    except AccessDenied as problem:
        remedy = "`neopro enrol list`, at a desk, tells whether the box waits to be let in; compare the key there"
        return Check(name="identity", problem=str(problem), remedy=remedy)
    except AgentError as problem:
        return Check(name="identity", problem=str(problem), remedy="try again; then tell the operator")
    return Check(name="identity", found="the control plane knows this box and has a head for it")
