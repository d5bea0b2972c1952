"""What a box believes: envelopes and what it trusted so far, to what it trusts now, or TrustRefused.

Invariants, by clause of `docs/protocol.md` and of the TUF specification (1.0.33):
- The root is replaced by exactly its successor, signed by both (5.3.4, 5.3.5); its expiry counts on the last (5.3.10).
- Nothing is accepted below what was: the release list's version, the head's generation; neither twice with other bytes.
- A rotation that takes away the key which set a mark takes the mark away too, and its part of the time floor (5.3.11).
- What has passed by the floor has passed; beyond that, only a synchronised clock makes anything expire.
- What was accepted stays, however old: refusing a document never changes the state.

The bytes that were verified are the bytes that are kept. Nothing here fetches, reads a clock or writes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Final, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from reconciler_agent.errors import DigestMismatch, TrustRefused
from schemas.desired import SiteState
from schemas.dsse import Refused, decode_base64, open_envelope, strict_json
from schemas.manifest import HEAD_TYPE, Instant, SiteHead, SiteManifest
from schemas.names import Digest, SiteId, Version, digest_of
from schemas.trust import (
    MAX_DOCUMENT_BYTES,
    MAX_HEAD_BYTES,
    RELEASE_LIST_TYPE,
    ReleaseList,
    RoleName,
    TrustRoot,
    read_head,
    read_release_list,
    read_root,
    role_keys,
)

T = TypeVar("T", bound=Struct)

MAX_ROOT_STEPS: Final = 64
"""How many roots a box walks in one poll at most."""
MAX_MANIFEST_BYTES: Final = 4 << 20
AHEAD_LIMIT: Final = timedelta(days=1)
"""How far a head may lie ahead of a synchronised clock."""
MAX_REASON: Final = 300


class TimeFloor(Struct, frozen=True, kw_only=True):
    """The time that it is at least, in parts, so that a part can be taken back with the key that set it.

    `own_at`: the agent's build date, then what a synchronised clock said last. The others: the newest accepted
    `issued_at` of each role's documents. Every part also grows by the time that passes (`pass_time`).
    """

    own_at: Instant
    root_at: Instant | None = None
    release_at: Instant | None = None
    manifest_at: Instant | None = None

    @property
    def at(self) -> datetime:
        """The floor: the latest of its parts."""
        return max(part for part in (self.own_at, self.root_at, self.release_at, self.manifest_at) if part is not None)


class TrustState(Struct, frozen=True, kw_only=True):
    """Everything about trust that must survive a power cut; kept by `state.py`, changed only by this module.

    `high_water` is the generation below which no head is accepted; `head` may be older than a mark that was reset.
    """

    root: bytes
    release_list: bytes | None = None
    release_list_version: int = 0
    head: bytes | None = None
    high_water: int = 0
    high_water_manifest: Digest | None = None
    high_water_state: SiteState | None = None
    floor: TimeFloor

    @property
    def time_floor_at(self) -> datetime:
        """The time that it is at least."""
        return self.floor.at


class Claims(Struct, frozen=True, kw_only=True):
    """What a head says it was published under; not verified, good only to know what to fetch first, if anything."""

    root_version: int
    release_list_version: int
    generation: int
    expires_at: Instant


def first_state(provisioned_root: bytes, build_at: datetime) -> TrustState:
    """The state of a box that knows only the trust root that it was provisioned with; TrustRefused if it is unsound."""
    with _refusing("the provisioned trust root"):
        root = read_root(provisioned_root, None)
    return TrustState(root=provisioned_root, floor=TimeFloor(own_at=build_at, root_at=root.issued_at))


def pass_time(state: TrustState, elapsed_s: float, now: datetime, clock_synchronised: bool) -> TrustState:
    """The state after `elapsed_s` on the monotonic clock; a synchronised clock sets our own part of the floor to `now`.

    Also back: what it said before, years ahead, was wrong, and nothing would ever be accepted again. The parts that
    signed documents set stay where they are.
    """
    passed = timedelta(seconds=max(0.0, elapsed_s))
    old = state.floor
    own_at = now if clock_synchronised else old.own_at + passed
    return replace(
        state,
        floor=TimeFloor(
            own_at=own_at,
            root_at=old.root_at and old.root_at + passed,
            release_at=old.release_at and old.release_at + passed,
            manifest_at=old.manifest_at and old.manifest_at + passed,
        ),
    )


def latest_instant(state: TrustState, now: datetime, clock_synchronised: bool) -> datetime:
    """The latest instant that has surely passed: campaigns, expiries and certificates are judged by it."""
    return max(state.floor.at, now) if clock_synchronised else state.floor.at


def trusted_root(state: TrustState) -> TrustRoot:
    """The root that is trusted now."""
    with _refusing("the kept trust root"):
        return read_root(state.root, None)


def current_head(state: TrustState) -> SiteHead | None:
    """The newest head that was accepted; its key may have been rotated away since, its word still stands."""
    return None if state.head is None else _reread(state.head, HEAD_TYPE, SiteHead)


def current_release_list(state: TrustState) -> ReleaseList | None:
    """The release list that is in force; None when there was none yet, or its keys were rotated away."""
    return None if state.release_list is None else _reread(state.release_list, RELEASE_LIST_TYPE, ReleaseList)


def is_stale(head: SiteHead | None, state: TrustState, now: datetime, clock_synchronised: bool) -> bool:
    """Whether the head that is converged on (`current_head`) has expired: news has been missing for long."""
    return head is not None and head.expires_at <= latest_instant(state, now, clock_synchronised)


def claims(envelope: bytes) -> Claims:
    """What a head claims to be published under, before it is verified; TrustRefused when it is no head at all."""
    with _refusing("the head"):
        head = strict_json(decode_base64(open_envelope(envelope, MAX_HEAD_BYTES).payload), SiteHead)
    return Claims(
        root_version=head.root_version,
        release_list_version=head.release_list.version,
        generation=head.generation,
        expires_at=head.expires_at,
    )


def is_old(state: TrustState, claimed: Claims, now: datetime, clock_synchronised: bool) -> bool:
    """Whether a head would be refused for nothing but its age: below the mark, or expired.

    Where old ones lie about without any harm being meant (on a USB stick), they are passed over instead.
    """
    latest = latest_instant(state, now, clock_synchronised)
    return claimed.generation < state.high_water or claimed.expires_at <= latest


def accept_root(state: TrustState, envelope: bytes) -> TrustState:
    """The state with the next root. Expiry is not looked at here: the next head or list is refused under an old one."""
    old = trusted_root(state)
    with _refusing(f"trust root {old.version + 1}"):
        new = read_root(envelope, old)
    changed = replace(state, root=envelope, floor=replace(state.floor, root_at=_later(state.floor.root_at, new)))
    return _without_removed_head(_without_removed_list(changed, old, new), old, new)


def accept_release_list(state: TrustState, envelope: bytes, now: datetime, clock_synchronised: bool) -> TrustState:
    """The state with a newer release list; the very list that is in force is accepted again and changes nothing."""
    latest = latest_instant(state, now, clock_synchronised)
    root = _require_current_root(state, latest)
    with _refusing("the release list"):
        new = read_release_list(envelope, root)
        if new.version < state.release_list_version:
            raise Refused(f"it goes back from version {state.release_list_version} to {new.version}")
        if envelope == state.release_list:
            return state
        if new.version == state.release_list_version and state.release_list is not None:
            raise Refused(f"there are two different lists of version {new.version}")
        _require_unexpired(new.expires_at, latest)
    floor = replace(state.floor, release_at=_later(state.floor.release_at, new))
    return replace(state, release_list=envelope, release_list_version=new.version, floor=floor)


def accept_head(
    state: TrustState, envelope: bytes, now: datetime, clock_synchronised: bool, site: SiteId
) -> TrustState:
    """The state with a newer head, or with the same one renewed; an older renewal of the same head changes nothing.

    Roots and the release list that it names must have been accepted before (`claims` says which).
    """
    latest = latest_instant(state, now, clock_synchronised)
    root = _require_current_root(state, latest)
    with _refusing("the head"):
        head = read_head(envelope, root)
        if head.site != site:
            raise Refused(f"it is for site {head.site!r}, and this is {site!r}")
        _require_consistent(head, state, root)
        _require_forward(head, state)
        if clock_synchronised:
            _require_not_ahead(head, now)
        _require_unexpired(head.expires_at, latest)
    kept = current_head(state)
    if kept is not None and head.generation == state.high_water and head.issued_at < kept.issued_at:
        return state
    return replace(
        state,
        head=envelope,
        high_water=head.generation,
        high_water_manifest=head.manifest,
        high_water_state=head.state,
        floor=replace(state.floor, manifest_at=_later(state.floor.manifest_at, head)),
    )


def accept_manifest(head: SiteHead, body: bytes) -> SiteManifest:
    """The manifest that a head names; DigestMismatch when the bytes are others, TrustRefused if it is unreadable."""
    if len(body) > MAX_MANIFEST_BYTES or digest_of(body) != head.manifest:
        raise DigestMismatch(
            f"cannot accept the manifest: its {len(body)} bytes are not those of {head.manifest[:19]}…"
        )
    with _refusing("the manifest"):
        return strict_json(body, SiteManifest)


def require_release_allowed(
    state: TrustState,
    version: Version,
    tree: Digest,
    now: datetime,
    clock_synchronised: bool,
    *,
    kind: Literal["app", "agent"] = "app",
) -> None:
    """TrustRefused unless the release list in force names this very release of that kind, and has not expired.

    It is asked before a release is fetched, and before it is activated; going back to one that ran needs no new
    permission.
    """
    allowed = current_release_list(state)
    with _refusing(f"{'release' if kind == 'app' else kind} {version}"):
        if allowed is None:
            raise Refused("there is no release list that the trust root's release keys signed")
        if not any(r.kind == kind and r.version == version and r.tree == tree for r in allowed.releases):
            raise Refused(f"release list {allowed.version} does not name it with tree {tree[:19]}…")
        _require_unexpired(allowed.expires_at, latest_instant(state, now, clock_synchronised))


def _require_current_root(state: TrustState, latest: datetime) -> TrustRoot:
    root = trusted_root(state)
    with _refusing(f"anything under trust root {root.version}"):
        _require_unexpired(root.expires_at, latest)
    return root


def _require_consistent(head: SiteHead, state: TrustState, root: TrustRoot) -> None:
    """No mix of times: a head goes with the root and the list that it was published under, or with newer ones."""
    if head.root_version > root.version:
        raise Refused(f"it was published under trust root {head.root_version}, and only {root.version} is known here")
    named = head.release_list
    if named.version > state.release_list_version or state.release_list is None:
        raise Refused(f"it was published under release list {named.version}, which is not in force here")
    if named.version == state.release_list_version and digest_of(state.release_list) != named.sha256:
        raise Refused(f"it names another release list {named.version} than the one in force here")


def _require_forward(head: SiteHead, state: TrustState) -> None:
    """No way back, and one meaning a generation."""
    if head.generation < state.high_water:
        raise Refused(f"it goes back from generation {state.high_water} to {head.generation}")
    known = (state.high_water_manifest, state.high_water_state)
    if head.generation == state.high_water and (head.manifest, head.state) != known:
        raise Refused(f"generation {head.generation} already had another manifest or state: somebody signs two of them")


def _require_not_ahead(head: SiteHead, now: datetime) -> None:
    """Nothing from the future: neither its date nor its generation, which counts milliseconds since 1970."""
    limit = now + AHEAD_LIMIT
    if head.issued_at > limit or head.generation > limit.timestamp() * 1000:
        raise Refused(
            f"it was issued at {head.issued_at:%Y-%m-%dT%H:%MZ} as generation {head.generation}: in the future"
        )


def _require_unexpired(expires_at: datetime, latest: datetime) -> None:
    if expires_at <= latest:
        raise Refused(f"it expired at {expires_at:%Y-%m-%dT%H:%MZ}")


def _without_removed_list(state: TrustState, old: TrustRoot, new: TrustRoot) -> TrustState:
    """The release list falls when its signatures no longer suffice; its mark only when a key of it was taken away."""
    if state.release_list is None or _verifies_list(state.release_list, new):
        return state
    fallen = replace(state, release_list=None)
    if not _lost_a_key("release", old, new):
        return fallen
    return replace(fallen, release_list_version=0, floor=replace(state.floor, release_at=None))


def _without_removed_head(state: TrustState, old: TrustRoot, new: TrustRoot) -> TrustState:
    """The mark falls when the key that set it was taken away; the head stays, to be converged on until the next."""
    if state.head is None or not _lost_a_key("manifest", old, new) or _verifies_head(state.head, new):
        return state
    return replace(
        state,
        high_water=0,
        high_water_manifest=None,
        high_water_state=None,
        floor=replace(state.floor, manifest_at=None),
    )


def _lost_a_key(role: RoleName, old: TrustRoot, new: TrustRoot) -> bool:
    return not role_keys(old, role)[0].keys() <= role_keys(new, role)[0].keys()


def _verifies_list(envelope: bytes, root: TrustRoot) -> bool:
    try:
        read_release_list(envelope, root)
    except Refused:
        return False
    return True


def _verifies_head(envelope: bytes, root: TrustRoot) -> bool:
    try:
        read_head(envelope, root)
    except Refused:
        return False
    return True


def _later(part: datetime | None, document: TrustRoot | ReleaseList | SiteHead) -> datetime:
    return document.issued_at if part is None else max(part, document.issued_at)


def _reread(envelope: bytes, payload_type: str, kind: type[T]) -> T:
    """A document that was verified when it was accepted: its keys may be gone by now."""
    with _refusing("what was kept"):
        opened = open_envelope(envelope, MAX_DOCUMENT_BYTES)
        if opened.payloadType != payload_type:
            raise Refused(f"it is {opened.payloadType[:80]!r}")
        return strict_json(decode_base64(opened.payload), kind)


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    try:
        yield
    except Refused as problem:
        raise TrustRefused(f"cannot accept {what}: {str(problem)[:MAX_REASON]}") from None
