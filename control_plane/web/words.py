"""What the pages say, in English and in French; and how they say ages, instants and sizes."""

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Final, get_args

from control_plane.core.language import Language
from control_plane.web.catalog import CATALOG, MONTHS

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
_POSITION: Final = {language: index for index, language in enumerate(LANGUAGES)}
_THIN: Final = "\u202f"
"""A narrow no-break space: French groups digits and precedes units with it."""


class Words:
    """One language of the catalog."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._at = _POSITION[language]

    def __call__(self, key: str, **values: object) -> str:
        """The text of `key` with its values put in; KeyError for one that the catalog lacks, which a test finds."""
        text = CATALOG[key][self._at]
        return text.format_map(values) if values else text

    def known(self, key: str, fallback: str) -> str:
        """The text of `key`, or `fallback` when the catalog lacks it: for words that come from boxes."""
        found = CATALOG.get(key)
        return found[self._at] if found else fallback

    def count(self, key: str, number: int, **values: object) -> str:
        """`key.one` or `key.other`, by the rule of the language: French calls nothing singular too."""
        one = number == 1 or (number == 0 and self.language == "fr")
        return self(f"{key}.{'one' if one else 'other'}", n=self.number(number), **values)

    def number(self, number: int) -> str:
        """An integer with its thousands apart."""
        return f"{number:,}".replace(",", _THIN if self.language == "fr" else ",")

    def decimal(self, number: float, digits: int = 1) -> str:
        """A number with so many digits behind the point, which is a comma in French."""
        text = f"{number:.{digits}f}"
        return text.replace(".", ",") if self.language == "fr" else text

    def span(self, span: timedelta) -> str:
        """A duration in its greatest unit: `3 min`, `2 h`, `5 days`; less than a minute is `1 min`."""
        minutes = max(1, int(span.total_seconds()) // 60)
        if minutes < 60:
            return self("span.minutes", n=minutes)
        if minutes < 48 * 60:
            return self("span.hours", n=minutes // 60)
        return self.count("span.days", minutes // 1440)

    def ago(self, instant: datetime, now: datetime) -> str:
        """`3 min ago`; what is younger than a minute, or lies ahead, is `just now`: it need not change every second."""
        age = now - instant
        return self("ago.now") if age < timedelta(minutes=1) else self("ago", span=self.span(age))

    def instant(self, instant: datetime) -> str:
        """`1 Mar 2026, 12:00 UTC`."""
        month = MONTHS[self.language][instant.month - 1]
        return f"{instant.day} {month} {instant.year}, {instant:%H:%M} UTC"

    def hour(self, instant: datetime) -> str:
        """`1 Mar, 12:00 UTC`: an hour of these days."""
        return f"{instant.day} {MONTHS[self.language][instant.month - 1]}, {instant:%H:%M} UTC"

    def day(self, day: date) -> str:
        """`1 Mar 2026`."""
        return f"{day.day} {MONTHS[self.language][day.month - 1]} {day.year}"

    def month(self, day: date) -> str:
        """`Mar 2026`."""
        return f"{MONTHS[self.language][day.month - 1]} {day.year}"

    def size(self, size_bytes: int) -> str:
        """Bytes in powers of ten."""
        number, unit = float(size_bytes), 0
        while number >= 1000 and unit < 4:
            number, unit = number / 1000, unit + 1
        units = ("o", "ko", "Mo", "Go", "To") if self.language == "fr" else ("B", "kB", "MB", "GB", "TB")
        return f"{self.decimal(number, 0 if unit == 0 or number >= 100 else 1)}{_THIN}{units[unit]}"


def choose_language(asked: Iterable[str | None], accept_language: str) -> Language:
    """The first of `asked` that we speak, else the best of Accept-Language (RFC 9110, 12.5.4), else English."""
    for language in asked:
        if language in LANGUAGES:
            return language
    ranked = sorted(_ranked(accept_language), key=lambda pair: -pair[1])
    return next((language for language, quality in ranked if quality > 0), "en")


def _ranked(accept_language: str) -> Iterable[tuple[Language, float]]:
    for item in accept_language[:200].split(","):
        found = re.fullmatch(r"\s*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*", item)
        language = found[1].lower() if found else ""
        for known in LANGUAGES:
            if found and language == known:
                yield known, float(found[2] or 1)


def spaced(camel_case: str) -> str:
    """`DiskFull` as `Disk full`: a reason that the catalog does not know."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", camel_case)
    return words[:1].upper() + words[1:].lower()
