"""What a box believes: heads by every combination of what they may claim, rotations, and time without a clock."""

from dataclasses import dataclass
from datetime import timedelta
from itertools import product

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler_agent.core import trust
from reconciler_agent.errors import TrustRefused
from schemas.manifest import ListRef
from schemas.names import digest_of
from tests.support.trust_world import (
    BODY,
    BUILD,
    DAY,
    GENERATION,
    LIST,
    MANIFEST,
    MANIFEST2,
    NOW,
    RELEASE,
    RELEASE2,
    SITE,
    TREE,
    head,
    head_document,
    listed,
    provisioned,
    release_list,
    role,
    root,
    settled,
    sign_root,
)

OTHER = digest_of(b"another manifest")


@dataclass(frozen=True)
class Case:
    """A head offered to a box that has accepted GENERATION, and what must come of it."""

    step: int
    same_manifest: bool
    own_site: bool
    expired: bool
    synchronised: bool

    @property
    def accepted(self) -> bool:
        forward = self.step > 0 or (self.step == 0 and self.same_manifest)
        return forward and self.own_site and not (self.expired and self.synchronised)


CASES = [Case(*factors) for factors in product((-1, 0, 1), *[(False, True)] * 4)]


@pytest.mark.parametrize("case", CASES)
def test_head_is_accepted_exactly_when_every_rule_holds(case: Case) -> None:
    state = settled()
    offered = head(
        generation=GENERATION + case.step,
        manifest=digest_of(BODY) if case.same_manifest else OTHER,
        site=SITE if case.own_site else "vannes-rc",
        issued_at=NOW - 30 * DAY if case.expired else NOW,
        expires_at=NOW - DAY if case.expired else NOW + 7 * DAY,
    )
    # The box was cut off before NOW: its floor lies at the first head's issue.
    state = msgspec.structs.replace(state, floor=trust.TimeFloor(own_at=BUILD))
    try:
        after = trust.accept_head(state, offered, NOW, case.synchronised, SITE)
    except TrustRefused:
        assert not case.accepted
    else:
        assert case.accepted
        assert after.high_water == GENERATION + max(case.step, 0)


def test_state_survives_being_written_and_read() -> None:
    state = settled()
    assert msgspec.json.decode(msgspec.json.encode(state), type=trust.TrustState) == state


def test_accepted_bytes_are_the_bytes_that_are_kept() -> None:
    state = settled()
    assert (state.head, state.release_list) == (head(), LIST)
    assert trust.current_head(state) == head_document()


def test_renewed_head_replaces_the_one_that_runs_out() -> None:
    renewed = head(issued_at=NOW, expires_at=NOW + 8 * DAY)
    assert trust.accept_head(settled(), renewed, NOW, True, SITE).head == renewed


def test_older_renewal_of_the_same_head_changes_nothing() -> None:
    state = settled()
    older = head(issued_at=NOW - DAY, expires_at=NOW + 6 * DAY)
    assert trust.accept_head(state, older, NOW, True, SITE) == state


def test_refused_head_leaves_what_was_accepted() -> None:
    state = settled()
    with pytest.raises(TrustRefused):
        trust.accept_head(state, head(generation=1), NOW, True, SITE)
    assert trust.current_head(state) == head_document()


def test_expired_head_goes_on_standing_and_is_stale() -> None:
    state, later = settled(), NOW + 60 * DAY
    standing = trust.current_head(state)
    assert not trust.is_stale(standing, state, NOW, True)
    assert trust.is_stale(standing, state, later, True)
    assert standing == head_document()


def test_same_release_list_again_changes_nothing() -> None:
    assert trust.accept_release_list(listed(), LIST, NOW, True) == listed()


def test_newer_release_list_replaces_the_older() -> None:
    newer = release_list(5)
    state = trust.accept_release_list(listed(), newer, NOW, True)
    assert (state.release_list, state.release_list_version) == (newer, 5)


def test_head_under_an_older_list_than_ours_is_accepted() -> None:
    state = trust.accept_release_list(listed(), release_list(2), NOW, True)
    assert trust.accept_head(state, head(), NOW, True, SITE).high_water == GENERATION


def test_listed_release_is_allowed() -> None:
    trust.require_release_allowed(listed(), "2.2.0", TREE, NOW, True)


@pytest.mark.parametrize("synchronised", [True, False])
def test_expired_list_allows_nothing_only_where_time_is_known(synchronised: bool) -> None:
    later = NOW + 365 * DAY
    if synchronised:
        with pytest.raises(TrustRefused, match="expired"):
            trust.require_release_allowed(listed(), "2.2.0", TREE, later, synchronised)
    else:
        trust.require_release_allowed(listed(), "2.2.0", TREE, later, synchronised)


def test_rotation_that_keeps_the_keys_keeps_mark_list_and_floor() -> None:
    state = settled()
    after = trust.accept_root(state, sign_root(root(2)))
    assert (after.high_water, after.release_list) == (state.high_water, LIST)
    assert after.floor.manifest_at == state.floor.manifest_at


def test_rotation_that_adds_a_key_keeps_the_mark() -> None:
    after = trust.accept_root(settled(), sign_root(root(2, manifest=role(MANIFEST, MANIFEST2))))
    assert after.high_water == GENERATION


def test_rotation_that_removes_another_key_than_the_head_s_keeps_the_mark() -> None:
    state = settled(sign_root(root(manifest=role(MANIFEST, MANIFEST2))))
    assert trust.accept_root(state, sign_root(root(2, manifest=role(MANIFEST)))).high_water == GENERATION


def test_rotation_that_only_raises_the_threshold_drops_the_list_but_not_its_mark() -> None:
    after = trust.accept_root(listed(), sign_root(root(2, release=role(RELEASE, RELEASE2, threshold=2))))
    assert (after.release_list, after.release_list_version) == (None, 1)


def test_head_whose_key_was_rotated_away_stands_until_the_next() -> None:
    after = trust.accept_root(settled(), sign_root(root(2, manifest=role(MANIFEST2))))
    assert trust.current_head(after) == head_document()
    newer = head(MANIFEST2, generation=5)
    assert trust.accept_head(after, newer, NOW, True, SITE).high_water == 5


def test_claims_name_what_to_fetch_before_anything_is_verified() -> None:
    claims = trust.claims(head(root_version=7, release_list=ListRef(version=9, sha256=OTHER)))
    assert (claims.root_version, claims.release_list_version) == (7, 9)


@pytest.mark.parametrize("case", CASES)
def test_head_that_is_passed_over_for_its_age_would_have_been_refused(case: Case) -> None:
    generation = GENERATION + case.step
    expires_at = NOW - timedelta(seconds=1) if case.expired else NOW + DAY
    claimed = trust.claims(head(generation=generation, issued_at=NOW - DAY, expires_at=expires_at))
    passed_over = trust.is_old(settled(), claimed, NOW, case.synchronised)
    assert passed_over == (case.step < 0 or (case.expired and case.synchronised))
    assert not (passed_over and case.accepted)


# Time


def test_floor_is_the_latest_of_what_is_known() -> None:
    assert provisioned().time_floor_at == NOW - 30 * DAY
    assert listed().time_floor_at == NOW - DAY
    assert settled().time_floor_at == NOW - timedelta(hours=1)


def test_unsynchronised_clock_is_not_believed() -> None:
    state = trust.pass_time(settled(), 60, NOW + 900 * DAY, False)
    assert state.time_floor_at == NOW - timedelta(hours=1) + timedelta(seconds=60)


def test_synchronised_clock_lifts_the_floor() -> None:
    assert trust.pass_time(settled(), 0, NOW + DAY, True).time_floor_at == NOW + DAY


def test_floor_expires_a_head_where_the_clock_may_not() -> None:
    state = trust.pass_time(listed(), 8 * 86_400, NOW, False)
    with pytest.raises(TrustRefused, match="expired"):
        trust.accept_head(state, head(), NOW, False, SITE)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e7), st.integers(-3000, 3000), st.booleans())))
def test_floor_goes_back_to_a_synchronised_clock_alone_and_never_below_what_was_signed(
    steps: list[tuple[float, int, bool]],
) -> None:
    state = settled()
    signed_at = NOW - timedelta(hours=1)
    for elapsed_s, days, synchronised in steps:
        after = trust.pass_time(state, elapsed_s, NOW + days * DAY, synchronised)
        signed_at += timedelta(seconds=elapsed_s)
        least = NOW + days * DAY if synchronised else state.time_floor_at
        assert after.time_floor_at >= max(least, signed_at - timedelta(milliseconds=1))
        state = after


def test_synchronised_clock_that_was_years_ahead_and_is_right_again_is_believed_again() -> None:
    ahead = trust.pass_time(settled(), 60, NOW + 3650 * DAY, True)
    with pytest.raises(TrustRefused, match="expired"):
        trust.accept_head(ahead, head(generation=GENERATION + 1), NOW + 3650 * DAY, True, SITE)
    right = trust.pass_time(ahead, 60, NOW, True)
    assert trust.accept_head(right, head(generation=GENERATION + 1), NOW, True, SITE).high_water == GENERATION + 1


@settings(deadline=None)
@given(st.integers(1, 2**53 - 1), st.integers(1, 2**53 - 1))
def test_generation_never_goes_back(first: int, second: int) -> None:
    state = listed()
    accepted = 0
    for generation in (first, second):
        try:
            state = trust.accept_head(state, head(generation=generation), NOW, False, SITE)
        except TrustRefused:
            assert generation < accepted
        accepted = max(accepted, generation)
        assert state.high_water == accepted
