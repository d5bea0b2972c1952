"""Attacks on a box by whoever holds the wire, the control plane or a stolen key; each must change nothing."""

import base64
import json
from datetime import timedelta

import msgspec
import pytest

from reconciler_agent.core import trust
from reconciler_agent.errors import DigestMismatch, TrustRefused
from schemas.manifest import HEAD_TYPE, ListRef
from schemas.names import digest_of
from schemas.trust import RELEASE_LIST_TYPE, ROOT_TYPE, AllowedRelease
from tests.support.trust_world import (
    BODY,
    DAY,
    EVE,
    GENERATION,
    LIST,
    MANIFEST,
    MANIFEST2,
    NOW,
    RELEASE,
    RELEASE2,
    ROOT,
    ROOT2,
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
    sign_text,
)

EVIL = digest_of(b"evil")


def refuse_head(state: trust.TrustState, envelope: bytes, why: str) -> None:
    with pytest.raises(TrustRefused, match=why):
        trust.accept_head(state, envelope, NOW, True, SITE)


# Heads


def test_rollback_of_head_is_refused() -> None:
    refuse_head(settled(), head(generation=GENERATION - 1), "goes back from generation")


def test_freeze_by_an_expired_head_is_refused() -> None:
    refuse_head(listed(), head(issued_at=NOW - 8 * DAY, expires_at=NOW - DAY), "expired")


def test_head_of_another_site_is_refused() -> None:
    refuse_head(listed(), head(site="vannes-rc"), "for site 'vannes-rc'")


def test_same_generation_with_another_digest_is_an_alarm_of_its_own() -> None:
    refuse_head(settled(), head(manifest=EVIL), "somebody signs two")


def test_same_generation_with_another_state_is_an_alarm_of_its_own() -> None:
    refuse_head(settled(), head(state="retired"), "somebody signs two")


@pytest.mark.parametrize(
    "changed",
    [
        {"issued_at": NOW + 2 * DAY, "expires_at": NOW + 9 * DAY},
        {"generation": GENERATION + 2 * 86_400_000},
        {"generation": 2**53 - 1},
    ],
)
def test_head_from_the_future_is_refused(changed: dict[str, object]) -> None:
    refuse_head(listed(), head(**changed), "in the future")


@pytest.mark.parametrize("key", [ROOT, RELEASE, EVE])
def test_head_signed_by_the_wrong_role_is_refused(key: object) -> None:
    refuse_head(listed(), head(key), "0 of the 1 signatures")


def test_threshold_met_by_one_key_twice_is_refused() -> None:
    state = listed(sign_root(root(manifest=role(MANIFEST, MANIFEST2, threshold=2))))
    opened = json.loads(head(MANIFEST))
    opened["signatures"] *= 2
    refuse_head(state, json.dumps(opened).encode(), "1 of the 2 signatures")
    assert trust.accept_head(state, head(MANIFEST, MANIFEST2), NOW, True, SITE).high_water == GENERATION


def test_head_signed_as_another_document_is_refused() -> None:
    payload = msgspec.json.encode(head_document())
    refuse_head(listed(), sign_text(payload, ROOT_TYPE, [MANIFEST]), "signed as")


def test_unknown_critical_field_is_refused() -> None:
    payload = json.loads(msgspec.json.encode(head_document())) | {"critical": ["leash"], "leash": "short"}
    refuse_head(listed(), sign_text(json.dumps(payload).encode(), HEAD_TYPE, [MANIFEST]), "critical field 'leash'")


def test_unknown_field_that_is_not_critical_is_ignored() -> None:
    payload = json.loads(msgspec.json.encode(head_document())) | {"leash": "short"}
    envelope = sign_text(json.dumps(payload).encode(), HEAD_TYPE, [MANIFEST])
    assert trust.accept_head(listed(), envelope, NOW, True, SITE).high_water == GENERATION


def test_mix_of_head_and_another_release_list_is_refused() -> None:
    refuse_head(listed(), head(release_list=ListRef(version=1, sha256=EVIL)), "another release list")


def test_head_under_a_list_that_is_withheld_is_refused() -> None:
    refuse_head(listed(), head(release_list=ListRef(version=2, sha256=EVIL)), "not in force")


def test_head_under_a_root_that_is_withheld_is_refused() -> None:
    refuse_head(listed(), head(root_version=2), "only 1 is known")


# Bytes


def test_oversized_head_is_refused_before_it_is_decoded() -> None:
    refuse_head(listed(), head() + b" " * (16 << 10), "more than 16384")


@pytest.mark.parametrize("tail", [b"x", b"{}", b"\x00", head()])
def test_trailing_garbage_is_refused(tail: bytes) -> None:
    refuse_head(listed(), head() + tail, "does not parse|more than")


def test_non_canonical_base64_is_refused() -> None:
    opened = json.loads(sign_text(msgspec.json.encode(head_document()) + b" ", HEAD_TYPE, [MANIFEST]))
    for padding in range(3):  # some length of payload leaves bits of the last digit unused
        payload = msgspec.json.encode(head_document()) + b" " * padding
        text = base64.b64encode(payload).decode()
        if text.endswith("="):
            break
    opened["payload"] = text.rstrip("=")[:-1] + chr(ord(text.rstrip("=")[-1]) + 1) + "=" * text.count("=")
    assert base64.b64decode(opened["payload"]) == payload
    refuse_head(listed(), json.dumps(opened).encode(), "not canonical")


@pytest.mark.parametrize("alphabet", [b"-_", b"\n"])
def test_base64_of_another_alphabet_is_refused(alphabet: bytes) -> None:
    opened = json.loads(head())
    opened["payload"] = opened["payload"][:8] + alphabet.decode() + opened["payload"][8:]
    refuse_head(listed(), json.dumps(opened).encode(), "base64")


def test_duplicate_keys_in_what_is_signed_are_refused() -> None:
    payload = msgspec.json.encode(head_document())[:-1] + b',"generation":%d}' % (GENERATION + 1)
    refuse_head(listed(), sign_text(payload, HEAD_TYPE, [MANIFEST]), "twice")


def test_duplicate_keys_in_the_envelope_are_refused() -> None:
    refuse_head(listed(), head()[:-1] + b',"payloadType":"%b"}' % HEAD_TYPE.encode(), "twice")


def test_deep_nesting_is_refused() -> None:
    payload = msgspec.json.encode(head_document())[:-1] + b',"x":' + b"[" * 100 + b"]" * 100 + b"}"
    refuse_head(listed(), sign_text(payload, HEAD_TYPE, [MANIFEST]), "deeper")


def test_manifest_whose_digest_differs_is_refused() -> None:
    for body in (BODY + b" ", BODY.replace(b"60", b"61"), b""):
        with pytest.raises(DigestMismatch):
            trust.accept_manifest(head_document(), body)


def test_manifest_with_an_unknown_critical_field_is_refused() -> None:
    body = json.dumps(json.loads(BODY) | {"critical": ["escape"]}).encode()
    with pytest.raises(TrustRefused, match="escape"):
        trust.accept_manifest(head_document(manifest=digest_of(body)), body)


@pytest.mark.parametrize("path", ["videos/../server/server.js", "/etc/passwd", "server/server.js", "videos/a/../../x"])
def test_manifest_that_leaves_the_videos_folder_is_refused(path: str) -> None:
    content = [{"path": path, "digest": EVIL, "size_bytes": 1}]
    body = json.dumps(json.loads(BODY) | {"content": content}).encode()
    with pytest.raises(TrustRefused):
        trust.accept_manifest(head_document(manifest=digest_of(body)), body)


# Releases


def test_release_that_is_not_on_the_list_cannot_run() -> None:
    for version, tree in (("2.2.0", EVIL), ("6.6.6", TREE)):
        with pytest.raises(TrustRefused, match="does not name it"):
            trust.require_release_allowed(listed(), version, tree, NOW, True)


def test_agent_release_on_the_list_does_not_allow_it_as_an_application() -> None:
    only_agent = [AllowedRelease(kind="agent", version="2.2.0", tree=TREE)]
    state = trust.accept_release_list(listed(), release_list(2, releases=only_agent), NOW, True)
    with pytest.raises(TrustRefused):
        trust.require_release_allowed(state, "2.2.0", TREE, NOW, True)


def test_no_release_runs_without_a_list() -> None:
    with pytest.raises(TrustRefused, match="no release list"):
        trust.require_release_allowed(provisioned(), "2.2.0", TREE, NOW, True)


def test_taken_over_control_plane_cannot_sign_a_release_list() -> None:
    evil = release_list(2, MANIFEST, releases=[AllowedRelease(kind="app", version="6.6.6", tree=EVIL)])
    with pytest.raises(TrustRefused, match="0 of the 1"):
        trust.accept_release_list(listed(), evil, NOW, True)


def test_release_list_does_not_go_back() -> None:
    state = trust.accept_release_list(listed(), release_list(3), NOW, True)
    for older in (LIST, release_list(2)):
        with pytest.raises(TrustRefused, match="goes back"):
            trust.accept_release_list(state, older, NOW, True)


def test_two_lists_of_one_version_are_refused() -> None:
    with pytest.raises(TrustRefused, match="two different lists"):
        trust.accept_release_list(listed(), release_list(1, releases=[]), NOW, True)


def test_frozen_release_list_is_refused() -> None:
    with pytest.raises(TrustRefused, match="expired"):
        trust.accept_release_list(listed(), release_list(2, expires_at=NOW - DAY), NOW, True)


def test_oversized_release_list_is_refused() -> None:
    with pytest.raises(TrustRefused, match="more than"):
        trust.accept_release_list(listed(), LIST + b" " * (1 << 20), NOW, True)


# Roots


def test_root_rotation_is_walked_one_by_one() -> None:
    state = provisioned()
    state = trust.accept_root(state, sign_root(root(2, root=role(ROOT2)), ROOT, ROOT2))
    state = trust.accept_root(state, sign_root(root(3, root=role(ROOT2), manifest=role(MANIFEST2)), ROOT2))
    assert trust.trusted_root(state).version == 3


def test_skipped_root_is_refused() -> None:
    with pytest.raises(TrustRefused, match="cannot follow"):
        trust.accept_root(provisioned(), sign_root(root(3)))


def test_root_going_back_is_refused() -> None:
    state = trust.accept_root(provisioned(), sign_root(root(2)))
    for version in (1, 2):
        with pytest.raises(TrustRefused, match="cannot follow"):
            trust.accept_root(state, sign_root(root(version)))


@pytest.mark.parametrize("keys", [(ROOT2,), (RELEASE,), (MANIFEST,), (EVE,)])
def test_root_that_the_old_root_did_not_sign_is_refused(keys: tuple[object, ...]) -> None:
    with pytest.raises(TrustRefused, match="0 of the 1"):
        trust.accept_root(provisioned(), sign_root(root(2, root=role(ROOT2)), *keys))


def test_root_that_its_own_new_keys_did_not_sign_is_refused() -> None:
    with pytest.raises(TrustRefused, match="0 of the 1"):
        trust.accept_root(provisioned(), sign_root(root(2, root=role(ROOT2)), ROOT))


def test_root_that_gives_one_key_two_roles_is_refused() -> None:
    with pytest.raises(TrustRefused, match="share a key"):
        trust.accept_root(provisioned(), sign_root(root(2, release=role(MANIFEST))))


def test_expired_root_in_the_middle_of_a_walk_does_not_matter() -> None:
    state = trust.accept_root(provisioned(), sign_root(root(2, expires_at=NOW - DAY)))
    state = trust.accept_root(state, sign_root(root(3)))
    assert trust.accept_release_list(state, LIST, NOW, True).release_list == LIST


def test_nothing_is_accepted_under_an_expired_last_root() -> None:
    state = trust.accept_root(listed(), sign_root(root(2, expires_at=NOW - DAY)))
    refuse_head(state, head(), "trust root 2: it expired")
    with pytest.raises(TrustRefused, match="trust root 2: it expired"):
        trust.accept_release_list(state, release_list(2), NOW, True)


# Stolen keys


def test_fast_forward_of_heads_is_recovered_by_rotation() -> None:
    """The thief of the manifest key burns all generations on a box without a clock; root takes the key away."""
    far = NOW + 3650 * DAY
    stolen = head(generation=2**53 - 1, issued_at=far, expires_at=far + 7 * DAY)
    state = trust.accept_head(listed(), stolen, NOW, False, SITE)
    refuse_head(state, head(generation=GENERATION + 1), "expired|goes back")

    state = trust.accept_root(state, sign_root(root(2, manifest=role(MANIFEST2))))
    assert (state.high_water, state.high_water_manifest) == (0, None)
    assert state.time_floor_at < NOW
    state = trust.accept_head(state, head(MANIFEST2, root_version=2), NOW, False, SITE)
    assert state.high_water == GENERATION
    refuse_head(state, head(MANIFEST, generation=GENERATION + 1), "0 of the 1")


def test_fast_forward_of_release_lists_is_recovered_by_rotation() -> None:
    far = NOW + timedelta(days=3650)
    stolen = release_list(2**31 - 1, issued_at=far, expires_at=far + 90 * DAY)
    state = trust.accept_release_list(listed(), stolen, NOW, False)
    state = trust.accept_root(state, sign_root(root(2, release=role(RELEASE2))))
    assert (state.release_list, state.release_list_version) == (None, 0)
    assert state.time_floor_at < NOW
    again = release_list(2, RELEASE2)
    assert trust.accept_release_list(state, again, NOW, False).release_list == again


def test_release_list_of_a_stolen_key_falls_with_the_key() -> None:
    evil = release_list(2, RELEASE, releases=[AllowedRelease(kind="app", version="6.6.6", tree=EVIL)])
    state = trust.accept_release_list(listed(), evil, NOW, True)
    trust.require_release_allowed(state, "6.6.6", EVIL, NOW, True)
    state = trust.accept_root(state, sign_root(root(2, release=role(RELEASE2))))
    with pytest.raises(TrustRefused, match="no release list"):
        trust.require_release_allowed(state, "6.6.6", EVIL, NOW, True)


def test_rotated_away_key_cannot_replay_its_lists() -> None:
    state = trust.accept_root(listed(), sign_root(root(2, release=role(RELEASE2))))
    with pytest.raises(TrustRefused, match="0 of the 1"):
        trust.accept_release_list(state, LIST, NOW, True)


def test_release_list_payload_signed_as_a_head_is_refused() -> None:
    payload = json.loads(json.dumps({"version": 2}))
    with pytest.raises(TrustRefused, match="signed as"):
        trust.accept_release_list(listed(), sign_text(json.dumps(payload).encode(), HEAD_TYPE, [RELEASE]), NOW, True)
    assert RELEASE_LIST_TYPE != HEAD_TYPE
