"""Which version a release says that it is, and the same as SemVer."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.names import SEMVER_PATTERN
from schemas.versions import MAX_VERSION, as_version, declared_version


@pytest.mark.parametrize(
    ("sources", "version"),
    [
        ({"VERSION": b"2.1.3\n"}, "2.1.3"),
        ({"VERSION": b"1.0.0", "release.json": b'{"version": "2.2.0"}'}, "2.2.0"),
        ({"VERSION": b"1.0.0", "webapp/version.json": b'{"version": "2.1.0"}'}, "2.1.0"),
        ({"VERSION": b"1.0.0", "release.json": b"{broken"}, "1.0.0"),
        ({"release.json": b'["2.2.0"]'}, None),
        ({}, None),
    ],
)
def test_version_is_read_where_the_box_reads_it(sources: dict[str, bytes], version: str | None) -> None:
    assert declared_version(sources) == version


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("2.1.3", "2.1.3"),
        ("v1.0.8", "1.0.8"),
        ("1.0.8+abc1234", "1.0.8+abc1234"),
        ("v1.0.8-3-gabc1234", "1.0.8-3-gabc1234"),
        ("v1.0", "1.0.0"),
        ("2", "2.0.0"),
        ("1.0 (hotfix)", "1.0.0+hotfix"),
        ("01.02.03", "1.2.3"),
        ("local-build", "0.0.0+local.build"),
        ("unknown", "0.0.0+unknown"),
        ("", "0.0.0"),
    ],
)
def test_what_people_wrote_as_a_version_is_read_as_semver(said: str, version: str) -> None:
    assert as_version(said) == version


@given(st.text(max_size=100) | st.from_regex(r"v?\d+(\.\d+){0,4}.*"))
def test_whatever_was_written_becomes_semver(said: str) -> None:
    version = as_version(said)
    assert re.fullmatch(SEMVER_PATTERN, version)
    assert len(version) <= MAX_VERSION
