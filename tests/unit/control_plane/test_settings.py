"""Settings: where a value comes from, what is refused, and that every refusal names the key and its origin."""

from pathlib import Path

import pytest

from control_plane.errors import SettingsInvalid
from control_plane.settings import Settings, read_secret


def file(folder: Path, text: str) -> Path:
    path = folder / "server.toml"
    path.write_text(text)
    return path


def test_nothing_given_is_a_loopback_server_with_an_embedded_database() -> None:
    settings = Settings.load(None, {})
    assert settings.address == ("127.0.0.1", 8470)
    assert (settings.database_url, settings.objects, settings.ref, settings.poll_s) == ("", "folder", "main", 15)


def test_relative_paths_start_at_the_file_or_at_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    path = file(tmp_path, 'data_dir = "data"\n')
    assert Settings.load(path, {}).data_dir == tmp_path / "data"
    assert Settings.load(path, {"NEOPRO_DATA_DIR": "data"}).data_dir == Path("/data")


@pytest.mark.parametrize(
    ("remote", "read"),
    [
        ("fleet.git", "{folder}/fleet.git"),
        ("/srv/fleet.git", "/srv/fleet.git"),
        ("https://git.example/fleet.git", "https://git.example/fleet.git"),
        ("git@git.example:fleet.git", "git@git.example:fleet.git"),
    ],
)
def test_remote_that_is_a_relative_path_starts_at_the_file(tmp_path: Path, remote: str, read: str) -> None:
    assert Settings.load(file(tmp_path, f"remote = '{remote}'"), {}).remote == read.format(folder=tmp_path)


def test_the_environment_goes_over_the_file(tmp_path: Path) -> None:
    path = file(tmp_path, "poll_s = 30\nref = 'release'\n")
    settings = Settings.load(path, {"NEOPRO_POLL_S": "5"})
    assert (settings.poll_s, settings.ref) == (5, "release")


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    path = file(tmp_path, "poll_s = 30\n")
    assert Settings.load(None, {"NEOPRO_CONFIG": str(path)}).poll_s == 30


def test_texts_of_the_environment_become_what_the_key_is() -> None:
    settings = Settings.load(
        None, {"NEOPRO_S3_SECURE": "false", "NEOPRO_TRUSTED_PROXY": "10.0.0.0/8, ::1", "NEOPRO_LISTEN": "[::1]:0"}
    )
    assert settings.s3_secure is False
    assert [str(network) for network in settings.trusted_networks] == ["10.0.0.0/8", "::1/128"]
    assert settings.address == ("::1", 0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("poll_s = '5'", r"poll_s in .*server\.toml: Expected `int`, got `str`"),
        ("poll_s = 0", r"poll_s in .*server\.toml"),
        ("pol_s = 5", r"pol_s in .*server\.toml: there is no such setting; did you mean poll_s\?"),
        ("data_dir = ''", r"data_dir in .*: Expected a path"),
        ("listen = '127.0.0.1:70000'", r"listen in .*: a port is at most 65535"),
        ("listen = '8470'", r"listen in .*: write HOST:PORT"),
        ("listen = '0.0.0.0:80'", r"listen in .*: without TLS only a loopback address will do"),
        ("listen = 'fleet.example.org:80'", r"without TLS only a loopback address will do"),
        ("tls_key = 'k.pem'", r"tls_key in .*: tls_certificate and tls_key are set together"),
        ("trusted_proxy = ['proxy']", r"trusted_proxy in .*'proxy'"),
        ("objects = 's3://bucket'", r"objects in .*: s3_endpoint is not set"),
        ("objects = 'ftp://bucket'", r"objects in .*: write folder, or s3://BUCKET"),
        ("database_url = 'postgresql://u:hunter2@h/d'", r"database_url in .*: it holds a password.*database_url_file"),
        ("database_url = 'host=h password = hunter2'", r"database_url in .*: it holds a password"),
        ("database_url = 'postgresql://h/d?password=hunter2'", r"database_url in .*: it holds a password"),
        ("= 5", r"cannot read the settings .*server\.toml: "),
    ],
)
def test_what_cannot_be_used_is_told_by_key_and_origin(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(SettingsInvalid, match=told) as caught:
        Settings.load(file(tmp_path, text), {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("NEOPRO_POLL_S", "soon", "NEOPRO_POLL_S: Expected `int`"),
        ("NEOPRO_POL_S", "5", "NEOPRO_POL_S of the environment: .*did you mean poll_s"),
        ("NEOPRO_TLS_KEY", "k.pem", "NEOPRO_TLS_KEY: tls_certificate"),
    ],
)
def test_what_the_environment_spoils_is_told_by_its_name(name: str, value: str, told: str) -> None:
    with pytest.raises(SettingsInvalid, match=told):
        Settings.load(None, {name: value})


def test_what_other_programs_of_the_family_use_is_left_alone() -> None:
    Settings.load(None, {"NEOPRO_URL": "x", "NEOPRO_TOKEN": "y", "NEOPRO_DEMO_DIR": "z", "PATH": "/bin"})


def test_a_public_address_is_good_with_tls_or_behind_a_proxy() -> None:
    listen = {"NEOPRO_LISTEN": "0.0.0.0:443"}
    Settings.load(None, listen | {"NEOPRO_TLS_CERTIFICATE": "c.pem", "NEOPRO_TLS_KEY": "k.pem"})
    Settings.load(None, listen | {"NEOPRO_TRUSTED_PROXY": "10.0.0.0/8"})


def test_a_password_may_come_by_the_environment_and_is_never_shown() -> None:
    settings = Settings.load(None, {"NEOPRO_DATABASE_URL": "postgresql://u:hunter2@h/d"})
    assert "hunter2" in settings.database_url and "hunter2" not in repr(settings)


def test_a_settings_file_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"cannot read the settings .*nothing\.toml: No such file"):
        Settings.load(tmp_path / "nothing.toml", {})


@pytest.mark.parametrize("text", ["", "\n", "two\nlines\n"])
def test_a_secret_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    with pytest.raises(SettingsInvalid, match="must hold one line"):
        read_secret(tmp_path / "secret")


def test_a_secret_is_read_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    assert read_secret(tmp_path / "secret") == "hunter2"
    with pytest.raises(SettingsInvalid, match="cannot read the secret"):
        read_secret(tmp_path / "nothing")
