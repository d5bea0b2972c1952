"""Which blobs documents, manifests, lists, trees and deltas name."""

from datetime import UTC, datetime

from control_plane.core.live import named_by_documents, named_by_list, named_by_manifest
from schemas.desired import AgentRelease, Group, Location, Release, ReleasePatch, Site, Video
from schemas.manifest import (
    AgentTarget,
    ContentFile,
    PatchRef,
    ReleaseHealth,
    ReleaseTarget,
    SiteManifest,
    encode_canonical,
)
from schemas.names import Digest, digest_of
from schemas.trust import AllowedRelease, ReleaseList


def d(name: str) -> Digest:
    return digest_of(name.encode())


def test_manifest_names_content_restore_trees_of_both_releases_and_patches() -> None:
    manifest = SiteManifest(
        schema=1,
        poll_interval_s=60,
        timezone="Europe/Paris",
        content=[ContentFile(path="videos/A/a.mp4", digest=d("a"), size_bytes=1)],
        release=ReleaseTarget(
            version="1.0.0",
            tree=d("tree"),
            size_bytes=1,
            services=[],
            health=ReleaseHealth(within_s=1, settle_s=1),
            patches=[PatchRef(base=d("base"), index=d("index"), size_bytes=1)],
        ),
        agent=AgentTarget(version="1.0.0", tree=d("agent"), size_bytes=1),
        restore=d("restore"),
    )
    named = named_by_manifest(encode_canonical(manifest))
    assert named.blobs == {d("a"), d("restore")}
    assert named.trees == {d("tree"), d("agent")}
    assert named.deltas == {d("index")}
    assert (
        named_by_manifest(encode_canonical(SiteManifest(schema=1, poll_interval_s=60, timezone="UTC"))).blobs == set()
    )


def test_documents_name_what_no_site_uses_too() -> None:
    patch = ReleasePatch(from_="0.9.0", base=d("base"), index=d("index"), size_bytes=1)
    named = named_by_documents(
        [
            Video(name="A", digest=d("a"), size_bytes=1, thumbnail=d("thumbnail")),
            Site(name="S", location=Location(city="C", region="R"), restore=d("restore")),
            Site(name="T", location=Location(city="C", region="R")),
            Release(version="1.0.0", tree=d("tree"), size_bytes=1, patches=[patch]),
            AgentRelease(version="1.0.0", tree=d("agent"), size_bytes=1),
            Group(name="G", priority=1),
            None,
        ]
    )
    assert named.blobs == {d("a"), d("thumbnail"), d("restore")}
    assert named.trees == {d("tree"), d("agent")}
    assert named.deltas == {d("index")}


def test_list_names_its_trees() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    allowed = [AllowedRelease(kind="app", version="1.0.0", tree=d("tree"))]
    assert named_by_list(ReleaseList(version=1, issued_at=now, expires_at=now, releases=allowed)).trees == {d("tree")}
