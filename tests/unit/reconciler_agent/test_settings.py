"""site.conf: what it may say, and one sentence for what it may not."""

from pathlib import Path

import pytest

from reconciler_agent.errors import SettingsInvalid
from reconciler_agent.settings import load_settings, parse_settings

LEAST = {"site": {"id": "brest"}, "box": {"services": "unix:/run/s.sock"}, "central": {"url": "https://fleet.example"}}


def written(**changed: dict[str, str]) -> str:
    sections = {name: LEAST.get(name, {}) | changed.get(name, {}) for name in LEAST.keys() | changed.keys()}
    return "".join(f"[{n}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) for n, keys in sections.items())


def test_least_settings_have_the_boxes_defaults() -> None:
    settings = parse_settings(written(), Path("site.conf"))

    assert (settings.root, settings.state) == (Path("/home/pi/neopro"), Path("/var/lib/neopro-agent"))
    assert (settings.app_url, settings.admin_url) == ("http://127.0.0.1:3000", "http://127.0.0.1:8080")
    assert (settings.owner, settings.clock, settings.report_s, settings.heal_s) == ("pi", "auto", 300, 60)


def test_sections_of_others_are_left_alone() -> None:
    assert parse_settings(written(features={"auto_update": "no"}), Path("site.conf")).site == "brest"


@pytest.mark.parametrize(
    ("text", "on"), [(None, True), ("true", True), ("yes", True), ("off", False), ("False", False)]
)
def test_remote_commands_are_done_unless_the_site_switched_them_off(text: str | None, on: bool) -> None:
    features = {} if text is None else {"remote_commands": text}
    assert parse_settings(written(features=features), Path("site.conf")).remote_commands is on


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"site": {"id": ""}}, "[site] id"),
        ({"site": {"id": "Brest FC"}}, "[site] id"),
        ({"site": {"root": "neopro"}}, "absolute path"),
        ({"site": {"roots": "/x"}}, "no key 'roots'"),
        ({"box": {"app_url": "http://192.168.1.2:3000"}}, "on the box itself"),
        ({"box": {"app_url": "http://127.0.0.1@evil.example"}}, "on the box itself"),
        ({"box": {"services": "systemd"}}, "unix:/PATH"),
        ({"box": {"clock": "maybe"}}, "auto or trusted"),
        ({"central": {"url": "http://fleet.example"}}, "https://HOST"),
        ({"central": {"url": "ftp://fleet.example"}}, "https://HOST"),
        ({"central": {"url": ""}}, "https://HOST"),
        ({"central": {"url": "https://ada:hunter2@fleet.example"}}, "holds a user's name"),
        ({"agent": {"heal_s": "soon"}}, "seconds"),
        ({"agent": {"report_s": "0"}}, "seconds"),
        ({"agent": {"report_s": "nan"}}, "seconds"),
        ({"features": {"remote_commands": "perhaps"}}, "true or false"),
    ],
)
def test_setting_that_cannot_be_used_is_named(changed: dict[str, dict[str, str]], words: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"^cannot use site.conf: ") as refused:
        parse_settings(written(**changed), Path("site.conf"))

    assert words in str(refused.value)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"SITE_ID=brest\n", "cannot use {path}: it does not begin with a section; write [site] first"),
        (b"x" * 100_000, "cannot use {path}: it does not begin with a section; write [site] first"),
        (b"\xff\xfe\x00", "cannot read {path}: it is not UTF-8 text"),
        (None, "cannot read {path}: Is a directory"),
    ],
)
def test_file_that_is_no_settings_is_told_in_a_sentence(tmp_path: Path, data: bytes | None, sentence: str) -> None:
    path = tmp_path / "site.conf"
    if data is None:
        path.mkdir()
    else:
        path.write_bytes(data)

    with pytest.raises(SettingsInvalid) as refused:
        load_settings(path)

    assert str(refused.value) == sentence.format(path=path)


def test_mark_at_the_beginning_of_the_file_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "site.conf").write_text(written(), encoding="utf-8-sig")

    assert load_settings(tmp_path / "site.conf").site == "brest"
