"""Which sites get a new generation: the factors crossed, and the laws that hold for any two fleets."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.compile import CompiledSite
from control_plane.core.number import Mark, number

NOW_MS = 1_000_000


def wanted(manifest: str = "m", state: str = "active", name: str = "n", identity: str | None = "k") -> CompiledSite:
    """What numbering reads of a compiled site."""
    return cast(
        CompiledSite,
        SimpleNamespace(
            manifest=manifest, state=state, name=name, identity=identity, release="1.0.0", agent=None, facts={"b": 1}
        ),
    )


def published(generation: int = 7, **changes: Any) -> Mark:
    usual = Mark(
        generation=generation,
        manifest="m",
        state="active",
        identity="k",
        name="n",
        release="1.0.0",
        agent=None,
        facts=b'{"b":1}',
    )
    return msgspec.structs.replace(usual, **changes)


@pytest.mark.parametrize(
    ("now", "before", "head", "row"),
    [
        (wanted(), None, True, False),
        (wanted(), published(), False, False),
        (wanted(manifest="other"), published(), True, False),
        (wanted(state="suspended"), published(), True, False),
        (wanted(state="suspended"), published(state="suspended"), False, False),
        (wanted(), published(gone=True, state="retired"), True, False),
        (wanted(state="retired"), published(gone=True, state="retired"), True, False),
        (wanted(name="other"), published(), False, True),
        (wanted(identity=None), published(), False, True),
        (wanted(), published(facts=b"{}"), False, True),
        (wanted(), published(release=None), False, True),
        (wanted(manifest="other", name="other"), published(), True, False),
    ],
)
def test_a_site_gets_a_generation_for_its_manifest_or_state_alone(
    now: CompiledSite, before: Mark | None, head: bool, row: bool
) -> None:
    found = number({"s": now}, {"s": before} if before else {}, NOW_MS)
    assert (set(found.heads), set(found.rows)) == ({"s"} if head else set(), {"s"} if row else set())


@pytest.mark.parametrize(("previous", "expected"), [(7, NOW_MS), (NOW_MS, NOW_MS + 1), (NOW_MS + 9, NOW_MS + 10)])
def test_a_generation_is_the_clock_or_one_more_than_the_last(previous: int, expected: int) -> None:
    found = number({"s": wanted(manifest="other")}, {"s": published(previous)}, NOW_MS)
    assert found.heads["s"].generation == expected


def test_new_facts_keep_the_generation() -> None:
    assert number({"s": wanted(name="other")}, {"s": published(7)}, NOW_MS).rows["s"].generation == 7


def test_a_site_that_is_gone_is_retired_once_with_its_last_manifest() -> None:
    first = number({}, {"s": published(7, identity="k")}, NOW_MS).heads["s"]
    assert (first.state, first.gone, first.generation, first.manifest) == ("retired", True, NOW_MS, "m")
    again = number({}, {"s": first}, NOW_MS + 1)
    assert (again.heads, again.rows) == ({}, {})


def test_only_sites_that_changed_are_looked_at_when_they_are_known() -> None:
    compiled = {site: wanted(manifest="other") for site in "abc"}
    marks = {site: published(gone=site == "e") for site in "abcde"}
    assert number(compiled, marks, NOW_MS, changed={"b", "d", "e", "f"}).heads.keys() == {"b", "d"}


sites = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(wanted, st.sampled_from("mno"), st.sampled_from(["active", "suspended"]), st.sampled_from("pq")),
)
marks = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(
        published,
        st.integers(1, 2 * NOW_MS),
        manifest=st.sampled_from("mno"),
        state=st.sampled_from(["active", "suspended"]),
        name=st.sampled_from("pq"),
    ),
)


@given(sites, marks, st.integers(1, 2 * NOW_MS))
def test_what_was_numbered_is_settled_and_generations_only_rise(
    compiled: dict[str, CompiledSite], before: dict[str, Mark], now_ms: int
) -> None:
    found = number(compiled, before, now_ms)
    assert not found.heads.keys() & found.rows.keys()
    assert all(m.generation > before[s].generation for s, m in found.heads.items() if s in before)
    assert all(m.generation >= now_ms for m in found.heads.values())
    after = before | found.heads | found.rows
    settled = number(compiled, after, now_ms + 1)
    assert (settled.heads, settled.rows) == ({}, {})
