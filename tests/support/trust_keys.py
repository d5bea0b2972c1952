"""The trust of a test's fleet: keys of the three roles, and the documents that they sign, as changes to commit."""

from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas import dsse
from schemas.manifest import encode_canonical
from schemas.trust import RELEASE_LIST_TYPE, ROOT_TYPE, AllowedRelease, ReleaseList, Role, Roles, TrustRoot

Changes = dict[str, str | None]
"""Path in the fleet-state repository -> new text, or None to take the file away."""


class ShiftedClock:
    """The real clock, moved by `offset`."""

    def __init__(self) -> None:
        self.offset = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset


class TrustKeys:
    """The keys of the three roles, and the trust documents that they sign."""

    def __init__(self, clock: ShiftedClock) -> None:
        self.root, self.release, self.manifest = (Ed25519PrivateKey.generate() for _ in range(3))
        self._clock = clock
        self.root_version = 0
        self.list_version = 0
        self.commit_signers: list[str] = []
        self.allowed: dict[str, AllowedRelease] = {}

    def next_root(self, *, signed_by: tuple[Ed25519PrivateKey, ...] = ()) -> Changes:
        """The next version of the root, with the keys that are set now; a new root key needs the old one beside it."""
        self.root_version += 1
        lines = {
            role: dsse.public_line(key.public_key())
            for role, key in (("root", self.root), ("release", self.release), ("manifest", self.manifest))
        }
        ids = {role: dsse.key_id(line) for role, line in lines.items()}
        root = TrustRoot(
            version=self.root_version,
            issued_at=self._clock(),
            expires_at=self._clock() + timedelta(days=365),
            keys={ids[role]: line for role, line in lines.items()},
            roles=Roles(**{role: Role(keys=[key], threshold=1) for role, key in ids.items()}),
            commit_signers=self.commit_signers,
        )
        envelope = dsse.sign(ROOT_TYPE, encode_canonical(root), [self.root, *signed_by])
        return {f"trust/root-{self.root_version}.json": envelope.decode()}

    def next_list(self) -> Changes:
        """The next version of the release list, with what `allowed` holds."""
        self.list_version += 1
        listed = ReleaseList(
            version=self.list_version,
            issued_at=self._clock(),
            expires_at=self._clock() + timedelta(days=365),
            releases=[self.allowed[version] for version in sorted(self.allowed)],
        )
        envelope = dsse.sign(RELEASE_LIST_TYPE, encode_canonical(listed), [self.release])
        return {f"trust/release-list-{self.list_version}.json": envelope.decode()}
