"""Trees of files: what Git would make of them, and how two of them differ."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.layout import TreeEntry
from control_plane.core.trees import EMPTY, compare, folder_of, rows_of

NAMES = st.sampled_from(["a", "a.b", "a-b", "ab", "B", "é"])
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
ENTRIES = st.builds(
    TreeEntry,
    PATHS,
    st.sampled_from([f"{n:040x}" for n in range(1, 4)]),
    st.sampled_from([0o100644, 0o120000]),
    st.just(-1),
)


def without_overlap(entries: list[TreeEntry]) -> list[TreeEntry]:
    """One entry a path, and none that is a folder of another."""
    found: dict[str, TreeEntry] = {}
    for entry in sorted(entries):
        if not any(entry.path == path or entry.path.startswith(path + "/") for path in found):
            found[entry.path] = entry
    return list(found.values())


FILES = st.lists(ENTRIES, max_size=12).map(without_overlap)


@given(FILES, FILES)
def test_difference_is_what_turns_the_old_files_into_the_new(old: list[TreeEntry], new: list[TreeEntry]) -> None:
    before, after = {e.path: e for e in old}, {e.path: e for e in new}
    found = compare(folder_of(new), folder_of(old))
    assert {e.path: e for e in found.changed} == {p: e for p, e in after.items() if before.get(p) != e}
    assert found.known == {e.path for e in found.changed if e.path in before}
    assert found.gone == before.keys() - after.keys()


@given(FILES)
def test_tree_gives_back_its_files_and_differs_from_none_in_all(files: list[TreeEntry]) -> None:
    tree = folder_of(reversed(files))
    assert sorted(tree) == sorted(files)
    assert sorted(compare(tree, EMPTY).changed) == sorted(files)
    assert compare(EMPTY, tree).gone == {entry.path for entry in files}
    assert compare(tree, folder_of(files)).changed == []
    assert tree.id == folder_of(files).id


def test_id_of_a_tree_is_the_one_that_git_gives() -> None:
    blob = "587be6b4c3f93f93c489c0111bba5596147a26cb"  # "x\n"
    # $ git mktree: a-b, folder a (with b), a.b; a folder sorts as if its name ended in a slash.
    files = [TreeEntry(path, blob, 0o100644) for path in ("a/b", "a.b", "a-b")]
    assert folder_of(files).id.hex() == "923c24cb059cc72870e1f7fda604ea45ec1c84f0"


@pytest.mark.parametrize("raw", [b"x", b"100644 a\0short", b"100644 a/b\0" + bytes(20), b"100644 \0" + bytes(20)])
def test_bytes_that_are_no_tree_object_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="malformed"):
        rows_of(raw)
