"""The agent's state: any one file may be lost, and nothing is written for nothing."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from reconciler_agent.core.tolerant import read_tolerantly
from reconciler_agent.core.trust import pass_time
from reconciler_agent.durable import Disk
from reconciler_agent.state import COPIES, Installed, Signature, State, Store
from schemas.names import digest_of
from tests.support import trust_world
from tests.support.trust_world import NOW

pytestmark = pytest.mark.usefixtures("process_life")

DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "garbage": lambda path: path.write_bytes(b"\xff" * 100),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "one bit": lambda path: path.write_bytes(path.read_bytes()[:-9] + b"!" + path.read_bytes()[-8:]),
    "another header": lambda path: path.write_bytes(b"neopro-agent-state 1 99 " + path.read_bytes()[24:]),
    "folder": lambda path: (path.unlink(), path.mkdir()),
    "gone": lambda path: path.unlink(),
}


def opened(folder: Path) -> Store:
    return Store(Disk(folder, "", "run"))


def first() -> State:
    return State(trust=trust_world.settled(), body=trust_world.BODY, committed=trust_world.GENERATION)


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.iterdir() if p.is_file()}


def test_state_comes_back_as_it_was_kept(tmp_path: Path) -> None:
    state = replace(
        first(), ledger={"videos/A/a.mp4": Installed(digest=digest_of(b"a"), signature=Signature(1, 2, 3, 4))}
    )
    opened(tmp_path).keep(state)

    loaded = opened(tmp_path).load()

    assert (loaded.state, loaded.damaged) == (state, ())


def test_folder_without_state_says_so(tmp_path: Path) -> None:
    loaded = opened(tmp_path).load()

    assert (loaded.state, loaded.damaged) == (None, ())


@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_to_either_copy_at_rest_loses_nothing(tmp_path: Path, copy: str, damage: str) -> None:
    store = opened(tmp_path)
    store.keep(first())
    newest = replace(first(), committed=trust_world.GENERATION + 1)
    store.keep(newest)
    store.settle()
    DAMAGE[damage](tmp_path / copy)

    loaded = opened(tmp_path).load()

    assert loaded.state == newest
    assert loaded.damaged == (() if damage == "gone" else (copy,))


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_copy_is_made_whole_again(tmp_path: Path, damage: str) -> None:
    store = opened(tmp_path)
    store.keep(first())
    store.settle()
    DAMAGE[damage](tmp_path / COPIES[0])

    store = opened(tmp_path)
    store.load()
    store.settle()
    (tmp_path / COPIES[1]).write_bytes(b"")

    assert opened(tmp_path).load().state == first()


def test_damage_to_both_copies_is_told(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.keep(first())
    store.settle()
    for copy in COPIES:
        (tmp_path / copy).write_bytes(b"")

    loaded = opened(tmp_path).load()

    assert loaded.state is None
    assert sorted(loaded.damaged) == sorted(COPIES)


def test_newest_copy_is_taken_before_they_are_settled(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for number in range(1, 6):
        state = replace(first(), committed=number)
        store.keep(state)

        assert opened(tmp_path).load().state == state


def test_nothing_is_written_when_only_time_has_passed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.keep(first())
    store.settle()
    before = snapshot(tmp_path)

    later = pass_time(first().trust, 600.0, NOW + timedelta(minutes=10), True)
    store.keep(replace(first(), trust=later))
    store.settle()

    assert snapshot(tmp_path) == before
    assert store.state.trust == later


def test_listing_whose_bytes_changed_is_not_believed(tmp_path: Path) -> None:
    store = opened(tmp_path)
    body = b'{"schema":1,"files":[]}'
    store.keep_listing(body)
    digest = digest_of(body)
    assert store.listing(digest) is not None
    (tmp_path / "listings" / digest.partition(":")[2]).write_bytes(b'{"schema":1,"files":[{}]}')

    assert store.listing(digest) is None


@pytest.mark.parametrize("damage", ["empty", "garbage", "folder"])
def test_damaged_listing_and_signatures_are_missing_and_can_be_kept_again(tmp_path: Path, damage: str) -> None:
    store = opened(tmp_path)
    body = b'{"schema":1,"files":[]}'
    digest = digest_of(body)
    for _ in range(2):
        store.keep_listing(body)
        store.keep_signatures(digest, [Signature(1, 2, 3, 4)])
        for folder in ("listings", "signatures"):
            DAMAGE[damage](tmp_path / folder / digest.partition(":")[2])

        assert (store.listing(digest), store.signatures(digest)) == (None, None)


def test_signatures_of_an_agent_that_writes_them_otherwise_are_forgotten(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.keep_signatures(digest_of(b"tree"), [(1, 2)])  # type: ignore[list-item]

    assert store.signatures(digest_of(b"tree")) is None


def test_signatures_that_were_damaged_are_forgotten(tmp_path: Path) -> None:
    store = opened(tmp_path)
    digest = digest_of(b"tree")
    store.keep_signatures(digest, [Signature(1, 2, 3, 4)])
    assert store.signatures(digest) == [Signature(1, 2, 3, 4)]
    path = tmp_path / "signatures" / digest.partition(":")[2]
    path.write_bytes(path.read_bytes().replace(b"3", b"9"))

    assert store.signatures(digest) is None


def test_state_that_was_kept_by_0_1_0_is_read_whole_for_ever() -> None:
    """Agents go back to older versions and on to newer ones: fields are only ever added."""
    body = (Path(__file__).parent.parent / "support" / "kept" / "state-0.1.0.json").read_bytes()
    state, left_out = read_tolerantly(body, State)

    assert (state.releases.good.version, state.releases.bad.target.version) == ("1.0.0", "2.0.0")
    assert (state.operations["again"].phase, left_out) == ("succeeded", ())
    assert msgspec.json.decode(body).keys() <= {field.encode_name for field in msgspec.structs.fields(State)}
