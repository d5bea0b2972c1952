"""What one file may say: every wrong value at its place, with a sentence that says what to do."""

import time

import pytest

from control_plane.core.compile import compile_commit
from tests.support.commits import FLEET, NATIONAL, changed, compiled, messages, problems, release, site, small_fleet
from tests.support.fleet_generator import as_tree
from tests.support.patience import promised

KEY_REFUSED = "ConfigKeyRefused"
UNTIL = "not_after: 2026-11-24T06:00:00+01:00\n"
KEY = "identity: ed25519:" + "A" * 43 + "="


def of(path: str, text: str | bytes) -> list[str]:
    """What is said of this file when it stands in a small fleet."""
    data = text.encode() if isinstance(text, str) else text
    found = compiled(changed(small_fleet(), {path: data})).problems
    return [f"{p.line}:{p.column} {p.code}" for p in found if p.file == path and p.code != "SelectorMatchesNothing"]


PLACE = "name: X\nlocation: {city: A, region: B}\n"


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("sites/x.yaml", PLACE, []),
        ("sites/x.yaml", "", ["1:1 EmptyDocument"]),
        ("sites/x.yaml", "# nothing\n", ["1:1 EmptyDocument"]),
        ("sites/x.yaml", "\n---", ["2:4 EmptyDocument"]),
        ("sites/x.yaml", PLACE + "sports:\n-", ["4:2 WrongType"]),
        ("sites/x.yaml", "- a\n", ["1:1 WrongType"]),
        ("sites/x.yaml", PLACE + "nmae: y\n", ["3:1 UnknownKey"]),
        ("sites/x.yaml", "location: {city: A, regoin: B}\n", ["1:1 MissingKey", "1:11 MissingKey", "1:21 UnknownKey"]),
        ("sites/x.yaml", PLACE + "sports: football\n", ["3:9 WrongType"]),
        ("sites/x.yaml", PLACE + "sports: [football, 7]\n", ["3:20 WrongType"]),
        ("sites/x.yaml", PLACE + "hardware: true\n", ["3:11 WrongType"]),
        ("sites/x.yaml", PLACE + "state: retierd\n", ["3:8 BadValue"]),
        ("sites/x.yaml", PLACE + "release: 2.10\n", ["3:10 WrongType"]),
        ("sites/x.yaml", PLACE + "release: v2.1.3\n", ["3:10 BadValue"]),
        ("sites/x.yaml", PLACE + "identity: ssh-rsa\n", ["3:11 BadValue"]),
        ("sites/x.yaml", PLACE + KEY + "\n", ["3:11 WeakKey"]),
        ("sites/x.yaml", PLACE + "poll: {interval: 60}\n", ["3:18 WrongType"]),
        ("sites/x.yaml", PLACE + "poll: {interval: 2d}\n", ["3:18 BadValue"]),
        ("sites/x.yaml", PLACE + "config: {a: no}\n", ["3:13 AmbiguousScalar"]),
        ("sites/x.yaml", PLACE + "config: {a: 'no', b: \"012\"}\n", []),
        ("sites/x.yaml", PLACE + "config: {on: 1, 2: x}\n", ["3:10 AmbiguousScalar", "3:17 KeyNotText"]),
        ("sites/x.yaml", PLACE + "config: {auth: {}, categories: []}\n", [f"3:{n} {KEY_REFUSED}" for n in (10, 20)]),
        ("sites/x.yaml", PLACE + "config: {sponsors: null}\n", ["3:10 " + KEY_REFUSED]),
        ("sites/x.yaml", PLACE + "config: {a: " + "[" * 18 + "]" * 18 + "}\n", []),
        ("sites/x.yaml", PLACE + "config: {a: " + "[" * 19 + "]" * 19 + "}\n", ["3:31 TooDeep"]),
        ("sites/x.yaml", PLACE + "config:\n", ["3:1 WrongType"]),
        ("sites/x.yaml", PLACE + "labels: {offer: 1}\n", ["3:17 WrongType"]),
        ("sites/x.yaml", PLACE + "maintenance: {windows: []}\n", ["3:14 WindowNeverOpens"]),
        (
            "sites/x.yaml",
            PLACE + 'maintenance: {windows: [{days: daily, from: "03:00", to: "03:00"}]}\n',
            ["3:25 WindowNeverOpens"],
        ),
        ("sites/x.yaml", PLACE + "timezone: Europe/Pari\n", ["3:11 BadValue"]),
        ("sites/x.yaml", PLACE + "timezone:\n  Europe/Pari\n", ["4:3 BadValue"]),
        ("sites/x.yaml", "# x\n" + PLACE + "'timezone': Europe/Pari\n", ["4:13 BadValue"]),
        ("sites/x.yaml", PLACE + "maintenance: {windows: [noon]}\n", ["3:25 BadValue"]),
        ("sites/x.yaml", PLACE + "maintenance: {windows: [{to: 03:00}]}\n", ["3:25 WindowNeverOpens"]),
        ("sites/x.yaml", PLACE + "bandwidth: {limit: 2MB/s, hours: 25:00-26:00}\n", ["3:34 BadValue"]),
        (
            "sites/x.yaml",
            PLACE + "agent: 1.0.0\nbackup: {videos: true}\n",
            ["3:8 MissingReference", "4:1 RecoveryMissing"],
        ),
        ("sites/x.yaml", PLACE + "video_sets: [national]\nwithout_video_sets: [national]\n", ["4:22 Contradiction"]),
        ("groups/x.yaml", "name: X\npriority: 1\n", ["1:1 SelectOrSites"]),
        ("groups/x.yaml", "name: X\npriority: 1\nselect: {id: rennes}\nsites: [rennes]\n", ["1:1 SelectOrSites"]),
        ("groups/x.yaml", "name: X\npriority: 012\nsites: [rennes]\n", ["2:11 WrongType"]),
        ("groups/x.yaml", "name: X\npriority: 1001\nsites: [rennes]\n", ["2:11 BadValue"]),
        ("groups/x.yaml", "name: X\npriority: 1\nselect: {regoin: B}\n", ["3:10 UnknownKey"]),
        ("groups/x.yaml", "name: X\npriority: 1\nselect: {}\n", ["3:9 BadValue"]),
        ("groups/x.yaml", "name: X\npriority: 1\nselect: {region: {nto: B}}\n", ["3:18 MissingKey", "3:19 UnknownKey"]),
        ("groups/x.yaml", "name: X\npriority: 1\nselect: {sports: []}\n", ["3:18 BadValue"]),
        ("videos/x.yaml", "name: X\ndigest: sha256:12\nsize_bytes: 1.5\n", ["2:9 BadValue", "3:13 WrongType"]),
        ("videos/x.yaml", f"name: X\ndigest: sha256:{'0' * 64}\nsize_bytes: 0\n", ["3:13 BadValue"]),
        (
            "video-sets/x.yaml",
            "name: X\ncategory: {id: x, name: X}\nvideos:\n  - {video: noel, from: 2026-02-30}\n",
            ["4:25 BadValue"],
        ),
        (
            "video-sets/x.yaml",
            "name: X\ncategory: {id: x, name: X}\nvideos:\n  - {video: noel, from: 2026-03-01, until: 2026-02-01}\n",
            ["4:44 EmptyPeriod"],
        ),
        ("video-sets/x.yaml", "name: X\ncategory: {id: x, name: X}\nvideos: [noel, noel]\n", ["3:16 SamePlace"]),
        ("video-sets/x.yaml", "name: X\ncategory: {id: x y, name: X}\nvideos: []\n", ["2:16 BadValue"]),
        ("releases/9.9.9.yaml", release("2.1.3"), ["1:10 NameMismatch", "1:10 ReleaseNotAllowed"]),
        ("operations/x.yaml", "target: {}\naction: reboot\n" + UNTIL, ["1:9 BadValue"]),
        ("operations/x.yaml", "target: {site: rennes}\naction: reboot\nnot_after: 2026-11-24\n", ["3:12 BadValue"]),
        (
            "operations/x.yaml",
            "target: {site: rennes}\naction: restart_service\n" + UNTIL,
            ["2:9 MissingKey"],
        ),
        ("revoked.yaml", "identities: [x]\n", ["1:14 BadValue"]),
    ],
)  # fmt: skip
def test_a_wrong_document_is_refused_at_its_place(path: str, text: str | bytes, expected: list[str]) -> None:
    assert of(path, text) == expected


def test_two_campaigns_of_one_video_in_a_set_are_taken() -> None:
    items = "  - {video: noel, until: 2026-01-31}\n  - {video: noel, from: 2026-12-01}\n"
    assert of("video-sets/x.yaml", f"name: X\ncategory: {{id: x, name: X}}\nvideos:\n{items}") == []


@pytest.mark.parametrize(
    ("path", "text", "sentence"),
    [
        ("sites/x.yaml", PLACE + "hardwrae: a\n", "unknown key `hardwrae` (did you mean `hardware`?)"),
        (
            "sites/x.yaml",
            PLACE + "state: retierd\n",
            "(did you mean `retired`?); write `active`, `retired` or `suspended`",
        ),
        ("sites/x.yaml", PLACE + "release: 2.10\n", "this must be text, not the number `2.10`; quote it: '2.10'"),
        ("groups/x.yaml", "name: X\npriority: 012\nsites: []\n", "a whole number, not the text `012`; write 12"),
        ("sites/x.yaml", PLACE + "video_sets: [nationl]\n", "no video set `nationl` (did you mean `national`?)"),
        ("sites/x.yaml", PLACE + "config: {a: 1_000}\n", "quote it ('1_000') or write 1000"),
        (
            "sites/x.yaml",
            PLACE + "timezone: Europe/Pari\n",
            "`Europe/Pari` (did you mean `Europe/Paris`?)",
        ),
        ("videos/x.yaml", "name:\n", "this must be text, not nothing; leave the key out, or write a value"),
    ],
)
def test_the_sentence_says_what_to_do(path: str, text: str, sentence: str) -> None:
    assert sentence in messages(changed(small_fleet(), {path: text.encode()}))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("sites/Rennes2.yaml", "error BadFileName"),
        ("sites/x.yml", "error WrongFileName"),
        ("sites/x.txt", "error WrongFileName"),
        ("releases/2.1.yaml", "error BadFileName"),
        ("Sites/x.yaml", "error WrongFolderName"),
        ("video_sets/x.yaml", "error WrongFolderName"),
        ("fleet.yml", "error WrongFileName"),
        ("calendars/x.csv", "error WrongFileName"),
        ("calendars/x.ics", "error BadCalendar"),
        ("stuff/x.yaml", "warning UnknownFolder"),
        ("notes.txt", "warning UnknownFile"),
        ("trust/root-01.json", "warning UnknownFile"),
    ],
)
def test_a_file_that_is_not_read_is_named(path: str, expected: str) -> None:
    assert problems(changed(small_fleet(), {path: b"x"})) == [f"{path}:1:1 {expected}"]


@pytest.mark.parametrize(
    "path", ["README.md", "LICENSE", ".gitattributes", ".github/x.yml", "docs/a/b.yaml", "sites/.gitkeep"]
)  # fmt: skip
def test_a_file_that_every_project_has_is_ignored(path: str) -> None:
    assert problems(changed(small_fleet(), {path: b"\xff"})) == []


def test_documents_in_folders_below_count_and_an_id_is_used_once() -> None:
    files = changed(small_fleet(), {"sites/bretagne/brest.yaml": site("brest")})
    assert set(compiled(files).sites) == {"brest", "rennes", "vannes"}
    files["sites/bretagne/rennes.yaml"] = site("rennes-2")
    assert problems(files) == ["sites/rennes.yaml:1:1 error DuplicateId"]


@pytest.mark.parametrize(
    "paths",
    [
        ("docs/Straße.md", "docs/STRASSE.md"),
        ("docs/cafe\u0301.md", "docs/caf\u00e9.md"),
        ("Docs/a.md", "docs/a.md"),
    ],
)
def test_names_that_some_file_system_takes_for_one_are_refused(paths: tuple[str, str]) -> None:
    found = [p for p in problems(changed(small_fleet(), dict.fromkeys(paths, b""))) if "SameName" in p]
    assert found == [f"{path}:1:1 error SameName" for path in sorted(paths)]


def test_a_clean_fleet_has_no_problem() -> None:
    assert problems(small_fleet()) == []


def test_problems_of_all_files_come_at_once_and_sorted() -> None:
    files = changed(
        small_fleet(),
        {
            "videos/noel.yaml": b"name: x\n",
            "fleet.yaml": FLEET + b"tpyo: 1\n",
            "video-sets/national.yaml": NATIONAL + b"loop: sponsors\n",
        },
    )
    assert problems(files) == [
        "fleet.yaml:5:1 error UnknownKey",
        "video-sets/national.yaml:6:1 error DuplicateKey",
        "videos/noel.yaml:1:1 error MissingKey",
        "videos/noel.yaml:1:1 error MissingKey",
    ]
    assert compiled(files).sites == {}


def test_a_file_that_is_wrong_all_over_is_reported_in_bounds() -> None:
    text = PLACE + "".join(f"k{number}: 1\n" for number in range(5000))
    found = of("sites/x.yaml", text)
    assert len(found) == 201
    assert found[-1].endswith("TooManyProblems")


@pytest.mark.parametrize("number", ["18446744073709551616", "9" * 60, "9" * 5000, "0" * 5000 + "1", "1_" * 5000 + "1"])
def test_number_that_no_machine_counts_to_is_refused_in_a_sentence(number: str) -> None:
    text = f"name: X\ndigest: sha256:{'0' * 64}\nsize_bytes: {number}\n"
    assert of("videos/x.yaml", text) == ["3:13 WrongType"]
    assert of("sites/x.yaml", PLACE + f"config: {{a: {number}}}\n")[0].startswith("3:13 AmbiguousScalar")
    assert len(messages(changed(small_fleet(), {"videos/x.yaml": text.encode()}))) < 300


@pytest.mark.parametrize("word", ["x" * 1000, "a\\nfleet.yaml:1:1: error Forged: b", "\\u009b2J"])
def test_sentence_repeats_of_a_hostile_key_only_what_fits_one_line(word: str) -> None:
    found = compiled(changed(small_fleet(), {"sites/x.yaml": f'{PLACE}"{word}": 1\n'.encode()})).problems
    assert [p.code for p in found if p.file == "sites/x.yaml"][-1] == "UnknownKey"
    assert all(len(str(p)) < 1000 and str(p).isprintable() for p in found)


def test_path_with_a_line_end_forges_no_line() -> None:
    found = compiled(changed(small_fleet(), {"sites/a\nfleet.yaml:1:1: error X.yaml": b"x"})).problems
    assert [p.code for p in found] == ["BadFileName"]
    assert str(found[0]).isprintable()


def test_thousands_of_broken_files_are_placed_each_in_no_time() -> None:
    """A script that adds a wrong key to every site must not keep the server busy: 0.25 ms a file."""
    wrong = {f"sites/x{number}.yaml": (PLACE + "nope: 1\n").encode() for number in range(2000)}
    tree = as_tree(changed(small_fleet(), wrong))
    before_s = time.process_time()
    found = compile_commit(*tree).problems
    assert time.process_time() - before_s < promised(3)
    assert {(p.file, p.line, p.column, p.code) for p in found} == {(path, 3, 1, "UnknownKey") for path in wrong}
