"""One event is one line, whatever it holds."""

import logging
import re

import pytest

from control_plane.logs import OneLine


def line(message: str, name: str = "control_plane.jobs", **extra: object) -> str:
    record = logging.makeLogRecord({"name": name, "levelname": "INFO", "msg": message, "created": 0.5} | extra)
    return OneLine().format(record)


def test_an_event_is_its_time_level_name_and_fields() -> None:
    assert line("published", sites=3, revision="abc") == (
        "at=1970-01-01T00:00:00.500Z level=info event=published sites=3 revision=abc"
    )


@pytest.mark.parametrize("text", ["two words", 'a "quote"', "a\nline", "a=b", "", "\x1b[2J", "\u202e"])
def test_what_could_be_misread_is_quoted(text: str) -> None:
    found = line("failed", why=text)
    assert found.isprintable() and re.search(r' why="', found)


def test_loggers_of_others_say_whose_they_are() -> None:
    assert line("hello", name="apscheduler.executors").endswith("event=hello from=apscheduler.executors")


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise ValueError("no")
    except ValueError as problem:
        found = line("failed", exc_info=(ValueError, problem, problem.__traceback__))
    assert "\n" not in found and 'trace="Traceback' in found and "ValueError: no" in found
