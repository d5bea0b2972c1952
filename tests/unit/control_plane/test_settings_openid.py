"""Settings of the OpenID provider: tables in the file, JSON in the environment, and what is refused."""

from pathlib import Path

import pytest

from control_plane.core.openid import Grant
from control_plane.errors import SettingsInvalid
from control_plane.settings import Settings

GOOD = """
public_url = "https://fleet.example.org"
oidc_issuer = "https://id.example.org/realms/club"
oidc_client_id = "neopro-fleet"
oidc_client_secret_file = "secret"
oidc_acr = ["gold"]

[[oidc_grants]]
claim = "groups"
value = "fleet-admins"
role = "admin"

[[oidc_grants]]
claim = "groups"
value = "ligue-bretagne"
tenant = "bretagne"
"""
GRANTS = [
    Grant(claim="groups", value="fleet-admins", role="admin"),
    Grant(claim="groups", value="ligue-bretagne", role="viewer", tenant="bretagne"),
]


def load(folder: Path, text: str) -> Settings:
    path = folder / "server.toml"
    path.write_text(text)
    return Settings.load(path, {})


def test_provider_is_set_by_the_file_with_a_table_for_each_grant(tmp_path: Path) -> None:
    settings = load(tmp_path, GOOD)
    assert settings.oidc_client_secret_file == tmp_path / "secret"
    assert settings.oidc_scopes == ["openid", "profile", "email"]
    assert settings.oidc_grants == GRANTS


def test_provider_may_be_set_by_the_environment_alone() -> None:
    settings = Settings.load(
        None,
        {
            "NEOPRO_PUBLIC_URL": "https://fleet.example.org",
            "NEOPRO_OIDC_ISSUER": "https://id.example.org",
            "NEOPRO_OIDC_CLIENT_ID": "neopro-fleet",
            "NEOPRO_OIDC_SCOPES": "openid, groups",
            "NEOPRO_OIDC_GRANTS": '[{"claim": "groups", "value": "fleet-admins", "role": "admin"}]',
        },
    )
    assert settings.oidc_scopes == ["openid", "groups"]
    assert settings.oidc_grants == GRANTS[:1]


def test_no_provider_is_asked_for_nothing_else(tmp_path: Path) -> None:
    assert load(tmp_path, 'oidc_client_id = "neopro-fleet"').oidc_issuer == ""


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('"https://id.example.org/realms/club"', '"http://id.example.org"', r"oidc_issuer in .*: give its https"),
        ('"https://id.example.org/realms/club"', '"id.example.org"', r"oidc_issuer in .*: give its https"),
        ('"https://fleet.example.org"', '"http://fleet.example.org"', r"public_url in .*: people who come back"),
        ('public_url = "https://fleet.example.org"', "", r"oidc_issuer in .*: public_url is not set"),
        ('oidc_client_id = "neopro-fleet"', "", r"oidc_issuer in .*: oidc_client_id is not set"),
        ('oidc_acr = ["gold"]', 'oidc_scopes = ["email"]', r"oidc_scopes in .*: it lacks openid"),
        ('oidc_acr = ["gold"]', 'oidc_second_factor = "no"', r"oidc_second_factor in "),
        ('oidc_acr = ["gold"]', 'oidc_isuer = "x"', r"there is no such setting; did you mean oidc_issuer"),
        ('role = "admin"', 'role = "root"', r"oidc_grants in .*Invalid enum value 'root'"),
        ('role = "admin"', 'rol = "admin"', r"oidc_grants in .*unknown field `rol`"),
        ('role = "admin"', 'role = "admin"\ntenant = "x"', r"oidc_grants in .*: an admin is of the team"),
        ('tenant = "bretagne"', 'tenant = "Bretagne!"', r"oidc_grants in .*matching regex"),
    ],
)
def test_what_cannot_be_used_is_told_by_key_and_origin(tmp_path: Path, before: str, after: str, told: str) -> None:
    assert before in GOOD
    with pytest.raises(SettingsInvalid, match=told):
        load(tmp_path, GOOD.replace(before, after, 1))


def test_provider_without_grants_lets_nobody_in_and_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="oidc_grants is not set"):
        load(tmp_path, GOOD.partition("[[")[0])


def test_grants_of_the_environment_that_are_no_json_are_told_how_to_be_written() -> None:
    with pytest.raises(SettingsInvalid, match=r"NEOPRO_OIDC_GRANTS: write a JSON list"):
        Settings.load(None, {"NEOPRO_OIDC_GRANTS": "groups=fleet-admins"})
