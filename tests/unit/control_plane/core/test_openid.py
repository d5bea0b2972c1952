"""What a provider's claims make of somebody: the table of grants, names, addresses and factors."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.openid import (
    FACTORS,
    Grant,
    Person,
    Rules,
    Trouble,
    has_two_factors,
    is_safe_url,
    missing,
    person_of,
)

GRANTS = (
    Grant(claim="groups", value="fleet-admins", role="admin"),
    Grant(claim="groups", value="ligue-bretagne", role="viewer", tenant="bretagne"),
    Grant(claim="email", value="ada@example.org", role="operator"),
    Grant(claim="realm_access.roles", value="operator", role="operator"),
    Grant(claim="https://example.org/role", value="viewer"),
)
WHO = {"iss": "https://id.example.org", "sub": "17", "preferred_username": "ada"}


def rules(**others: Any) -> Rules:
    return Rules(**{"grants": GRANTS, "name_claim": "preferred_username", "second_factor": "told", "acr": (), **others})


def person(**claims: Any) -> Person | Trouble:
    return person_of({**WHO, **claims}, rules())


@pytest.mark.parametrize(
    ("claims", "role", "tenant"),
    [
        ({"groups": ["staff", "fleet-admins"]}, "admin", None),
        ({"groups": "fleet-admins"}, "admin", None),
        ({"groups": ["ligue-bretagne"]}, "viewer", "bretagne"),
        ({"groups": ["ligue-bretagne", "fleet-admins"]}, "admin", None),
        ({"email": "ada@example.org", "email_verified": True}, "operator", None),
        ({"realm_access": {"roles": ["operator"]}}, "operator", None),
        ({"https://example.org/role": "viewer"}, "viewer", None),
    ],
)
def test_first_grant_that_matches_decides(claims: dict[str, Any], role: str, tenant: str | None) -> None:
    found = person(**claims)
    assert isinstance(found, Person)
    assert (found.subject, found.name, found.role, found.tenant) == ("17", "ada", role, tenant)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"groups": []},
        {"groups": ["Fleet-Admins"]},
        {"groups": ["fleet-admins-of-another"]},
        {"groups": {"fleet-admins": True}},
        {"groups": [["fleet-admins"]]},
        {"groups": None},
        {"groups": 7},
        {"realm_access": ["operator"]},
        {"realm_access": "operator"},
        {"realm_access.roles.operator": "operator"},
        {"role": "admin"},
    ],
)
def test_whoever_matches_no_grant_stays_outside(claims: dict[str, Any]) -> None:
    found = person(**claims)
    assert isinstance(found, Trouble)
    assert found.reason == "grant"


@pytest.mark.parametrize("verified", [None, False, "true", 1, "yes"])
def test_address_that_nobody_verified_grants_nothing(verified: object) -> None:
    found = person(email="ada@example.org", email_verified=verified)
    assert isinstance(found, Trouble)
    assert found.reason == "email"


def test_grant_by_address_is_passed_over_for_another_that_matches() -> None:
    found = person(email="ada@example.org", realm_access={"roles": ["operator"]})
    assert isinstance(found, Person)


@pytest.mark.parametrize("name", [None, "", "  ", 7, ["ada"], {"name": "ada"}])
def test_person_without_a_name_stays_outside(name: object) -> None:
    found = person_of({**WHO, "preferred_username": name, "groups": ["fleet-admins"]}, rules())
    assert isinstance(found, Trouble)
    assert found.reason == "name"


@pytest.mark.parametrize(("verified", "reason"), [(True, None), (False, "email"), (None, "email")])
def test_name_that_is_an_address_has_to_be_verified(verified: bool | None, reason: str | None) -> None:
    claims = {**WHO, "email": "ada@example.org", "email_verified": verified, "groups": ["fleet-admins"]}
    found = person_of(claims, rules(name_claim="email"))
    assert (found.reason if isinstance(found, Trouble) else None) == reason


PROOFS: list[tuple[object, object, bool]] = [
    (None, None, False),
    ([], "1", False),
    (["pwd"], None, False),
    (["otp"], None, False),
    (["hwk"], None, False),
    (["pwd", "pin"], None, False),
    (["otp", "sms"], None, False),
    (["pwd", "user"], None, False),
    ("mfa pwd", None, False),
    ({"mfa": True}, None, False),
    (["mfa"], None, True),
    ("mfa", None, True),
    (["pwd", "otp"], None, True),
    (["pin", "sc"], None, True),
    (["fpt", "hwk"], None, True),
    (["pwd"], "gold", True),
    (None, "gold", True),
    (None, ["gold"], False),
    (None, "Gold", False),
]


@pytest.mark.parametrize(("second_factor", "proof"), list(product(("told", "trusted"), PROOFS)))
def test_two_factors_are_two_of_different_kinds_or_what_the_provider_is_trusted_with(
    second_factor: str, proof: tuple[object, object, bool]
) -> None:
    amr, acr, told = proof
    claims = {**WHO, "amr": amr, "acr": acr, "groups": ["fleet-admins"]}
    asked = rules(second_factor=second_factor, acr=("gold",))
    assert has_two_factors(claims, asked) is (told or second_factor == "trusted")
    found = person_of(claims, asked)
    assert isinstance(found, Person)
    assert found.second_factor is (told or second_factor == "trusted")


def test_methods_of_one_kind_are_never_two_factors() -> None:
    for kind in {*FACTORS.values()}:
        same = [method for method, of in FACTORS.items() if of == kind]
        assert not has_two_factors({**WHO, "amr": same}, rules()), kind


def test_claims_that_the_token_lacks_are_asked_for() -> None:
    whole = {
        "preferred_username": "ada",
        "groups": [],
        "email": "ada@example.org",
        "email_verified": False,
        "realm_access": {"roles": []},
        "https://example.org/role": "none",
    }
    assert missing(whole, rules()) == set()
    for claim in whole:
        expected = "realm_access.roles" if claim == "realm_access" else claim
        assert missing({key: value for key, value in whole.items() if key != claim}, rules()) == {expected}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just("fleet-admins"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = ("preferred_username", "email", "email_verified", "groups", "realm_access", "amr", "acr", "x")


@given(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=len(NAMES)))
def test_whatever_a_provider_says_is_somebody_or_a_trouble(claims: dict[str, Any]) -> None:
    found = person_of({**WHO, **claims}, rules(acr=["gold"]))
    missing(claims, rules())
    if isinstance(found, Person):
        assert found.name == found.name.strip() != ""
        assert found.role != "admin" or "fleet-admins" in (
            [claims["groups"]] if isinstance(claims["groups"], str) else claims["groups"]
        )
    else:
        assert found.reason in {"name", "email", "grant"}


@pytest.mark.parametrize(
    ("url", "safe"),
    [
        ("https://id.example.org/realms/x", True),
        ("https://id.example.org:8443", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("http://localhost:8080/realms/x", True),
        ("http://id.example.org", False),
        ("http://localhost.example.org", False),
        ("https://user@id.example.org", False),
        ("https://id.example.org/#x", False),
        ("https://", False),
        ("https://[::1", False),
        ("javascript:alert(1)", False),
        ("//id.example.org", False),
        ("", False),
    ],
)
def test_secrets_go_to_https_or_loopback_only(url: str, safe: bool) -> None:
    assert is_safe_url(url) is safe
