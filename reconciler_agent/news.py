"""News of the control plane: a head, what it was published under, and the manifest that it names, each verified."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from reconciler_agent.core.trust import (
    MAX_MANIFEST_BYTES,
    MAX_ROOT_STEPS,
    TrustState,
    accept_head,
    accept_manifest,
    accept_release_list,
    accept_root,
    claims,
    current_head,
    trusted_root,
)
from reconciler_agent.errors import NetworkTrouble, TrustRefused
from reconciler_agent.observe import SystemClock
from schemas.names import Digest, SiteId, digest_of


class ControlPlane(Protocol):
    """Where trust documents and manifests come from; nothing of it is believed unverified."""

    def trust(self, version: int) -> bytes | None:
        """The trust root of that version, or None."""

    def release_list(self, version: int) -> bytes | None:
        """The release list of that version, or None."""

    def blob(self, digest: Digest, max_bytes: int) -> bytes:
        """A blob by its digest."""


class Accepted(NamedTuple):
    """What is trusted now, and the bytes of the manifest that belongs to it."""

    trust: TrustState
    body: bytes | None


class News:
    """Takes heads for `site`. `keep` is called with trust that must survive even if the rest cannot be had."""

    def __init__(self, control_plane: ControlPlane, site: SiteId, clock: SystemClock) -> None:
        self._control_plane = control_plane
        self._site = site
        self._clock = clock

    def take(
        self, trust: TrustState, body: bytes | None, envelope: bytes, keep: Callable[[TrustState], None]
    ) -> Accepted:
        """The state with the head in `envelope`. TrustRefused: not to be believed; NetworkTrouble: not all came."""
        now, synchronised = self._clock.now(), self._clock.synchronised()
        claimed = claims(envelope)
        trust = self._walk_roots(trust, claimed.root_version, keep)
        if claimed.release_list_version > trust.release_list_version or trust.release_list is None:
            listed = self._control_plane.release_list(claimed.release_list_version)
            if listed is None:
                raise NetworkTrouble(f"cannot fetch release list {claimed.release_list_version}: there is none")
            trust = accept_release_list(trust, listed, now, synchronised)
            keep(trust)
        trust = accept_head(trust, envelope, now, synchronised, self._site)
        return Accepted(trust, self._body(trust, body))

    def _walk_roots(self, trust: TrustState, claimed: int, keep: Callable[[TrustState], None]) -> TrustState:
        """Follow the trust roots one by one; a claim alone moves nothing, each root is verified by the one before."""
        for _ in range(MAX_ROOT_STEPS):
            version = trusted_root(trust).version
            document = self._control_plane.trust(version + 1) if version < claimed else None
            if document is None:
                break
            trust = accept_root(trust, document)
            keep(trust)
        return trust

    def _body(self, trust: TrustState, body: bytes | None) -> bytes | None:
        """The manifest of the accepted head; the one at hand while it is the same, or while the site is not active."""
        head = current_head(trust)
        if head is None:
            raise TrustRefused("cannot accept the head: it is gone")  # accept_head has just put it there
        if head.state != "active" or (body is not None and digest_of(body) == head.manifest):
            return body
        fetched = self._control_plane.blob(head.manifest, MAX_MANIFEST_BYTES)
        accept_manifest(head, fetched)
        return fetched
