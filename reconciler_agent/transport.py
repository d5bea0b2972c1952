"""HTTP as a box may use it: verified, bounded in bytes and in time, and deaf to the environment.

Certificate verification cannot be switched off; plain HTTP goes to a loopback address only; no redirect is followed, no
proxy, netrc, CA path or key log is taken from the environment, no cookie is kept. Bodies are read raw, with a cap, and
a Content-Encoding that nobody asked for is refused. What goes wrong is NetworkTrouble, with at most 200 bytes of what
answered: trouble with the network is no attack, and must not look like one.
"""

import email.utils
import ipaddress
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import certifi
import httpcore
import httpx

from reconciler_agent import deadline
from reconciler_agent.errors import NetworkTrouble, SettingsInvalid

CONNECT_S: Final = 10.0
ANSWER_S: Final = 30.0
"""How long an answer, or the next bytes of one, may take."""
PACE_BYTES: Final = 1 << 20
"""What comes or goes at least in the time of an answer: larger bodies may take longer, in proportion, up to four times
as long: with the answer itself less than the 300 seconds of the unit's watchdog."""
MOST_TIMES: Final = 4.0
RETRY_AFTER_S: Final = (1.0, 3600.0)
MAX_EXCERPT: Final = 200
"""Bytes of what answered, in any sentence."""
_MAX_KIND: Final = 40
X509_V_FLAG_NO_CHECK_TIME: Final = 0x200000
"""OpenSSL's flag (x509_vfy.h) that leaves the dates to the caller; the standard library has no name for it."""

FloorAt = Callable[[], datetime | None]


class Answer(NamedTuple):
    """A response, its body read whole."""

    status: int
    headers: httpx.Headers
    body: bytes


class Certificates(ssl.SSLContext):
    """Verifies chain and name, always; while the clock is not synchronised, the dates against the time floor alone.

    `floor_at` answers None while the clock is synchronised: then OpenSSL checks the dates as ever.
    """

    floor_at: FloorAt

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        """As in the base class; the handshake is done, and the dates are checked, when it returns."""
        floor = self.floor_at()
        dates = 0 if floor is None else X509_V_FLAG_NO_CHECK_TIME
        self.verify_flags = ssl.VerifyFlags(self.verify_flags & ~X509_V_FLAG_NO_CHECK_TIME | dates)
        connection = super().wrap_socket(*args, **options)
        if floor is not None:
            _require_not_expired(connection, floor)
        return connection


def load_certificates(ca: Path | None, floor_at: FloorAt, public: bool = False) -> Certificates:
    """Whom to trust as servers: `ca` alone if it is given (beside the public authorities with `public`), else those."""
    context = Certificates(ssl.PROTOCOL_TLS_CLIENT)
    context.floor_at = floor_at
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if ca is not None:
            context.load_verify_locations(ca)
        if ca is None or public:
            context.load_verify_locations(certifi.where())
    except (OSError, ssl.SSLError) as problem:
        raise SettingsInvalid(f"cannot use the certificates in {ca}: {problem}; give a PEM file") from None
    return context


def trust_nobody() -> ssl.SSLContext:
    """For plain HTTP on this machine: no TLS server would be believed, and no authority takes memory."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def require_safe_url(url: str) -> str:
    """`url` without a slash at its end, if it is https, or http to a loopback address; else SettingsInvalid."""
    if not is_safe_url(url):
        raise SettingsInvalid(f"cannot use {url[:200]!r}: give an https URL; plain http goes to loopback only")
    return url.rstrip("/")


def is_safe_url(url: str) -> bool:
    """Whether a request may be sent there at all: https, or http to a loopback address, without a user's name."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host or parts.username is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def open_client(certificates: ssl.SSLContext, base_url: str = "") -> httpx.Client:
    """A client with its own connections, for any number of threads; close it."""
    transport = httpx.HTTPTransport(verify=certificates, trust_env=False)
    transport._pool = httpcore.ConnectionPool(  # httpx has no other way to name a network backend
        ssl_context=certificates,
        max_connections=16,
        max_keepalive_connections=2,
        keepalive_expiry=120.0,
        network_backend=deadline.Backend(),
    )
    return httpx.Client(
        base_url=base_url,
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "neopro-agent"},
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
    )


class Ask(NamedTuple):
    """A request. `answer_s`: how long the answer, and each next piece of it, may take."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes | None = None
    answer_s: float = ANSWER_S


@contextmanager
def stream(client: httpx.Client, ask: Ask, max_bytes: int | None = None) -> Iterator[httpx.Response]:
    """A response whose body is still to be read, raw; NetworkTrouble for whatever goes wrong, inside the block too.

    All of it is over in the time that so many bytes may take; None: whoever reads sees to that.
    """
    timeout = httpx.Timeout(ask.answer_s, connect=min(CONNECT_S, ask.answer_s))
    headers = dict(ask.headers)
    asking_s = ask.answer_s * (1 + _times(len(ask.content or b"")))
    try:
        with (
            deadline.within(asking_s) as until,
            client.stream(ask.method, ask.url, headers=headers, content=ask.content, timeout=timeout) as response,
        ):
            until.put_off(float("inf") if max_bytes is None else ask.answer_s * _times(max_bytes))
            _require_plain(response)
            yield response
            if _goes_on(response):
                response.extensions["network_stream"].close()
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, ssl.SSLError) as problem:
        raise NetworkTrouble(f"cannot reach {_where(client, ask.url)}: {_words(problem)}") from None


def _goes_on(response: httpx.Response) -> bool:
    """Whether more came after the end of this answer, which would be taken for the answer to the next request.

    httpcore looks for such bytes in the socket alone; those that came together with the end lie in its parser (h11).
    """
    stream: Any = response.stream
    for name in ("_stream", "_httpcore_stream", "_stream", "_connection"):
        stream = getattr(stream, name)
    return bool(stream._h11_state.trailing_data[0])


def _times(size_bytes: int) -> float:
    """How many times as long as an answer so many bytes may take."""
    return min(size_bytes / PACE_BYTES, MOST_TIMES)


def fetch(client: httpx.Client, ask: Ask, max_bytes: int) -> Answer:
    """The response with its body, of at most `max_bytes`."""
    with stream(client, ask, max_bytes) as response:
        return read_answer(response, max_bytes)


def read_answer(response: httpx.Response, max_bytes: int) -> Answer:
    """A response being streamed, read to its end; NetworkTrouble when it has more than `max_bytes`."""
    body = bytearray()
    for chunk in response.iter_raw():
        body += chunk
        if len(body) > max_bytes:
            raise NetworkTrouble(f"cannot read from {response.url.host}: more than {max_bytes} bytes came")
    return Answer(response.status_code, response.headers, bytes(body))


def media_type(headers: httpx.Headers) -> str:
    """The media type of a body, in lower case, without its parameters."""
    return str(headers.get("content-type", "")).partition(";")[0].strip().lower()


def trouble(verb: str, answer: Answer, now: datetime) -> NetworkTrouble:
    """What an unexpected answer means, in words for a person, with the wait that it asks for."""
    if 300 <= answer.status < 400:
        target = excerpt(str(answer.headers.get("location", "")))
        return NetworkTrouble(f"cannot {verb}: a redirect to {target!r} came, which is not followed; a captive portal?")
    kind = excerpt(media_type(answer.headers), _MAX_KIND)
    portal = "; a captive portal or a proxy answered?" if is_page(answer) else ""
    begin = excerpt(answer.body[:MAX_EXCERPT].decode("ascii", "replace"), MAX_EXCERPT - _MAX_KIND)
    return NetworkTrouble(
        f"cannot {verb}: {answer.status} {kind} came{portal} {begin}".rstrip(), retry_after_s(answer.headers, now)
    )


def is_page(answer: Answer) -> bool:
    """Whether a web page came, whatever it says that it is."""
    return media_type(answer.headers) == "text/html" or looks_like_page(answer.body)


def says_where_it_ends(headers: httpx.Headers) -> bool:
    """Whether a body that was cut off can be told from a whole one."""
    return "content-length" in headers or "transfer-encoding" in headers


def looks_like_page(begin: bytes) -> bool:
    """Whether these are the first bytes of a web page."""
    return begin[:MAX_EXCERPT].lstrip().lower().startswith((b"<!doctype", b"<html", b"<head", b"<?xml"))


def excerpt(text: str, most: int = MAX_EXCERPT) -> str:
    """The beginning of a text that somebody else wrote, as one line of printable ASCII of at most so many bytes."""
    plain = "".join(c if c.isprintable() and c.isascii() else " " for c in text[:most])
    return " ".join(plain.split())


def retry_after_s(headers: httpx.Headers, now: datetime) -> float | None:
    """Retry-After (RFC 9110, 10.2.3: seconds or a date) between a second and an hour; None when there is none."""
    text = str(headers.get("retry-after", "")).strip()
    if text.isascii() and text.isdigit():
        asked_s = float(text[:9])
    elif at := parse_date(text):
        asked_s = (at - (parse_date(headers.get("date")) or now)).total_seconds()
    else:
        return None
    return min(max(asked_s, RETRY_AFTER_S[0]), RETRY_AFTER_S[1])


class Rest:
    """What was asked for by Retry-After, for each kind of request: none is sent before that time has passed."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._until_s: dict[str, float] = {}

    def require_over(self, path: str) -> None:
        """NetworkTrouble, with what is left to wait, while such a request is not to be sent."""
        kind = _kind(path)
        if (left_s := self._until_s.get(kind, 0.0) - self._monotonic()) > 0:
            raise NetworkTrouble(f"cannot ask for {kind}: the answer was to ask again later (Retry-After)", left_s)

    def note(self, path: str, status: int, headers: httpx.Headers, now: datetime) -> None:
        """Hear what an answer asks for."""
        asked_s = retry_after_s(headers, now) if status >= 400 else None
        if asked_s is not None:
            self._until_s[_kind(path)] = self._monotonic() + asked_s


def _kind(path: str) -> str:
    """The word of a path that says what it is about: `blobs` of `/v1/blobs/…`, `status` of `/v1/sites/…/status`."""
    words = path.split("/")[2:]
    return words[2] if words[0] == "sites" else words[0]


def parse_date(text: str | None) -> datetime | None:
    """An HTTP date in UTC, or None."""
    try:
        found = email.utils.parsedate_to_datetime(text or "")
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _require_plain(response: httpx.Response) -> None:
    encoding = str(response.headers.get("content-encoding", "identity")).strip().lower()
    if encoding not in ("", "identity"):
        raise NetworkTrouble(
            f"cannot read the answer: it is encoded as {excerpt(encoding, _MAX_KIND)!r}, which was not asked for"
        )


def _require_not_expired(connection: ssl.SSLSocket, floor: datetime) -> None:
    """Close the connection unless every certificate of the verified chain lives on at the time floor."""
    # The standard library has no public name for what the certificates of a chain say; another parser of them would
    # cost a megabyte of memory for good.
    for certificate in connection._sslobj.get_verified_chain():  # type: ignore[attr-defined]
        ends_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate.get_info()["notAfter"]), UTC)
        if ends_at < floor:
            connection.close()
            ended = f"certificate has expired: {ends_at:%Y-%m-%d} is before {floor:%Y-%m-%d} at least"
            raise ssl.SSLCertVerificationError(ended)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _where(client: httpx.Client, url: str) -> str:
    return client.base_url.host if url.startswith("/") else str(urlsplit(url).hostname)


def _words(problem: Exception) -> str:
    """What happened; httpx's own words are empty for some timeouts."""
    if isinstance(problem, httpx.TimeoutException):
        return "no answer in time"
    return excerpt(str(problem)) or type(problem).__name__
