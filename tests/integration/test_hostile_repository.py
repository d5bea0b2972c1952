"""A commit as Git can hold it and no checkout would: fetched from a real remote, every hostile entry is a Problem."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from control_plane.core.compile import CompiledFleet, compile_commit
from control_plane.git_source import GitSource, Tree
from tests.support.commits import small_fleet
from tests.support.git_servers import BareRemote

FILE, FOLDER, LINK, SUBMODULE = 0o100644, 0o40000, 0o120000, 0o160000
SITE = b"name: X\nlocation: {city: A, region: B}\n"
Row = tuple[int, bytes, bytes]


class Fetched:
    """Commits written to a remote, and what the server makes of them."""

    def __init__(self, remote: BareRemote, tmp_path: Path) -> None:
        self.remote = remote
        self._source = GitSource(str(remote.path), "main", tmp_path / "clone")

    def compiled(self, *rows: Row) -> CompiledFleet:
        """The small fleet with these entries at its top."""
        sound = self.remote.repository[self.remote.tree(small_fleet()).hex()]
        own = [(int(entry.filemode), entry.name.encode(), bytes(entry.id.raw)) for entry in sound]
        kept = {name: (mode, name, raw) for mode, name, raw in (*own, *rows)}
        self.remote.commit_tree(self.remote.raw_tree(*_in_order(kept.values())))
        tree = asyncio.run(self._tree())
        return compile_commit(tree.entries, tree.blobs)

    async def _tree(self) -> Tree:
        return await self._source.tree(await self._source.fetch())

    def file(self, name: bytes, data: bytes = SITE, mode: int = FILE) -> Row:
        """An entry for a file."""
        return mode, name, self.remote.blob(data)

    def folder(self, name: bytes, *rows: Row) -> Row:
        """An entry for a folder."""
        return FOLDER, name, self.remote.raw_tree(*_in_order(rows))


def _in_order(rows: Iterable[Row]) -> list[Row]:
    """As Git sorts them: a folder as if its name ended in a slash."""
    return sorted(rows, key=lambda row: row[1] + (b"/" if row[0] == FOLDER else b""))


@pytest.fixture
def fetched(remote: BareRemote, tmp_path: Path) -> Fetched:
    return Fetched(remote, tmp_path)


def told(fleet: CompiledFleet) -> list[str]:
    return [f"{p.file}:{p.line}:{p.column} {p.severity} {p.code}" for p in fleet.problems]


def with_sites(fetched: Fetched, *rows: Row) -> Row:
    """The folder `sites` of the small fleet with these entries beside."""
    own = {p.removeprefix("sites/"): data for p, data in small_fleet().items() if p.startswith("sites/")}
    return fetched.folder(b"sites", *(fetched.file(name.encode(), data) for name, data in own.items()), *rows)


def test_sound_fleet_is_published(fetched: Fetched) -> None:
    fleet = fetched.compiled(with_sites(fetched, fetched.file(b"x.yaml")))
    assert (told(fleet), set(fleet.sites)) == ([], {"rennes", "vannes", "x"})


def test_links_and_submodules_are_refused_wherever_they_point(fetched: Fetched) -> None:
    rows = [
        fetched.file(b"passwd.yaml", b"/etc/passwd", LINK),
        fetched.file(b"rennes2.yaml", b"rennes.yaml", LINK),
        fetched.folder(b"deep", fetched.file(b"x.yaml", b"../../..", LINK)),
        (SUBMODULE, b"module", bytes.fromhex("ab" * 20)),
    ]
    fleet = fetched.compiled(with_sites(fetched, *rows), fetched.file(b"docs", b"/", LINK))
    assert told(fleet) == [
        "docs:1:1 error LinkNotAllowed",
        "sites/deep/x.yaml:1:1 error LinkNotAllowed",
        "sites/module:1:1 error SubmoduleNotAllowed",
        "sites/passwd.yaml:1:1 error LinkNotAllowed",
        "sites/rennes2.yaml:1:1 error LinkNotAllowed",
    ]
    assert fleet.sites == {}


@pytest.mark.parametrize("name", [b"..", b".", b".git", b".archive"])
def test_folder_that_hides_or_leads_elsewhere_is_refused_and_nothing_is_written(
    fetched: Fetched, name: bytes, tmp_path: Path
) -> None:
    fleet = fetched.compiled(with_sites(fetched, fetched.folder(name, fetched.file(b"x.yaml"))))
    assert told(fleet) == [f"sites/{name.decode()}/x.yaml:1:1 error BadFileName"]
    assert not list(tmp_path.rglob("x.yaml"))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (b"\xff.yaml", "BadFileName"),
        (b"a\nb.yaml", "BadFileName"),
        (b"a\x1b[2J.yaml", "BadFileName"),
        ("\u202ex.yaml".encode(), "BadFileName"),
        ("é.yaml".encode(), "BadFileName"),
        (b"X.yaml", "BadFileName"),
        (b"-x.yaml", "BadFileName"),
        (b"x" * 64 + b".yaml", "BadFileName"),
        (b"x.yaml ", "WrongFileName"),
        (b"x.YAML", "WrongFileName"),
        (b"x.yml", "WrongFileName"),
        (b"con\\x.yaml", "BadFileName"),
        (b".yaml", None),
    ],
)
def test_name_that_is_no_id_is_refused_and_steers_no_terminal(fetched: Fetched, name: bytes, code: str | None) -> None:
    fleet = fetched.compiled(with_sites(fetched, fetched.file(name)))
    assert [p.code for p in fleet.problems] == ([code] if code else [])
    assert all(str(problem).isprintable() for problem in fleet.problems)


@pytest.mark.parametrize(
    "names",
    [
        (b"Notes.md", b"notes.md"),
        ("caf\u00e9.md".encode(), "cafe\u0301.md".encode()),
        ("stra\u00dfe.md".encode(), b"STRASSE.md"),
    ],
)
def test_names_that_are_one_elsewhere_are_refused(fetched: Fetched, names: tuple[bytes, bytes]) -> None:
    fleet = fetched.compiled(fetched.folder(b"docs", *(fetched.file(name) for name in names)))
    assert told(fleet) == sorted(f"docs/{name.decode()}:1:1 error SameName" for name in names)


def test_kind_written_in_capitals_is_told_and_does_not_hide_the_other(fetched: Fetched) -> None:
    fleet = fetched.compiled(fetched.folder(b"Sites", fetched.file(b"rennes.yaml")), fetched.file(b"Fleet.yaml"))
    assert told(fleet) == [
        "Fleet.yaml:1:1 error SameName",
        "Fleet.yaml:1:1 warning UnknownFile",
        "Sites/rennes.yaml:1:1 error SameName",
        "Sites/rennes.yaml:1:1 error WrongFolderName",
        "fleet.yaml:1:1 error SameName",
        "sites/rennes.yaml:1:1 error SameName",
    ]


def test_executable_file_is_a_document_like_any_other(fetched: Fetched) -> None:
    assert told(fetched.compiled(with_sites(fetched, fetched.file(b"x.yaml", SITE, 0o100755)))) == []


def test_file_where_a_folder_belongs_is_told(fetched: Fetched) -> None:
    fleet = fetched.compiled(fetched.file(b"groups", b"x"), fetched.folder(b"revoked.yaml", fetched.file(b"x")))
    assert told(fleet) == ["groups:1:1 warning UnknownFile", "revoked.yaml/x:1:1 warning UnknownFolder"]


def hostile_texts() -> Mapping[bytes, tuple[bytes, str]]:
    return {
        b"bom.yaml": (b"\xef\xbb\xbf" + SITE, "1:1 error InvisibleCharacter"),
        b"latin.yaml": (b"name: caf\xe9\n", "1:10 error NotUtf8"),
        b"bomb.yaml": (b"name: &a [x]\n" + SITE[8:] + b"club: [*a, *a]\n", "1:7 error AnchorOrAlias"),
        b"deep.yaml": (b"[" * 100_000, "1:21 error TooDeep"),
        b"large.yaml": (b"#" * ((1 << 20) + 1), "1:1 error FileTooLarge"),
        b"zero.yaml": (b"\0" * 1000, "1:1 error InvisibleCharacter"),
        b"empty.yaml": (b"", "1:1 error EmptyDocument"),
    }


def test_hostile_texts_are_refused_all_at_once_at_their_places(fetched: Fetched) -> None:
    texts = hostile_texts()
    rows = [fetched.file(name, data) for name, (data, _) in texts.items()]
    fleet = fetched.compiled(with_sites(fetched, *rows))
    first = {p.file: f"{p.line}:{p.column} {p.severity} {p.code}" for p in reversed(fleet.problems)}
    assert first == {f"sites/{name.decode()}": expected for name, (_, expected) in texts.items()}


def test_documents_sorted_into_folders_thirty_deep_are_found_by_their_stem(fetched: Fetched) -> None:
    below = fetched.file(b"x.yaml")
    for _ in range(29):
        below = fetched.folder(b"d", below)
    shards = [fetched.folder(b"%02x" % n, fetched.file(b"club-%d.yaml" % n)) for n in range(64)]
    fleet = fetched.compiled(with_sites(fetched, below, *shards))
    assert told(fleet) == []
    assert set(fleet.sites) == {"rennes", "vannes", "x", *(f"club-{n}" for n in range(64))}


def test_one_id_in_two_shards_is_refused_at_the_second(fetched: Fetched) -> None:
    shards = [fetched.folder(name, fetched.file(b"x.yaml")) for name in (b"a", b"b", b"c")]
    assert told(fetched.compiled(with_sites(fetched, *shards))) == [
        "sites/b/x.yaml:1:1 error DuplicateId",
        "sites/c/x.yaml:1:1 error DuplicateId",
    ]
