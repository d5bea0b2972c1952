"""Who may see what: every reader against every audience; and the way in, step by step."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core import totp
from control_plane.core.people import (
    NEIGHBOUR,
    Audience,
    Reader,
    Standing,
    buckets,
    fault_of,
    folded,
    is_full,
    local_path,
    may_see,
    neighbourhood,
    next_step,
    scopes_of,
)

WRITES = frozenset({"read", "write"})
READERS = {
    "neighbour": NEIGHBOUR,
    "viewer": Reader(name="v"),
    "operator": Reader(name="o", role="operator"),
    "admin": Reader(name="a", role="admin"),
    "tenant's viewer": Reader(name="tv", tenant="ligue"),
    "tenant's admin": Reader(name="ta", role="admin", tenant="ligue"),
    "operator's token": Reader(name="ot", role="operator", scopes=WRITES),
    "token that only writes": Reader(name="w", role="operator", scopes=frozenset({"write"})),
    "viewer's token with too much": Reader(name="vt", scopes=WRITES),
    "tenant's token with too much": Reader(name="tt", role="admin", tenant="ligue", scopes=WRITES),
}
TENANTS = {"tenant's viewer", "tenant's admin", "tenant's token with too much"}
READING = {*READERS} - {"token that only writes"}
TEAM = READING - TENANTS
SEEN: dict[Audience, set[str]] = {
    "everyone": {*READERS},
    "known": {*READERS},
    "boxes": set(),
    "neighbours": {"neighbour"},
    "readers": READING,
    "team": TEAM,
    "operators": TEAM - {"viewer", "viewer's token with too much"},
    "writers": {"operator's token", "token that only writes"},
    "admins": {"admin"},
}


@pytest.mark.parametrize("audience", SEEN)
@pytest.mark.parametrize("name", READERS)
def test_reader_sees_what_is_for_them_alone(name: str, audience: Audience) -> None:
    assert may_see(READERS[name], audience) is (name in SEEN[audience])


def test_tokens_of_viewers_and_tenants_read_alone() -> None:
    for role, tenant in product(("viewer", "operator", "admin"), (None, "ligue")):
        assert ("write" in scopes_of(role, tenant)) is (role != "viewer" and tenant is None)


@pytest.mark.parametrize("role", ["viewer", "operator", "admin"])
@pytest.mark.parametrize(
    ("has_totp", "one_time", "second_factor"), list(product((False, True), (False, True), (False, True)))
)
def test_way_in_asks_for_what_is_missing_in_order(
    role: str, has_totp: bool, one_time: bool, second_factor: bool
) -> None:
    missing = {
        "code": has_totp and not second_factor,
        "password": one_time,
        "totp": role == "admin" and not second_factor,
    }
    expected = next((step for step, is_missing in missing.items() if is_missing), None)
    assert next_step(Standing(role, has_totp, one_time, second_factor)) == expected


NOW = datetime(2026, 11, 26, 12, 0, 7, tzinfo=UTC)
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def test_code_of_the_present_step_and_its_neighbours_is_taken() -> None:
    present = int(NOW.timestamp()) // totp.PERIOD_S
    for away in range(-3, 4):
        code = pyotp.TOTP(SECRET).at((present + away) * totp.PERIOD_S)
        assert totp.step_of(SECRET, code, NOW, None) == (present + away if abs(away) <= 1 else None)


def test_code_that_was_used_or_is_before_one_that_was_is_refused() -> None:
    present = int(NOW.timestamp()) // totp.PERIOD_S
    for away, used in product(range(-1, 2), range(-2, 3)):
        code = pyotp.TOTP(SECRET).at((present + away) * totp.PERIOD_S)
        assert (totp.step_of(SECRET, code, NOW, present + used) is None) is (away <= used)


@given(st.text(max_size=20))
def test_code_that_is_no_code_is_refused(text: str) -> None:
    if "".join(text.split()) not in {pyotp.TOTP(SECRET).at(NOW + timedelta(seconds=30 * n)) for n in (-1, 0, 1)}:
        assert totp.step_of(SECRET, text, NOW, None) is None


def test_vector_of_the_standard_is_met() -> None:
    # RFC 6238, appendix B: SHA-1, of eight digits; ours are the last six of them.
    secret = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")):
        assert totp.step_of(secret, code, datetime.fromtimestamp(seconds, UTC), None) == seconds // 30


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("", "short"),
        ("eleven char", "short"),
        ("twelve chars", None),
        ("e\u0301" * 11, "short"),
        ("a b a b a b a b", "plain"),
        ("x1y2z3" * 34, "long"),
        ("I am MARIE, from Brest", "name"),
        ("correct horse battery", None),
    ],
)
def test_password_is_judged_by_what_makes_it_weak(password: str, fault: str | None) -> None:
    assert fault_of(password, "marie") == fault


@given(st.text(max_size=40))
def test_place_to_go_on_to_is_a_path_of_ours(asked: str) -> None:
    found = local_path(asked)
    assert found.startswith("/") and not found.startswith(("//", "/\\"))
    assert found in (asked, "/")


@pytest.mark.parametrize("asked", ["/", "/sites?q=x&sort=-cpu", "/sites/brest#figures", "/alerts"])
def test_place_of_ours_is_kept(asked: str) -> None:
    assert local_path(asked) == asked


def test_addresses_of_one_household_are_one() -> None:
    assert neighbourhood("2001:db8:1:2:3::4") == neighbourhood("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert neighbourhood("2001:db8:1:3::1") != neighbourhood("2001:db8:1:2::1")
    assert neighbourhood("192.0.2.1") != neighbourhood("192.0.2.2")
    assert neighbourhood("") == ""


def test_attempts_from_where_somebody_always_comes_count_apart() -> None:
    near, far = buckets("marie", "192.0.2.1", known=True), buckets("marie", "203.0.113.1", known=False)
    assert {bucket.key for bucket in near}.isdisjoint(bucket.key for bucket in far)
    assert buckets("marie", "203.0.113.2", known=False)[0] == far[0], "all others count together"
    for bucket in (*near, *far):
        assert not is_full([(bucket, bucket.most - 1)])
        assert is_full([(bucket, bucket.most)])


@given(st.text(max_size=30))
def test_name_is_found_however_it_is_typed(name: str) -> None:
    assert folded(f" {name} ".upper()) == folded(name.upper())
    assert "\0" not in folded(name)
