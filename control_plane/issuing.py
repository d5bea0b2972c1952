"""Heads: what is said to each site, signed. Whoever signs, numbers first: a generation is never said twice."""

from collections.abc import Mapping, Set
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from msgspec import Struct

from control_plane.core.compile import CompiledFleet, CompiledSite
from control_plane.core.number import Bodies, Mark, number
from control_plane.signer import Signer
from control_plane.store.news import News, SignedHead
from control_plane.store.publications import Word
from schemas.manifest import ListRef, SiteHead
from schemas.names import Revision, SiteId, digest_of
from schemas.trust import TrustRoot, read_release_list, read_root

HEAD_LIFETIME: Final = timedelta(days=7)


class Trust(Struct, frozen=True, kw_only=True):
    """What every head says of the documents that stand above it."""

    root_version: int
    release_list: ListRef


class Issue(NamedTuple):
    """What heads that are signed together have in common."""

    revision: Revision
    trust: Trust
    now: datetime


class Issuer:
    """Says things in the name of the fleet."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def require_allowed(self, root: TrustRoot) -> None:
        """KeyUnusable when the root does not list our key."""
        self._signer.require_allowed(root)

    def trust_of(self, root_envelope: bytes, list_envelope: bytes) -> Trust:
        """What heads say under these documents; KeyUnusable."""
        root = read_root(root_envelope, None)
        self.require_allowed(root)
        allowed = read_release_list(list_envelope, root)
        return Trust(
            root_version=root.version,
            release_list=ListRef(version=allowed.version, sha256=digest_of(list_envelope)),
        )

    def news(
        self,
        issue: Issue,
        sites: Mapping[SiteId, CompiledSite],
        marks: Mapping[SiteId, Mark],
        changed: Set[SiteId] | None,
    ) -> News:
        """What is new to say to whom, `marks` being what was said last; `changed` as of `number`."""
        numbering = number(sites, marks, int(issue.now.timestamp() * 1000), changed=changed)
        heads = {
            site: (mark, self.sign(Word(site, mark.generation, mark.manifest, mark.state, issue.revision), issue))
            for site, mark in numbering.heads.items()
        }
        return News(heads, numbering.rows, Bodies(numbering, sites))

    def sign(self, word: Word, issue: Issue) -> SignedHead:
        """A head that says this word; its commit is the word's own."""
        head = SiteHead(
            site=word.site,
            generation=word.generation,
            manifest=word.manifest,
            state=word.state,
            commit=word.revision,
            issued_at=issue.now,
            expires_at=issue.now + HEAD_LIFETIME,
            root_version=issue.trust.root_version,
            release_list=issue.trust.release_list,
        )
        return SignedHead(
            envelope=self._signer.sign_head(head),
            issued_at=head.issued_at,
            expires_at=head.expires_at,
            root_version=issue.trust.root_version,
            release_list=issue.trust.release_list.sha256,
        )


def trust_of(compiled: CompiledFleet) -> Trust:
    """What heads say under the documents of a commit without errors."""
    assert compiled.root is not None and compiled.release_list is not None
    newest = max((d for d in compiled.trust_documents if d.kind == "release-list"), key=lambda d: d.version)
    listed = ListRef(version=newest.version, sha256=digest_of(newest.envelope))
    return Trust(root_version=compiled.root.version, release_list=listed)
