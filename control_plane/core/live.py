"""Which blobs are alive: what documents, manifests and the release list name, and what those lead to in turn (pure).

Listings of trees and deltas are blobs that name blobs; whoever gathers reads them and adds what they name.
"""

from collections.abc import Iterable, Set

import msgspec
from msgspec import Struct

from schemas.desired import AgentRelease, Document, Release, Site, Video
from schemas.names import Digest
from schemas.trust import ReleaseList


class Named(Struct, frozen=True):
    """Blobs by what is known of them: `trees` are listings of files, `deltas` lead to packs, `blobs` lead nowhere."""

    blobs: Set[Digest] = frozenset()
    trees: Set[Digest] = frozenset()
    deltas: Set[Digest] = frozenset()

    def __or__(self, other: "Named") -> "Named":
        return Named(self.blobs | other.blobs, self.trees | other.trees, self.deltas | other.deltas)


class _File(Struct, frozen=True, gc=False):
    digest: Digest


class _Patch(Struct, frozen=True, gc=False):
    index: Digest


class _Tree(Struct, frozen=True, gc=False):
    tree: Digest
    patches: list[_Patch] = []


class _Manifest(Struct, frozen=True):
    """Of a manifest, what names blobs."""

    content: list[_File] = []
    release: _Tree | None = None
    agent: _Tree | None = None
    restore: Digest | None = None


def named_by_manifest(body: bytes) -> Named:
    """What a manifest names."""
    manifest = msgspec.json.decode(body, type=_Manifest)
    releases = [release for release in (manifest.release, manifest.agent) if release]
    return Named(
        {file.digest for file in manifest.content} | ({manifest.restore} if manifest.restore else set()),
        {release.tree for release in releases},
        {patch.index for release in releases for patch in release.patches},
    )


def named_by_documents(documents: Iterable[Document | object]) -> Named:
    """What the documents of a commit name, also those that no site uses: somebody may, with the next commit."""
    blobs: set[Digest] = set()
    trees: set[Digest] = set()
    deltas: set[Digest] = set()
    for document in documents:
        match document:
            case Video():
                blobs |= {document.digest} | ({document.thumbnail} if document.thumbnail else set())
            case Site() if document.restore:
                blobs.add(document.restore)
            case Release():
                trees.add(document.tree)
                deltas |= {patch.index for patch in document.patches}
            case AgentRelease():
                trees.add(document.tree)
    return Named(blobs, trees, deltas)


def named_by_list(allowed: ReleaseList) -> Named:
    """What the newest release list allows."""
    return Named(trees={entry.tree for entry in allowed.releases})
