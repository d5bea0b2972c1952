"""Rules across the documents of a commit."""

from collections.abc import Sequence

import pytest

from control_plane.core.compile import TreeEntry, compile_commit
from tests.support.commits import FLEET, NATIONAL, changed, compiled, messages, problems, release, site, small_fleet
from tests.support.fleet_generator import as_tree, private_key, public_key, trust_documents

ROOT, LIST = "trust/root-1.json", "trust/release-list-1.json"
GROUP = "name: {name}\nsites: [rennes, vannes]\npriority: 300\n"


def with_files(**files: bytes | str | None) -> dict[str, bytes]:
    """The small fleet with `sites__x` for sites/x.yaml."""
    raw = {path.replace("__", "/").replace("_", "-") + ".yaml": data for path, data in files.items()}
    return changed(small_fleet(), {p: d.encode() if isinstance(d, str) else d for p, d in raw.items()})


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"fleet": None}, ["fleet.yaml:1:1 error MissingFile", "sites/rennes.yaml:1:1 error SiteWithoutRelease"]),
        (
            {"fleet": FLEET.replace(b"[national]", b"[national, natoinal]")},
            ["fleet.yaml:4:26 error MissingReference"],
        ),
        ({"video_sets__national": None}, ["fleet.yaml:4:16 error MissingReference"]),
        ({"videos__noel": None}, ["video-sets/national.yaml:5:10 error MissingReference"]),
        ({"sites__rennes": site("rennes", "release: 9.9.9\n")}, ["sites/rennes.yaml:5:10 error MissingReference"]),
        (
            {"groups__x": "name: X\npriority: 1\nsites:\n  - rennes\n  - brest\n"},
            ["groups/x.yaml:5:5 error MissingReference"],
        ),
        (
            {"sites__rennes": site("rennes", "rollout: slow\n")},
            ["sites/rennes.yaml:5:10 error MissingReference"],
        ),
        (
            {"sites__rennes": site("rennes", "tenant: kalon\n")},
            ["sites/rennes.yaml:5:9 error MissingReference"],
        ),
        (
            {"groups__x": "name: X\npriority: 1\nselect: {region: Brittany}\n"},
            ["groups/x.yaml:3:1 warning SelectorMatchesNothing"],
        ),
        ({"sites__vannes": site("rennes")}, [
            "groups/rugby.yaml:2:1 warning SelectorMatchesNothing", "sites/vannes.yaml:4:11 error DuplicateIdentity",
        ]),
        ({"revoked": "releases: [2.2.0]\n"}, ["groups/rugby.yaml:4:10 error ReleaseRevoked"]),
        ({"revoked": f"identities: ['{public_key('rennes')}']\n"}, ["sites/rennes.yaml:4:11 warning IdentityRevoked"]),
        (
            {"releases__2.2.0": release("2.2.0").replace(b"sha256:", b"sha256:0").replace(b"\nsize", b"\n#\nsize")},
            ["releases/2.2.0.yaml:2:7 error BadValue"],
        ),
        ({"releases__2.2.0": release("2.2.0").replace(b"tree", b"root")}, [
            "releases/2.2.0.yaml:1:1 error MissingKey", "releases/2.2.0.yaml:2:1 error UnknownKey",
        ]),
        (
            {
                "releases__2.2.0": release("2.2.0", "requires: {hardware: [rpi5-8gb]}\n"),
                "sites__vannes": site("vannes", "hardware: rpi4-4gb\n", sports="rugby"),
            },
            ["sites/vannes.yaml:5:11 error RequirementNotMet"],
        ),
        (
            {"video_sets__other": NATIONAL.replace(b"NATIONAL", b"Nat")},
            ["video-sets/other.yaml:2:11 error CategoryConflict"],
        ),
        (
            {"video_sets__other": NATIONAL.replace(b"id: national", b"id: National")},
            ["video-sets/other.yaml:2:11 error CategoryConflict"],
        ),
    ],
)  # fmt: skip
def test_what_does_not_hold_together_is_refused_at_its_place(files: dict[str, bytes], expected: list[str]) -> None:
    assert problems(with_files(**files)) == expected


def test_a_document_that_cannot_be_read_is_not_also_reported_as_missing() -> None:
    assert problems(with_files(videos__noel="name: [\n")) == ["videos/noel.yaml:2:1 error YamlSyntax"]


@pytest.mark.parametrize(
    ("one", "other", "key"),
    [
        ("release: 2.1.3\n", "release: 2.2.0\n", "release"),
        ("config: {a: {b: 1}}\n", "config: {a: {b: 2}}\n", "config.a.b"),
        ("config: {a: {b: 1}}\n", "config: {a: 2}\n", "config.a"),
        ("config: {a: null}\n", "config: {a: 2}\n", "config.a"),
        ("video_sets: [national]\n", "without_video_sets: [national]\n", "video_sets.national"),
        ("poll: {interval: 30s}\n", "poll: {interval: 60s}\n", "poll"),
    ],
)
def test_groups_of_one_priority_that_differ_are_refused_by_name(one: str, other: str, key: str) -> None:
    files = with_files(groups__a=GROUP.format(name="A") + one, groups__b=GROUP.format(name="B") + other)
    assert [p.split(" ")[2] for p in problems(files)] == ["EqualPriorityConflict"]
    assert f"group a and group b have the same priority (300) and set `{key}` differently for rennes and 1 more" in (
        messages(files)
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("release: 2.2.0\n", "release: 2.2.0\n"),
        ("config: {a: {b: 1}}\n", "config: {a: {c: 2}}\n"),
        ("config: {a: 1}\n", "config: {a: 1}\n"),
        ("video_sets: [national]\n", "video_sets: [national]\n"),
    ],
)
def test_groups_of_one_priority_that_agree_are_taken(one: str, other: str) -> None:
    files = with_files(groups__a=GROUP.format(name="A") + one, groups__b=GROUP.format(name="B") + other)
    assert problems(files) == []


def test_a_conflict_that_a_higher_layer_decides_is_none() -> None:
    one, other = (GROUP.format(name=name) + f"release: {v}\n" for name, v in (("A", "2.1.3"), ("B", "2.2.0")))
    by_group = "name: C\nsites: [rennes, vannes]\npriority: 301\nrelease: 2.1.3\n"
    assert problems(with_files(groups__a=one, groups__b=other, groups__c=by_group)) == []
    by_one_site = site("rennes", "release: 2.1.3\n")
    files = with_files(groups__a=one, groups__b=other, sites__rennes=by_one_site)
    assert "differently for vannes;" in messages(files)


@pytest.mark.parametrize(("mode", "code"), [(0o120000, "LinkNotAllowed"), (0o160000, "SubmoduleNotAllowed")])
@pytest.mark.parametrize("path", ["sites/evil.yaml", "docs/evil", "evil"])
def test_links_and_submodules_are_refused_wherever_they_are(mode: int, code: str, path: str) -> None:
    entries, blobs = as_tree(small_fleet())
    fleet = compile_commit([*entries, TreeEntry(path, "0" * 40, mode)], blobs)
    assert [(p.file, p.code) for p in fleet.problems] == [(path, code)]


def tampered(name: str) -> bytes:
    data = trust_documents(7)[name]
    return data.replace(b'"sig":"', b'"sig":"AAAA', 1)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({ROOT: None, LIST: None}, ["trust/ TrustMissing"]),
        ({LIST: None}, ["trust/ TrustMissing"]),
        ({ROOT: tampered(ROOT)}, ["trust/root-1.json SignatureRefused"]),
        ({LIST: tampered(LIST)}, ["trust/release-list-1.json SignatureRefused"]),
        ({LIST: trust_documents(8)[LIST]}, ["trust/release-list-1.json SignatureRefused"]),
        ({"trust/root-2.json": trust_documents(7)[ROOT]}, ["trust/root-2.json SignatureRefused"]),
        ({"trust/root-3.json": trust_documents(7)[ROOT]}, ["trust/root-3.json RootMissing"]),
        ({"trust/release-list-2.json": trust_documents(7)[LIST]}, ["trust/release-list-2.json NameMismatch"]),
        ({LIST: b"{"}, ["trust/release-list-1.json SignatureRefused"]),
    ],
)  # fmt: skip
def test_trust_documents_that_do_not_hold_are_refused(files: dict[str, bytes | None], expected: Sequence[str]) -> None:
    found = compiled(changed(small_fleet(), files)).problems
    assert [f"{p.file} {p.code}" for p in found] == expected


def test_a_release_that_no_release_key_signed_cannot_be_named() -> None:
    files = changed(small_fleet(), trust_documents(7, ("2.1.3",)))
    assert problems(files) == [
        "groups/rugby.yaml:4:10 error ReleaseNotAllowed",
        "releases/2.2.0.yaml:1:10 warning ReleaseNotAllowed",
    ]


def test_a_release_with_another_tree_than_the_signed_one_is_refused() -> None:
    other = release("2.2.0").replace(b"tree: sha256:", b"tree: sha256:00000000")[: -len(b"size_bytes: 100\n") - 9]
    files = with_files(**{"releases__2.2.0": other + b"\nsize_bytes: 100\n"})
    assert problems(files) == ["releases/2.2.0.yaml:2:7 error ReleaseTreeDiffers"]


def test_what_is_revoked_is_known_even_when_the_commit_is_refused() -> None:
    line = public_key("rennes")
    fleet = compiled(with_files(revoked=f"identities: ['{line}']\n", videos__noel="name: [\n"))
    assert fleet.has_errors
    assert fleet.sites == {}
    assert fleet.revoked.identities == [line]


def test_trust_documents_are_handed_on_as_they_lie_in_git() -> None:
    fleet = compiled(small_fleet())
    documents = {f"trust/{d.kind}-{d.version}.json": d.envelope for d in fleet.trust_documents}
    assert documents == trust_documents(7)
    assert fleet.root is not None
    assert fleet.release_list is not None
    assert [r.version for r in fleet.release_list.releases if r.kind == "app"] == ["2.1.3", "2.2.0"]
    assert private_key("root-7")
