"""What is typed wrong is answered with one sentence that says what to do, and status 2."""

from pathlib import Path

import pytest

from cli.__main__ import run
from tests.support.scripted_http import Say, ScriptedServer

NOWHERE = "http://127.0.0.1:1"
PROBLEM = {"Content-Type": "application/problem+json"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["statsu"], "did you mean neopro status?"),
        (["video", "ad"], "did you mean neopro video add?"),
        (["-x"], "see: neopro --help"),
        (["status", "--bogus"], "Unknown option: --bogus; see: neopro status --help"),
        (["keys", "init"], "--keys requires an argument; see: neopro keys init --help"),
        (["demo", "--port", "99999999"], "cannot listen on port 99999999: from 1 to 65535"),
        (["demo", "--off", "a", "--on", "b"], "do one after the other"),
        (["demo", "--boxes", "7"], "from 1 to 6"),
    ],
)
def test_wrong_words_are_answered_with_what_to_write(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run(words)

    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert said.err.startswith("neopro: cannot ") and said.err.endswith(f"{says}\n") and said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("url", "token", "says"),
    [
        ("https://127.0.0.1:abc", "x", "Invalid port"),
        ("ftp://127.0.0.1", "x", "it must be https://"),
        ("http://example.org", "x", "http:// to this machine only"),
        (NOWHERE, "é", "cannot use the token"),
        (NOWHERE, "a\nb", "cannot use the token"),
        (NOWHERE, "x", "is it running, is the URL right?"),
    ],
)
def test_control_plane_that_cannot_be_asked_is_one_sentence(
    url: str,
    token: str,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in {"HOME": str(tmp_path), "NEOPRO_URL": url, "NEOPRO_TOKEN": token}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    status = run(["status", "--json"])

    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert said.err.startswith("neopro: cannot ") and says in said.err and said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            Say(401, PROBLEM, b'{"title":"Unauthorized","status":401,"detail":"cannot take the token: it is revoked"}'),
            "neopro: cannot read the fleet: the control plane cannot take the token: it is revoked; "
            "have a new one made, on the server: neopro token add NAME\n",
        ),
        (
            Say(502, {}, b"<html>"),
            "neopro: cannot read the fleet: it answered 502 Bad Gateway\n",
        ),
        (Say(200, {}, b"<html>"), "does not answer like a control plane of NEOPRO Fleet\n"),
    ],
)
def test_refusal_of_the_control_plane_is_told_in_its_words(
    answer: Say,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with ScriptedServer(lambda _: answer).serving() as server:
        for name, value in {"HOME": str(tmp_path), "NEOPRO_URL": server.url, "NEOPRO_TOKEN": "x"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        status = run(["status"])

    said = capsys.readouterr()
    assert (status, said.out) == (2, "")
    assert said.err.endswith(says) and said.err.count("\n") == 1
