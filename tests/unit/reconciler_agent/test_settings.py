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
    assert settings.services == "unix:/run/s.sock"
    assert (settings.auto_update, settings.remote_commands, settings.telemetry) == (True, True, True)
    assert (settings.owner, settings.clock, settings.report_s, settings.heal_s) == ("pi", "auto", 300, 60)
    assert settings.downloads == 2


def test_sections_of_others_are_left_alone() -> None:
    assert parse_settings(written(features={"auto_update": "no"}), Path("site.conf")).site == "brest"


@pytest.mark.parametrize("feature", ["auto_update", "remote_commands", "telemetry"])
@pytest.mark.parametrize(
    ("text", "on"), [(None, True), ("true", True), ("yes", True), ("off", False), ("False", False)]
)
def test_features_are_on_unless_the_site_switched_them_off(feature: str, text: str | None, on: bool) -> None:
    features = {} if text is None else {feature: text}
    settings = parse_settings(written(features=features), Path("site.conf"))

    assert {name: getattr(settings, name) for name in ("auto_update", "remote_commands", "telemetry")} == {
        "auto_update": True, "remote_commands": True, "telemetry": True, feature: on,
    }  # fmt: skip


# The boxes in the field

REGISTERED = """\
# NEOPRO Site Configuration
CENTRAL_SERVER_URL=https://fleet.example
CENTRAL_SERVER_ENABLED=true

SITE_ID=5f0c1c1e-3a5b-4d6e-9f70-8a1b2c3d4e5f
SITE_API_KEY=cle-api-unique

SITE_NAME=MANGIN BEAULIEU
CLUB_NAME=NANTES LOIRE FÉMININ HANDBALL
LOCATION_CITY=Saint-Étienne-de-Montluc
SPORTS=handball,futsal

NEOPRO_ROOT=/home/pi/neopro
HEARTBEAT_INTERVAL=30000
LOG_PATH=/home/pi/neopro/logs/sync-agent.log
AUTO_UPDATE_ENABLED=true
AUTO_UPDATE_HOUR=3
ALLOWED_COMMANDS=deploy_video,delete_video,update_software,update_config,reboot,restart_service,get_logs
"""
"""As the registration of the Node agent writes it."""


def in_the_field(**changed: str | None) -> str:
    lines = [line for line in REGISTERED.splitlines() if line.partition("=")[0] not in changed]
    return "\n".join([*lines, *(f"{key}={value}" for key, value in changed.items() if value is not None)])


def test_settings_of_a_box_in_the_field_are_read() -> None:
    settings = parse_settings(REGISTERED, Path("site.conf"))

    assert settings.site == "5f0c1c1e-3a5b-4d6e-9f70-8a1b2c3d4e5f"
    assert (settings.central_url, settings.root) == ("https://fleet.example", Path("/home/pi/neopro"))
    assert (settings.services, settings.owner) == ("systemd", "pi")
    assert (settings.auto_update, settings.remote_commands, settings.telemetry) == (True, True, True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (in_the_field(SITE_ID="brest"), {"site": "brest"}),
        (in_the_field(SITE_ID=' "brest" # once'), {"site": "brest"}),
        (in_the_field(SITE_ID="'brest'"), {"site": "brest"}),
        (in_the_field(SITE_ID="brest   # the hall"), {"site": "brest"}),
        ("export SITE_ID = brest\n" + in_the_field(SITE_ID=None), {"site": "brest"}),
        ("SITE_ID=old\n" + in_the_field(SITE_ID="brest"), {"site": "brest"}),
        (in_the_field(SITE_ID="brest").replace("\n", "\r\n"), {"site": "brest"}),
        (in_the_field(NEOPRO_ROOT="/srv/boîtier du club"), {"root": Path("/srv/boîtier du club")}),
        (in_the_field(NEOPRO_ROOT=None), {"root": Path("/home/pi/neopro")}),
        (in_the_field(AUTO_UPDATE_ENABLED="false"), {"auto_update": False}),
        (in_the_field(AUTO_UPDATE_ENABLED=None), {"auto_update": True}),
        (in_the_field(ALLOWED_COMMANDS="deploy_video,get_logs"), {"remote_commands": False}),
        (in_the_field(ALLOWED_COMMANDS=""), {"remote_commands": False}),
        (in_the_field(ALLOWED_COMMANDS=None), {"remote_commands": True}),
        (in_the_field(CENTRAL_SERVER_ENABLED=None), {"central_url": "https://fleet.example"}),
    ],
)
def test_spelling_of_the_field_is_understood(text: str, expected: dict[str, object]) -> None:
    settings = parse_settings(text, Path("site.conf"))

    assert {name: getattr(settings, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (in_the_field(SITE_ID=None), "[site] id is ''"),
        (in_the_field(SITE_ID="MANGIN BEAULIEU"), "[site] id is 'MANGIN BEAULIEU'"),
        (in_the_field(CENTRAL_SERVER_URL=None), "[central] url is ''"),
        (in_the_field(CENTRAL_SERVER_URL="http://fleet.example"), "write https://HOST"),
        (in_the_field(CENTRAL_SERVER_ENABLED="false"), "CENTRAL_SERVER_ENABLED is not true"),
        (in_the_field(NEOPRO_ROOT="neopro"), "absolute path"),
        (in_the_field(AUTO_UPDATE_ENABLED="perhaps"), "[features] auto_update"),
        (REGISTERED + "SITE NAME\n", "line 19 is not KEY=value"),
        (REGISTERED + "[site]\n", "line 19 is not KEY=value"),
    ],
)
def test_broken_file_of_the_field_is_told_in_a_sentence(text: str, words: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"^cannot use site.conf: ") as refused:
        parse_settings(text, Path("site.conf"))

    assert words in str(refused.value)
    assert "cle-api-unique" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"site": {"id": ""}}, "[site] id"),
        ({"site": {"id": "Brest FC"}}, "[site] id"),
        ({"site": {"root": "neopro"}}, "absolute path"),
        ({"site": {"roots": "/x"}}, "no key 'roots'"),
        ({"box": {"app_url": "http://192.168.1.2:3000"}}, "on the box itself"),
        ({"box": {"app_url": "http://127.0.0.1@evil.example"}}, "on the box itself"),
        ({"box": {"services": "launchd"}}, "unix:/PATH"),
        ({"box": {"clock": "maybe"}}, "auto or trusted"),
        ({"central": {"url": "http://fleet.example"}}, "https://HOST"),
        ({"central": {"url": "ftp://fleet.example"}}, "https://HOST"),
        ({"central": {"url": ""}}, "https://HOST"),
        (
            {"central": {"url": "https://fleet.example", "ca": "ca.pem"}},
            "[central] ca is 'ca.pem'; write an absolute path",
        ),
        ({"central": {"url": "https://ada:hunter2@fleet.example"}}, "holds a user's name"),
        ({"agent": {"heal_s": "soon"}}, "seconds"),
        ({"agent": {"downloads": "0"}}, "1 to 8"),
        ({"agent": {"downloads": "many"}}, "1 to 8"),
        ({"agent": {"report_s": "0"}}, "seconds"),
        ({"agent": {"report_s": "nan"}}, "seconds"),
        ({"features": {"remote_commands": "perhaps"}}, "true or false"),
        ({"features": {"auto_update": "tomorrow"}}, "[features] auto_update"),
        ({"features": {"telemetry": ""}}, "[features] telemetry"),
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
        (
            b"SITE_ID=brest\n",
            "cannot use {path}: [central] url is ''; write https://HOST (plain http only to this machine)",
        ),
        (b"", "cannot use {path}: [site] id is ''; write the name of the site's file in Git, such as nlf-handball"),
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


def test_places_of_sticks_are_absolute_folders_or_none() -> None:
    text = "[site]\nid = brest\n[central]\nurl = https://fleet.example\n[box]\n"
    assert parse_settings(text, Path("site.conf")).sticks == ("/media", "/run/media", "/mnt")
    assert parse_settings(text + "sticks = /mnt  /srv/usb\n", Path("site.conf")).sticks == ("/mnt", "/srv/usb")
    assert parse_settings(text + "sticks =\n", Path("site.conf")).sticks == ()
    with pytest.raises(SettingsInvalid, match="write absolute folders"):
        parse_settings(text + "sticks = /mnt media\n", Path("site.conf"))
