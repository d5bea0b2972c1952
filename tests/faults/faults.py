"""What can go wrong between a box and its control plane, as data: name to what happens on the connection.

What answers in the place of the control plane is made of `MARK`s, so that a test can count how much of it is kept.
"""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from tests.faults.wire import Act, Line, Reply, render

MARK = "\N{LATIN CAPITAL LETTER O WITH STROKE}"
"""A letter that nothing of ours writes; one byte on the wire (latin-1)."""
NOISE = MARK.encode("latin-1") * 4096
PAGE = b"<!doctype html><html><title>\x1b[31m" + NOISE + b"</title></html>"
HTML = {"Content-Type": "text/html; charset=latin-1"}
JSON = {"Content-Type": "application/json"}
PROBLEM = {"Content-Type": "application/problem+json"}
FLOOD_BYTES = 16 << 20
DRIP_S = 0.02


def say(status: int, headers: dict[str, str] | None = None, body: bytes = PAGE) -> Act:
    """An answer in the place of the true one."""
    return lambda line: _send(line, render(Reply(status, HTML if headers is None else headers, body)))


def send(data: bytes) -> Act:
    """These bytes, whatever they are, then the end."""
    return lambda line: _send(line, data)


def _send(line: Line, data: bytes) -> None:
    line.send(data)


def cut(share: Callable[[bytes], int], *, reset: bool = False, version: str = "1.1") -> Act:
    """The true answer, up to some byte of it."""

    def act(line: Line) -> None:
        data = render(line.honest, version)
        line.send(data[: share(data)])
        if reset:
            line.reset()

    return act


def head_end(data: bytes) -> int:
    """Where the head of an answer ends."""
    return data.index(b"\r\n\r\n") + 4


def changed(change: Callable[[Reply], bytes]) -> Act:
    """The true answer, made into bytes in another way."""
    return lambda line: _send(line, change(line.honest))


def with_headers(reply: Reply, headers: dict[str, str], *, without: str = "") -> bytes:
    """An answer with other headers; `without` one that it has."""
    kept = {name: value for name, value in reply.headers.items() if name != without}
    return render(reply._replace(headers=kept | headers))


def without_length(reply: Reply, version: str = "1.1") -> bytes:
    """It ends where the connection does."""
    head, _, body = render(reply, version).partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"content-length")]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body


def chunked(reply: Reply, size: int = 1000, end: bytes = b"0\r\n\r\n") -> bytes:
    """In chunks."""
    if reply.status in (204, 304):
        return render(reply)
    parts = [reply.body[at : at + size] for at in range(0, len(reply.body), size)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return with_headers(reply, {"Transfer-Encoding": "chunked"}).partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + body + end


def flood(head: bytes, part: bytes) -> Act:
    """No end of it, as long as somebody takes it."""

    def act(line: Line) -> None:
        line.send(head)
        sent = 0
        while line.open and sent < FLOOD_BYTES:
            line.send(part)
            sent += len(part)

    return act


def drip(head: Callable[[Line], bytes], part: bytes) -> Act:
    """A little now and then, each soon enough, and no end."""

    def act(line: Line) -> None:
        line.send(head(line))
        while line.open and line.pause(DRIP_S):
            line.send(part)

    return act


def hang(share: Callable[[bytes], int]) -> Act:
    """The true answer up to some byte; then nothing, and no end."""

    def act(line: Line) -> None:
        data = render(line.honest)
        line.send(data[: share(data)])
        line.hold()

    return act


def _trickle(line: Line) -> None:
    """The true answer, and its body byte by byte."""
    data = render(line.honest)
    line.send(data[: head_end(data)])
    for byte in data[head_end(data) :]:
        if not (line.open and line.pause(DRIP_S)):
            return
        line.send(bytes([byte]))


def _ok(kind: str, length: int | str | None = None) -> bytes:
    lengths = [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join(["HTTP/1.1 200 OK", f"Content-Type: {kind}", *lengths, "", ""]).encode()


def _in(**ahead: float) -> str:
    return format_datetime(datetime.now(UTC) + timedelta(**ahead), usegmt=True)


ODD = [
    200,
    201,
    202,
    203,
    206,
    207,
    226,
    299,
    300,
    304,
    400,
    401,
    402,
    403,
    404,
    405,
    407,
    408,
    409,
    410,
    411,
    412,
    413,
]
ODD += [
    414,
    415,
    416,
    417,
    418,
    421,
    422,
    425,
    426,
    428,
    429,
    431,
    451,
    500,
    501,
    502,
    503,
    504,
    505,
    507,
    508,
    511,
    520,
]
ODD += [521, 522, 525, 598, 599, 600, 999]
LOUD = b'{"title": "' + NOISE + b'", "detail": "\\u001b[31m' + NOISE + b'"}'
IN_THE_WAY: dict[str, Act] = {f"{status} with a page": say(status) for status in ODD} | {
    f"{status} with a problem": say(
        status, PROBLEM, b'{"title": "' + NOISE + b'", "detail": "\\u001b[31m' + NOISE + b'"}'
    )
    for status in (400, 404, 409, 410, 412, 416, 429, 500, 502, 503, 504)
}
PORTALS: dict[str, Act] = {
    "a page without a type": say(200, {}),
    "a page as text": say(200, {"Content-Type": "text/plain"}),
    "a page as XHTML": say(200, {"Content-Type": "application/xhtml+xml"}),
    "a page as JSON": say(200, JSON),
    "a page as bytes": say(200, {"Content-Type": "application/octet-stream"}),
    "a login as JSON": say(200, JSON, b'{"login": "' + NOISE + b'"}'),
    "an envelope that ends too soon": say(200, JSON, b'{"payloadType": "' + NOISE),
    "a list as JSON": say(200, JSON, b"[" * 3000 + b'"payloadType"' + b"]" * 3000),
    "an empty body": say(200, {}, b""),
    "an empty page": say(200, HTML, b""),
    "204": say(204, {}, b""),
    "a type of a megabyte's kind": say(200, {"Content-Type": "text/" + MARK * 20_000}),
    "a type in colours": say(500, {"Content-Type": "\x1b[31m" + MARK * 50}),
}
REDIRECTS: dict[str, Act] = {
    f"{status} to {name}": say(status, {"Location": to} if to else {}, b"")
    for status in (301, 302, 303, 307, 308)
    for name, to in {
        "a portal": "http://portal.example/" + MARK * 3000,
        "itself": "/v1/elsewhere",
        "nowhere": "",
        "a file": "file:///etc/passwd",
        "a user": "https://user:password@127.0.0.1:1/",
        "a closed port": "https://127.0.0.1:1/blob",
        "no address": "https://[::1",
        "no name": "https://no-such-host.invalid/" + MARK * 300,
        "a port beyond": "https://127.0.0.1:99999/",
        "another protocol": "ftp://127.0.0.1/x",
    }.items()
}
RETRY: dict[str, Act] = {
    f"{status}, again {name}": say(status, {**kind, **({"Retry-After": text} if text is not None else {})}, b"{}")
    for status in (429, 503)
    for kind in (PROBLEM,)
    for name, text in {
        "at once": "0", "in the past": "-5", "at some time": None, "in a second": "1", "in 1e9 s": "1" + "0" * 9,
        "in 1e400 s": "9" * 400, "in half a second": "0.5", "soon": "soon", "never": "", "at a squared time": "\xb2",
        "yesterday": _in(days=-1), "in a minute": _in(minutes=1), "next year": _in(days=365),
        "in 9999": "Fri, 31 Dec 9999 23:59:59 -2359", "in the year 1": "Mon, 01 Jan 0001 00:00:00 +2359",
        "on no day": "Fri, 99 Dec 2026 99:99:99 GMT", "in another zone": "Thu, 26 Nov 2026 12:00:00 +99999999999",
        "often": "1, 2, 3", "in words": MARK * 500,
    }.items()
}  # fmt: skip
LENGTHS: dict[str, Act] = {
    "longer than it is": changed(lambda r: with_headers(r, {"Content-Length": str(len(r.body) + 1000)})),
    "far longer than it is": changed(lambda r: with_headers(r, {"Content-Length": "9" * 18})),
    "longer than a number": changed(lambda r: with_headers(r, {"Content-Length": "9" * 400})),
    "shorter than it is": changed(lambda r: with_headers(r, {"Content-Length": str(len(r.body) // 2)})),
    "of nothing": changed(lambda r: with_headers(r, {"Content-Length": "0"})),
    "negative": changed(lambda r: with_headers(r, {"Content-Length": "-1"})),
    "no number": changed(lambda r: with_headers(r, {"Content-Length": "many"})),
    "two lengths": changed(lambda r: with_headers(r, {"Content-Length": f"{len(r.body)}, 7"})),
    "length and chunks": changed(
        lambda r: chunked(r).replace(b"\r\n\r\n", b"\r\nContent-Length: 7\r\n\r\n", 1)
    ),
    "more after the end": changed(lambda r: render(r) + NOISE),
    "another answer after the end": changed(lambda r: render(r) * 3),
    "none, cut": changed(lambda r: without_length(r)[: -max(1, len(r.body) // 2)]),
    "none, nearly whole": changed(lambda r: without_length(r)[:-1]),
    "in chunks, cut": changed(lambda r: chunked(r)[: -max(1, len(r.body) // 2)]),
    "in chunks, without the last": changed(lambda r: chunked(r, end=b"")),
    "in chunks of no size": changed(lambda r: chunked(r, end=b"zz\r\n\r\n")),
    "in a chunk of 2^63": changed(lambda r: chunked(r, end=b"7fffffffffffffff\r\n" + NOISE)),
    "in chunks with an endless extension": flood(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1;a=", NOISE
    ),
    "in chunks with endless trailers": flood(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"A: " + NOISE + b"\r\n"
    ),
}  # fmt: skip
ENCODINGS: dict[str, Act] = {
    "gzip": changed(lambda r: with_headers(r._replace(body=gzip.compress(r.body)), {"Content-Encoding": "gzip"})),
    "a bomb": say(200, {**JSON, "Content-Encoding": "gzip"}, gzip.compress(bytes(10 << 20)) * 10),
    "a bomb that does not say so": say(200, JSON, gzip.compress(bytes(10 << 20))),
    "brotli": changed(lambda r: with_headers(r, {"Content-Encoding": "br"})),
    "deflate": changed(lambda r: with_headers(r, {"Content-Encoding": "Deflate"})),
    "two of them": changed(lambda r: with_headers(r, {"Content-Encoding": "identity, gzip"})),
    "an unknown one": changed(lambda r: with_headers(r, {"Content-Encoding": MARK * 400})),
    "gzip, as it is sent": changed(lambda r: with_headers(r, {"Transfer-Encoding": "gzip, chunked"})),
}
CUTS: dict[str, Act] = {
    f"{how} {where}": cut(share, reset=reset)
    for how, reset in (("closed", False), ("reset", True))
    for where, share in {
        "before a word": lambda _: 0,
        "after a byte": lambda _: 1,
        "in the first line": lambda _: 10,
        "in the headers": lambda data: head_end(data) - 20,
        "after the headers": lambda data: head_end(data) - (head_end(data) == len(data)),
        "in the middle of the body": lambda data: max(20, (head_end(data) + len(data)) // 2 - 1),
        "before the last byte": lambda data: len(data) - 1,
    }.items()
} | {
    "HTTP/1.0, cut in the middle": changed(lambda r: without_length(r, "1.0")[: -max(1, len(r.body) // 2)]),
}
SILENCES: dict[str, Act] = {
    f"silent {where}": hang(share)
    for where, share in {
        "from the start": lambda _: 0,
        "in the first line": lambda _: 10,
        "in the headers": lambda data: head_end(data) - 20,
        "in the middle of the body": lambda data: max(20, (head_end(data) + len(data)) // 2 - 1),
        "before the last byte": lambda data: len(data) - 1,
    }.items()
}
DRIPS: dict[str, Act] = {
    "headers": drip(lambda _: b"HTTP/1.1 200 OK\r\nA: ", b"b"),
    "header after header": drip(lambda _: b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
    "interim answers": drip(lambda _: b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    "blank space": drip(lambda _: _ok("application/json"), b" "),
    "a page": drip(lambda _: _ok("text/html"), b" "),
    "chunks": drip(lambda _: b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
                   b"1\r\n{\r\n"),
    "an error": drip(lambda _: b"HTTP/1.1 503 Sorry\r\nContent-Type: application/problem+json\r\n\r\n", b" "),
    "the truth": _trickle,
}  # fmt: skip
FLOODS: dict[str, Act] = {
    "a header of a megabyte": send(b"HTTP/1.1 200 OK\r\nA: " + NOISE * 256 + b"\r\n\r\n"),
    "ten thousand headers": send(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 10_000 + b"Content-Length: 0\r\n\r\n"),
    "headers without end": flood(b"HTTP/1.1 200 OK\r\n", b"A: " + NOISE + b"\r\n"),
    "a header without end": flood(b"HTTP/1.1 200 OK\r\nA: ", NOISE),
    "a first line without end": flood(b"HTTP/1.1 200 ", NOISE),
    "interim answers without end": flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * 100),
    "a body without end": flood(_ok("application/json"), NOISE),
    "a page without end": flood(_ok("text/html"), NOISE),
    "an error without end": flood(b"HTTP/1.1 500 No\r\nContent-Type: text/html\r\n\r\n", NOISE),
    "a body without end, in chunks": flood(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1000\r\n" + NOISE + b"\r\n",
    ),
}
NONSENSE: dict[str, Act] = {
    "noise": send(NOISE),
    "zeros": send(bytes(4096)),
    "HTTP/0.9": send(PAGE),
    "HTTP/2": send(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x64"),
    "TLS": send(b"\x15\x03\x01\x00\x02\x02\x28"),
    "SSH": send(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "a request": send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a status of a million": send(b"HTTP/1.1 1000000 OK\r\n\r\n"),
    "a status in letters": send(b"HTTP/1.1 OK\r\n\r\n"),
    "a version of 9.9": send(b"HTTP/9.9 200 OK\r\n\r\n"),
    "a header without a colon": send(b"HTTP/1.1 200 OK\r\n" + NOISE + b"\r\n\r\n"),
    "a header with a zero": send(b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n"),
    "another protocol": send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
}
HARMLESS: dict[str, Act] = {
    "HTTP/1.0": changed(lambda r: render(r, "1.0")),
    "HTTP/1.0 without a length": changed(lambda r: without_length(r, "1.0")),
    "without a length": changed(without_length),
    "in chunks": changed(chunked),
    "in chunks of a byte": changed(lambda r: chunked(r, 1) if len(r.body) < 5000 else chunked(r)),
    "after interim answers": changed(lambda r: b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20 + render(r)),
    "with a header too many": changed(lambda r: with_headers(r, {"X-Proxy": MARK * 2000})),
    "identity": changed(lambda r: with_headers(r, {"Content-Encoding": "identity"})),
}
RANGES: dict[str, Act] = {
    f"206 of {name}": say(206, {"Content-Range": text} if text else {}, NOISE)
    for name, text in {
        "no range": "", "the beginning": "bytes 0-4095/300000", "another total": "bytes 100000-104095/9",
        "pages": "pages 1-2/3", "no number": "bytes a-b/c", "any": "bytes */300000",
        "a huge number": "bytes 1-" + "9" * 400,
        "less than asked for": "bytes 100000-100001/300000",
    }.items()
} | {
    "200 for a range": changed(lambda r: render(Reply(200, {}, r.body))),
    "416": say(416, PROBLEM, b"{}"),
    "412": say(412, PROBLEM, b"{}"),
}  # fmt: skip

FAULTS: dict[str, Act] = {
    f"{topic}: {name}": act
    for topic, table in {
        "in the way": IN_THE_WAY, "portal": PORTALS, "redirect": REDIRECTS, "retry": RETRY, "length": LENGTHS,
        "encoding": ENCODINGS, "cut": CUTS, "silence": SILENCES, "drip": DRIPS, "flood": FLOODS, "nonsense": NONSENSE,
        "range": RANGES, "harmless": HARMLESS,
    }.items()
    for name, act in table.items()
}  # fmt: skip
