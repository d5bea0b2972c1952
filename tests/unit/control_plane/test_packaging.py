"""What of a package becomes a release."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.packaging import EntryKind, PackageEntry, listing, select
from schemas.manifest import TreeFile, encode_canonical
from schemas.names import digest_of

SOUND = ("webapp/index.html", "server/app.py", "admin/app.py", "VERSION")


def entries(*paths: str, kind: EntryKind = "file") -> list[PackageEntry]:
    return [PackageEntry(path=path, kind=kind) for path in paths]


def kept(*more: PackageEntry) -> list[str]:
    return [file.path for file in select([*entries(*SOUND), *more]).kept]


def test_sound_package_is_kept_whole_and_sorted_by_bytes() -> None:
    selection = select(entries("webapp/é.js", "webapp/z.js", *SOUND))
    paths = [file.path for file in selection.kept]
    assert paths == sorted([*SOUND, "webapp/é.js", "webapp/z.js"], key=str.encode)
    assert (selection.stripped, selection.refused) == ((), ())


def test_executable_file_keeps_its_mode() -> None:
    selection = select([*entries(*SOUND), PackageEntry(path="scripts/run.sh", kind="file", executable=True)])
    assert {file.path: file.mode for file in selection.kept} == {
        **dict.fromkeys(SOUND, "0644"),
        "scripts/run.sh": "0755",
    }


@pytest.mark.parametrize(
    "path",
    [
        "webapp/configuration.json",
        "webapp/configuration.backup.json",
        "club-config.json",
        "videos/CLUB/clip.mp4",
        "logs/app.log",
        "backups/a/b",
        "data/analytics_buffer.json",
        "thumbnails/a.jpg",
        "videos-processing/a.mp4",
        "uploads-temp/a",
        "sync-agent/package.json",
        ".env",
        "server/.env",
        "server/.env.production",
        "._VERSION",
        "webapp/._index.html",
        "__MACOSX/webapp/._index.html",
        "server/__pycache__/app.pyc",
        ".git/config",
    ],
)
def test_entry_that_is_never_part_of_a_release_is_stripped_and_named(path: str) -> None:
    selection = select(entries(path, *SOUND))
    assert [dropped.path for dropped in selection.stripped] == [path]
    assert [file.path for file in selection.kept] == sorted(SOUND)
    assert selection.refused == ()


@pytest.mark.parametrize(
    "path",
    [
        "webapp/assets/videos/intro.mp4",
        "server/data/teams.json",
        "webapp/assets/configuration.json",
        "server/environment.env.js",
        "server/node_modules/x/logs/index.js",
    ],
)
def test_name_that_only_resembles_an_excluded_one_is_kept(path: str) -> None:
    assert path in kept(PackageEntry(path=path, kind="file"))


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../outside", "webapp/../../outside", "a\nb", "a\\b", "bad-\udcff-bytes", "x" * 600, "a//b"]
)
def test_path_that_leads_out_or_cannot_be_written_is_refused(path: str) -> None:
    assert [dropped.path for dropped in select(entries(path, *SOUND)).refused] == [path]


@pytest.mark.parametrize("kind", ["link", "other"])
def test_link_or_device_is_refused_but_not_inside_what_is_stripped(kind: EntryKind) -> None:
    outside, inside = PackageEntry(path="server/x", kind=kind), PackageEntry(path="videos/x", kind=kind)
    selection = select([*entries(*SOUND), outside, inside])
    assert [dropped.path for dropped in selection.refused] == ["server/x"]
    assert [dropped.path for dropped in selection.stripped] == ["videos/x"]


def test_link_that_serves_development_is_stripped() -> None:
    selection = select([*entries(*SOUND), PackageEntry(path="server/node_modules/.bin/tsc", kind="link")])
    assert [dropped.path for dropped in selection.stripped] == ["server/node_modules/.bin/tsc"]
    assert selection.refused == ()


@pytest.mark.parametrize("prefix", ["./", "deploy/", "./deploy/"])
def test_package_in_a_folder_of_its_own_is_unwrapped(prefix: str) -> None:
    selection = select([*entries(*(prefix + path for path in SOUND)), *entries(prefix.rstrip("/"), kind="folder")])
    assert [file.path for file in selection.kept] == sorted(SOUND)
    assert {file.source for file in selection.kept} == {prefix + path for path in SOUND}
    assert selection.refused == ()


def test_configuration_inside_deploy_is_stripped_too() -> None:
    selection = select(entries("deploy/webapp/configuration.json", *("deploy/" + path for path in SOUND)))
    assert [dropped.path for dropped in selection.stripped] == ["webapp/configuration.json"]


def test_folder_that_is_no_release_is_refused_with_what_it_lacks() -> None:
    assert [dropped.path for dropped in select(entries("README.md")).refused] == [
        "admin/",
        "server/",
        "webapp/index.html",
    ]


def test_file_named_twice_or_used_as_a_folder_is_refused() -> None:
    selection = select(entries(*SOUND, "./VERSION", "VERSION/x"))
    assert sorted(dropped.path for dropped in selection.refused) == ["VERSION", "VERSION/x"]


@given(st.permutations(SOUND))
def test_order_of_the_package_does_not_change_the_listing(paths: list[str]) -> None:
    def tree(names: list[str]) -> bytes:
        files = [TreeFile(path=name, mode="0644", size_bytes=1, digest=digest_of(b"x")) for name in names]
        return encode_canonical(listing(files))

    assert tree(paths) == tree(sorted(SOUND))
