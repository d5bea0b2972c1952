"""Text that leaves the box, without what is secret in it: by its form, by the name before it, and by its value."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

REDACTED: Final = "[redacted]"
MIN_SECRET: Final = 4
"""Shorter values are no secrets: they would be found everywhere."""
_NAMES: Final = r"pass(?:word|wd|phrase)?|pwd|psk|secret|token|api[_-]?key|authorization|cookie|private[_-]?key"
_FORMS: Final = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"),
    re.compile(r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)"),
    re.compile(r"(?i)(?<=\bbearer )[A-Za-z0-9._~+/=-]{8,}"),
    re.compile(r"(?i)(?<=\bbasic )[A-Za-z0-9+/=]{8,}"),
)
_NAMED: Final = re.compile(
    rf"""(?ix) ( [\w-]*(?:{_NAMES})[\w-]* ["']? \s* (?:=>|[=:]) \s* (?:(?:bearer|basic)\s+)? )
    (?: "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | [^\s"',;&}}\])]+ )"""
)
_IS_NAME: Final = re.compile(_NAMES, re.IGNORECASE)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without private keys, tokens, users in URLs, values named as secret, and without each of `secrets`."""
    for secret in sorted({s for s in secrets if len(s) >= MIN_SECRET}, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    for form in _FORMS:
        text = form.sub(REDACTED, text)
    return _NAMED.sub(rf"\1{REDACTED}", text)


def secrets_of(configuration: Any) -> Iterator[str]:
    """The values that a configuration holds under names such as `password`, at any depth."""
    if isinstance(configuration, list):
        for item in configuration:
            yield from secrets_of(item)
    elif isinstance(configuration, dict):
        for key, value in configuration.items():
            if isinstance(value, str) and _IS_NAME.search(str(key)):
                yield value
            else:
                yield from secrets_of(value)
