"""Whatever an export holds, what is made of it is good to publish, and nothing is lost in silence."""

import hashlib
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cli.exports import Row
from cli.takeover import take_over
from control_plane.core.compile import TreeEntry, compile_commit

ANYTHING = st.one_of(
    st.none(),
    st.text(max_size=40),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.lists(st.text(max_size=20), max_size=3),
    st.dictionaries(st.sampled_from(["city", "region", "sport", "lat"]), st.text(max_size=20), max_size=2),
    st.sampled_from(["site-1", "a@b", "Europe/Paris", "12", "rugby, futsal", "0" * 64, "é" * 300]),
)
SITE = ("id", "site_name", "club_name", "location", "sports", "status", "hardware", "timezone", "email", "lat", "lon")
GROUP = ("id", "name", "type", "members", "criteria")
VIDEO = ("id", "filename", "title", "category", "subcategory", "size", "checksum", "duration", "width", "sponsor")


def rows(columns: tuple[str, ...], least: int = 0) -> st.SearchStrategy[list[dict[str, Any]]]:
    cells = st.dictionaries(st.sampled_from(columns), ANYTHING, max_size=len(columns))
    return st.lists(cells, min_size=least, max_size=4)


def table(name: str, found: list[dict[str, Any]]) -> list[Row]:
    asked: set[str] = set()
    return [Row(f"{name}[{number}]", cells, asked) for number, cells in enumerate(found)]


@example(sites=[{}], groups=[], videos=[{"size": 2.0**64, "checksum": "0" * 64}])
@example(sites=[{"lat": "inf"}], groups=[], videos=[{"size": "1e999", "width": "inf", "checksum": "0" * 64}])
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=200)  # the first text draws slowly
@given(rows(SITE, least=1), rows(GROUP), rows(VIDEO))
def test_whatever_an_export_holds_becomes_a_valid_fleet(
    sites: list[dict[str, Any]], groups: list[dict[str, Any]], videos: list[dict[str, Any]]
) -> None:
    taken = take_over({"sites": table("sites", sites), "groups": table("groups", groups), "videos": table("v", videos)})
    blobs = {hashlib.sha1(text.encode()).hexdigest(): text.encode() for text in taken.files.values()}
    entries = [
        TreeEntry(path, hashlib.sha1(text.encode()).hexdigest(), 0o100644, len(text.encode()))
        for path, text in taken.files.items()
    ]
    wrong = [str(p) for p in compile_commit(entries, blobs).problems if p.severity == "error"]
    assert [problem for problem in wrong if "TrustMissing" not in problem] == []
    assert taken.counts["sites"] == len(sites) == sum(path.startswith("sites/") for path in taken.files)
    left = [what for place, what in taken.notes if place.startswith("groups[") and what.endswith("left out")]
    assert len(left) == len(groups) - taken.counts["groups"]


def test_two_rows_of_one_name_are_two_sites_and_groups_find_theirs() -> None:
    sites = [{"id": "a", "name": "Brest"}, {"id": "b", "name": "Brest"}]
    joins = [{"group_id": "g", "site_id": "b"}]
    taken = take_over(
        {
            "sites": table("sites", sites),
            "groups": table("groups", [{"id": "g", "name": "One"}]),
            "site_groups": table("site_groups", joins),
        }
    )
    assert "sites: [brest-2]" in taken.files["groups/one.yaml"]


def test_column_that_nobody_knows_is_told_and_its_values_are_not_taken() -> None:
    taken = take_over({"sites": table("sites", [{"name": "Brest", "api_key": "sk_live"}])})
    assert ("sites", "not taken over: the columns api_key") in taken.notes
    assert "sk_live" not in "".join(taken.files.values())


def test_category_that_is_spelt_in_two_ways_is_one() -> None:
    videos = [
        {"title": title, "size": 1, "checksum": title * 64, "category": category, "subcategory": sub}
        for title, category, sub in (("1", "Été", "But"), ("2", "Ete", "but"), ("3", "ÉTÉ", ""))
    ]
    taken = take_over({"sites": table("sites", [{"name": "Brest"}]), "videos": table("videos", videos)})
    assert taken.counts["video sets"] == 2
    assert "category: {id: ete, name: Été}\nsubcategory: {id: but, name: But}" in taken.files["video-sets/ete-but.yaml"]
    assert taken.files["video-sets/ete-but.yaml"].endswith('videos:\n  - "1"\n  - "2"\n')
