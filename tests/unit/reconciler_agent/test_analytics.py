"""What the application counted: cut into batches whole, with the ids that are known, and bounded while it waits."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler_agent.core import analytics
from reconciler_agent.core.analytics import KEPT_FIRST_FILES, MAX_WAITING_BYTES, MAX_WAITING_FILES, Ids
from schemas.analytics import MAX_BATCH, MAX_BATCH_BYTES, Batch, Playback
from schemas.manifest import SubCategory
from tests.support.agent_world import clip, manifest_of

AT = datetime(2026, 3, 1, 15, tzinfo=UTC)
IDS = {"pub-01234567.mp4": Ids("pub", "decathlon")}


def entry(**changed: Any) -> dict[str, Any]:
    return {"video_filename": "but.mp4", "played_at": "2026-03-01T15:00:00.000Z", "session_id": "s"} | changed


def cut(*entries: object) -> tuple[list[Playback], list[Any], list[Batch]]:
    found = analytics.read("event", json.dumps(entries).encode(), IDS)
    assert found is not None
    batches = [msgspec.json.decode(batch, type=Batch) for batch in found.batches]
    assert all(0 < len(b.playbacks) <= MAX_BATCH for b in batches)
    assert all(len(batch) <= MAX_BATCH_BYTES for batch in found.batches)
    return [p for b in batches for p in b.playbacks], [json.loads(s) for s in found.strange], batches


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1000, 1001])
def test_any_number_of_entries_is_cut_into_batches_of_at_most_500_in_order(count: int) -> None:
    played, strange, batches = cut(*(entry(session_id=str(n)) for n in range(count)))
    assert [p.session_id for p in played] == [str(n) for n in range(count)]
    assert (strange, len(batches)) == ([], -(-count // MAX_BATCH))


def test_long_entries_make_smaller_batches() -> None:
    played, _, batches = cut(*(entry(session_id=str(n), unknown="é" * 50_000) for n in range(10)))
    assert (len(played), len(batches)) == (10, 4)


@pytest.mark.parametrize(
    "bad",
    [
        None,
        1,
        [],
        {},
        entry(played_at="yesterday"),
        entry(played_at="2026-03-01T15:00:00"),
        entry(video_filename=None),
        entry(video_filename="x" * 256),
        entry(session_id="a\0b"),
        entry(duration_played=-1),
        entry(completed="yes"),
    ],
    ids=repr,
)
def test_entry_that_is_none_is_set_apart_and_holds_nobody_up(bad: object) -> None:
    played, strange, _ = cut(entry(), bad, entry())
    assert (len(played), strange) == (2, [bad])


@pytest.mark.parametrize("text", [b"", b"[", b'[{"a":1}', b"{}", b"null", b"\0\0\0", b"\xff\xfe", b"[" * 100_000])
def test_file_that_is_no_array_is_not_cut(text: bytes) -> None:
    assert analytics.read("event", text, IDS) is None


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (entry(), (None, None)),
        (entry(video_filename="pub-01234567.mp4"), ("pub", "decathlon")),
        (entry(video_filename="videos/ANNONCES/pub-01234567.mp4"), ("pub", "decathlon")),
        (entry(video_filename="pub-01234567.mp4", video_id="pub"), ("pub", "decathlon")),
        (entry(video_filename="pub-01234567.mp4", video_id="other"), ("other", None)),
        (entry(video_filename="pub-01234567.mp4", sponsor_id="own"), ("pub", "own")),
    ],
)
def test_ids_are_filled_in_by_file_name_where_the_application_gave_none(
    given_: dict[str, Any], expected: tuple[str | None, str | None]
) -> None:
    ((played,), _, _) = cut(given_)
    assert (played.video_id, played.sponsor_id) == expected


def test_ids_come_from_categories_subcategories_and_loops() -> None:
    (_, a), (_, b), (_, c) = clip("a", b"a"), clip("b", b"b", sponsor_id="s"), clip("c", b"c")
    found = manifest_of([])
    category = msgspec.structs.replace(
        manifest_of([clip("a", b"a")]).categories[0], subcategories=[SubCategory(id="x", name="X", videos=[b])]
    )
    loops = msgspec.structs.replace(found.loops, during=[c])
    ids = analytics.ids_of(msgspec.structs.replace(found, categories=[category], loops=loops))
    names = [video.path.rpartition("/")[2] for video in (a, b, c)]
    assert ids == dict(zip(names, [Ids("a", None), Ids("b", "s"), Ids("c", None)], strict=True))


@given(st.lists(st.integers(1, MAX_WAITING_BYTES // 30), max_size=60), st.integers(0, 2 * MAX_WAITING_FILES))
def test_what_waits_is_bounded_and_keeps_the_first_and_the_newest(large: list[int], small: int) -> None:
    waiting = [(f"{n:08d}", size) for n, size in enumerate([*large, *([1] * small)])]
    dropped = analytics.surplus(waiting)
    left = [file for file in waiting if file[0] not in dropped]
    assert len(left) <= MAX_WAITING_FILES
    assert sum(size for _, size in left) <= MAX_WAITING_BYTES
    assert dropped == [name for name, _ in waiting[KEPT_FIRST_FILES : KEPT_FIRST_FILES + len(dropped)]]
    if dropped:
        last = next(size for name, size in waiting if name == dropped[-1])
        over_bytes = sum(size for _, size in left) + last > MAX_WAITING_BYTES
        assert over_bytes or len(left) + 1 > MAX_WAITING_FILES


def test_batch_is_counted_and_a_damaged_one_counts_nothing() -> None:
    batch = msgspec.json.encode(Batch(kind="event", playbacks=[Playback(played_at=AT, video_filename="a")] * 3))
    assert (analytics.count(batch), analytics.count(batch[:-1]), analytics.count(b"\xff")) == (3, 0, 0)
    assert msgspec.json.decode(batch, type=Batch).playbacks[0].played_at - AT == timedelta()
