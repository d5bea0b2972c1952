"""What is secret does not leave the box, whatever it stands in; what is not, does."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler_agent.core.redact import REDACTED, redact, secrets_of
from tests.support.box_configurations import sample

JWT = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJicmVzdCJ9.c2lnbmF0dXJl"
PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHVu\n-----END PRIVATE KEY-----"
AGE = "AGE-SECRET-KEY-1" + "Q" * 58


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("password=hunter22", "hunter22"),
        ("password: hunter22", "hunter22"),
        ('{"password": "hunter 22"}', "hunter 22"),
        ('{"password":"hun\\"ter22"}', "ter22"),
        ("{'clubPassword': 'hunter22', 'x': 1}", "hunter22"),
        ("wifi psk='hunter22' joined", "hunter22"),
        ("WPA_PASSPHRASE=hunter22;", "hunter22"),
        ("apiKey => hunter22", "hunter22"),
        ("Authorization: Bearer abcdefghijkl", "abcdefghijkl"),
        ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("sent bearer abcdefghijkl to it", "abcdefghijkl"),
        (f"token {JWT} refused", JWT),
        (f"GET /?access_token={JWT}", JWT),
        ("connecting to postgres://neopro:hunter22@db:5432/x", "hunter22"),
        (f"read\n{PEM}\nfrom", "MC4CAQAwBQYDK2VwBCIEIHVu"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\ncut off", "cut off"),
        (f"key {AGE}", AGE),
        ("set-cookie: sid=abcdef123", "abcdef123"),
    ],
)
def test_secret_is_taken_out(text: str, secret: str) -> None:
    found = redact(text)
    assert secret not in found
    assert REDACTED in found


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T12:00:00+00:00 neopro-app[412]: score 1-0, phase during",
        "http://127.0.0.1:3000/ answers 200",
        "the password was changed by the club",
        "file videos/ANNONCES/noel-1f2e3d4c.mp4, sha256:" + "ab" * 32,
        "token refused",
    ],
)
def test_what_is_no_secret_is_left(text: str) -> None:
    assert redact(text) == text


def test_values_that_the_box_is_configured_with_are_found_wherever_they_stand() -> None:
    configuration = sample("club-handball") | {"auth": {"password": "Allez-Rennes"}, "net": [{"psk": "wifi-secret"}]}

    secrets = set(secrets_of(configuration))

    assert {"Allez-Rennes", "wifi-secret"} <= secrets
    assert redact("login with Allez-Rennes over wifi-secret", secrets) == f"login with {REDACTED} over {REDACTED}"


@settings(deadline=None)
@given(st.text(min_size=8).filter(lambda text: json.dumps(text)[1:-1] == text and REDACTED not in text))
def test_any_value_under_a_secret_name_is_taken_out(value: str) -> None:
    text = json.dumps({"a": 1, "auth": {"password": value}, "b": "kept"}, ensure_ascii=False)
    assert redact(text) == '{"a": 1, "auth": {"password": [redacted]}, "b": "kept"}'
