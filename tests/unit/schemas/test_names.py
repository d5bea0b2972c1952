"""Names: what fits a pattern, wholly."""

import msgspec
import pytest

from schemas import names

GOOD = {
    names.SiteId: "rennes-fc",
    names.Digest: "sha256:" + "ab" * 32,
    names.Revision: "ab" * 20,
    names.Version: "2.1.3-rc.1",
    names.KeyId: "ab" * 32,
    names.PublicKeyLine: "ed25519:" + "A" * 43 + "=",
    names.Duration: "14d",
    names.Rate: "2MB/s",
    names.TimeOfDay: "23:59",
    names.Percent: "100%",
}


@pytest.mark.parametrize(("kind", "text"), GOOD.items(), ids=GOOD.values())
@pytest.mark.parametrize("around", ["{}\n", "\n{}", " {}", "{} ", "{}\0", "x{}x/"])
def test_anything_around_a_good_name_is_refused(kind: type, text: str, around: str) -> None:
    assert msgspec.convert(text, kind) == text
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(around.format(text), kind)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("15m", 900), ("12h", 43_200), ("14d", 1_209_600)])
def test_duration_reads_as_seconds(text: str, seconds: int) -> None:
    assert names.duration_s(text) == seconds


@pytest.mark.parametrize(("text", "rate"), [("500kB/s", 500_000), ("2MB/s", 2_000_000), ("1GB/s", 10**9)])
def test_rate_reads_as_bytes_a_second(text: str, rate: int) -> None:
    assert names.rate_bytes_s(text) == rate


def test_digits_of_other_scripts_are_no_version() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert("1.٣.0", names.Version)


@pytest.mark.parametrize(
    ("version", "bound", "met"),
    [
        ("2.0.0", ">=2.0.0", True),
        ("2.0.0", ">=2.0", True),
        ("2.0.0", ">=2", True),
        ("1.9.9", ">=2", False),
        ("2.10.0", ">=2.9.0", True),
        ("2.0.0-rc.1", ">=2.0.0", False),
        ("2.0.1-rc.1", ">=2.0.0", True),
        ("2.0.0+build.5", ">=2.0.0", True),
        ("by-hand", ">=0", False),
        ("2.0", ">=1.0.0", False),
        ("", ">=0.0.0", False),
    ],
)
def test_version_is_at_least_another_by_semver(version: str, bound: str, met: bool) -> None:
    assert names.at_least(version, bound) is met
