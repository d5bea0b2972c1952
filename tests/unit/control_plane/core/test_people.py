"""Who may see what: every reader against every audience."""

import pytest

from control_plane.core.people import NEIGHBOUR, Audience, Reader, may_see

READERS = {
    "neighbour": NEIGHBOUR,
    "viewer": Reader(name="v"),
    "operator": Reader(name="o", role="operator"),
    "admin": Reader(name="a", role="admin"),
    "tenant's viewer": Reader(name="tv", tenant="ligue"),
    "tenant's admin": Reader(name="ta", role="admin", tenant="ligue"),
}
TEAM = {"neighbour", "viewer", "operator", "admin"}
SEEN: dict[Audience, set[str]] = {
    "everyone": {*READERS},
    "readers": {*READERS},
    "team": TEAM,
    "admins": {"admin"},
}


@pytest.mark.parametrize("audience", SEEN)
@pytest.mark.parametrize("name", READERS)
def test_reader_sees_what_is_for_them_alone(name: str, audience: Audience) -> None:
    assert may_see(READERS[name], audience) is (name in SEEN[audience])
