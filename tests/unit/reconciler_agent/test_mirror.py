"""What the club owns, as the fleet sees it: nothing secret, nothing central, whatever the configuration holds."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler_agent.core.merge import is_central, merge
from reconciler_agent.core.mirror import club
from schemas.club import MAX_CATEGORIES, MAX_ENTRIES, MAX_FILES, MAX_MIRROR_BYTES, ClubFile, ClubMirror
from schemas.manifest import Loops, SiteManifest
from tests.support.box_configurations import (
    SAMPLES,
    TODAY,
    category,
    configurations,
    manifest,
    paths_of,
    sample,
    video,
    worlds,
)

WANTED = manifest(
    category(video("a"), video("b"), blocks=["before"]),
    loops=Loops(sponsors=[video("a")], during=[video("b")]),
    config={"liveScoreEnabled": True, "settings": {"language": "en"}, "remote": {"title": "central"}},
)
SECRET = "s3cret-"
ALLOWED = re.compile(
    r"remote/title|settings/(language|timezone)|sponsors/\d+/(name|path)"
    r"|categories/\d+/(id|name|videos/\d+/(name|path)|subCategories/\d+/(id|name|videos/\d+/(name|path)))"
    r"|timeCategories/\d+/(id|name|categoryIds/\d+|loopVideos/\d+/(name|path))"
)
UNSEEN = ("auth", "authentication", "sync", "apiKey", "wifi", "hotspot", "network", "token", "x")


def with_ours(configuration: dict[str, Any], wanted: SiteManifest = WANTED) -> dict[str, Any]:
    return merge(configuration, wanted, TODAY, paths_of(wanted)).configuration


def planted(value: Any, where: str = "") -> Any:
    """A copy in which every value that is not allowed to be seen is a secret, and every map has more of them."""
    if isinstance(value, dict):
        more = {key: SECRET + where for key in UNSEEN if key not in value}
        kept = {key: planted(one, f"{where}/{key}".lstrip("/")) for key, one in value.items()}
        return more | kept | {"password": SECRET, "deep": [{"apiKey": SECRET, "name": SECRET}], SECRET: SECRET}
    if isinstance(value, list):
        return [planted(one, f"{where}/{number}") for number, one in enumerate(value)]
    return value if ALLOWED.fullmatch(where) or isinstance(value, bool) else SECRET + where


def shown(found: ClubMirror) -> str:
    return msgspec.json.encode(found).decode()


def allowed_words(value: Any, where: str = "") -> Iterator[str]:
    """Every text of a configuration that stands where a mirror looks."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from allowed_words(one, f"{where}/{key}".lstrip("/"))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from allowed_words(one, f"{where}/{number}")
    elif ALLOWED.fullmatch(where):
        yield str(value)


def words(value: Any) -> Iterator[str]:
    """Every text of a mirror."""
    if isinstance(value, dict):
        for one in value.values():
            yield from words(one)
    elif isinstance(value, list):
        for one in value:
            yield from words(one)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("ours", [False, True], ids=["as-found", "converged"])
@pytest.mark.parametrize("name", SAMPLES)
def test_secret_under_any_other_key_never_leaves_the_box(name: str, ours: bool) -> None:
    configuration = with_ours(sample(name)) if ours else sample(name)
    found = club(planted(configuration), WANTED, [], frozenset())
    assert SECRET not in shown(found)
    assert found == club(configuration, WANTED, [], frozenset()), "and what may be seen is seen"


@pytest.mark.parametrize("name", SAMPLES)
def test_what_the_club_owns_is_told_and_nothing_central_beside_it(name: str) -> None:
    alone, beside = (club(c, WANTED, [], frozenset()) for c in (sample(name), with_ours(sample(name))))
    theirs = [c for c in sample(name)["categories"] if not is_central(c)]
    assert [c.name for c in alone.categories][: len(theirs)] == [c["name"] for c in theirs]
    assert beside.categories == alone.categories
    assert beside.loop == alone.loop
    assert beside.title == (sample(name).get("remote") or {}).get("title", "central")
    assert not {v.path for c in WANTED.categories for v in c.videos} & set(words(json.loads(shown(beside))))


def test_category_that_lost_its_tags_on_the_box_is_still_not_the_clubs() -> None:
    stripped = with_ours(sample("club-handball"))
    for one in stripped["categories"]:
        for part in (one, *one.get("videos", [])):
            part.pop("locked", None), part.pop("owner", None)
    assert "annonces_neopro" not in [c.id for c in club(stripped, WANTED, [], frozenset()).categories]


def test_blocks_name_the_clubs_categories_alone() -> None:
    local = {"categories": [{"id": "m", "name": "M"}], "timeCategories": [{"id": "before", "categoryIds": ["m"]}]}
    found = club(with_ours(local), WANTED, [], frozenset())
    assert {b.id: b.categories for b in found.blocks}["before"] == ["m"]


@given(worlds())
def test_any_configuration_is_told_within_the_wires_limits_and_holds_no_word_from_elsewhere(world: Any) -> None:
    local, wanted, installed = world
    before = copy.deepcopy(local)
    for configuration in (local, merge(local, wanted, TODAY, installed).configuration):
        found = club(configuration, wanted, [], frozenset())
        assert msgspec.json.decode(shown(found), type=ClubMirror) == found
        known = {
            w.replace("\x7f", "\ufffd") for w in allowed_words(merge(local, wanted, TODAY, installed).configuration)
        }
        made = {c.id for c in found.categories} | {c.name for c in found.categories} | {b.name for b in found.blocks}
        told = {w for w in words(msgspec.to_builtins(found)) if w and w not in made}
        assert {_plain(w) for w in told} <= {_plain(w) for w in known | set(allowed_words(local))}
    assert local == before


def _plain(text: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]", "\ufffd", text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("id", "name", "path", "videos", "subCategories", "categoryIds", "loopVideos", "title", "language", "locked")
items = st.dictionaries(st.sampled_from(KEYS), json_values, max_size=5) | json_values
hostile = st.dictionaries(
    st.sampled_from(["categories", "sponsors", "timeCategories"]), st.lists(items, max_size=4), max_size=3
).flatmap(lambda lists: st.dictionaries(st.sampled_from(["remote", "settings"]), items).map(lambda maps: lists | maps))


@given(hostile)
def test_hostile_values_become_bounded_text_that_any_program_can_read(configuration: dict[str, Any]) -> None:
    body = msgspec.json.encode(club(configuration, WANTED, [], frozenset()))
    assert b"\x00" not in body and b"\\u0000" not in body
    msgspec.json.decode(body, type=ClubMirror)


def test_more_than_fits_is_counted_and_the_mirror_stays_under_its_limit() -> None:
    wide = '"' * 5000
    many = [{"id": wide, "name": wide, "videos": [{"name": wide, "path": wide}] * 100} for _ in range(500)]
    files = [ClubFile(path=f"videos/{wide[:250]}{n}", size_bytes=n) for n in range(5000)]
    found = club({"categories": many, "sponsors": many}, WANTED, files, frozenset())
    assert (len(found.categories), len(found.files)) == (MAX_CATEGORIES, MAX_FILES)
    assert sum(len(c.videos) for c in found.categories) + len(found.loop) == MAX_ENTRIES
    assert found.omitted == 300 + 200 * 100 + 500 - MAX_ENTRIES
    assert (found.file_count, found.file_bytes) == (5000, sum(range(5000)))
    assert len(body := msgspec.json.encode(found)) < MAX_MIRROR_BYTES
    assert msgspec.json.decode(body, type=ClubMirror) == found


def test_files_that_the_fleet_installed_are_not_the_clubs() -> None:
    files = [ClubFile(path=f"videos/{name}.mp4", size_bytes=size) for name, size in (("a", 1), ("b", 3), ("c", 2))]
    found = club({}, WANTED, files, frozenset({"videos/b.mp4"}))
    assert ([f.path for f in found.files], found.file_bytes) == (["videos/c.mp4", "videos/a.mp4"], 3)


def test_name_that_is_no_utf_8_is_told_all_the_same() -> None:
    path = b"videos/\xe9t\xe9.mp4".decode("utf-8", "surrogateescape")
    (found,) = club({}, WANTED, [ClubFile(path=path, size_bytes=1)], frozenset()).files
    assert found.path == "videos/\ufffdt\ufffd.mp4"
    msgspec.json.encode(found)


@given(configurations)
def test_mirror_of_the_same_is_the_same(configuration: Any) -> None:
    first, second = (shown(club(copy.deepcopy(configuration), WANTED, [], frozenset())) for _ in range(2))
    assert first == second
