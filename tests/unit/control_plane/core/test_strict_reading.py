"""Strict reading, clause by clause of the language: typed keys take what a value looks like, or refuse it."""

import pytest

from control_plane.core.problems import Problem
from control_plane.core.yaml_strict import MAX_BYTES, MAX_DEPTH
from tests.support.commits import changed, compiled, small_fleet

SITE = "sites/x.yaml"
PLACE = "name: X\nlocation: {city: A, region: B}\n"


def found_in(path: str, text: str | bytes) -> list[Problem]:
    """The errors of this file when it stands in a small fleet."""
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return [p for p in compiled(changed(small_fleet(), {path: data})).problems if p.file == path]


def places(path: str, text: str | bytes) -> list[str]:
    return [f"{p.line}:{p.column} {p.code}" for p in found_in(path, text) if p.severity == "error"]


# A plain scalar -> what each kind of key makes of it: `-` taken, else the code. The kinds are those of `SETTINGS`.
KINDS = ("text", "number", "boolean", "date", "free", "key")
TAKEN, WRONG, BAD, ODD, KEY = "-", "WrongType", "BadValue", "AmbiguousScalar", "KeyNotText"
SCALARS = {
    # scalar                  text   number boolean date   free   key
    "hello":                 (TAKEN, WRONG, WRONG, BAD,   TAKEN, TAKEN),
    "'7'":                   (TAKEN, WRONG, WRONG, BAD,   TAKEN, TAKEN),
    "7":                     (WRONG, TAKEN, WRONG, WRONG, TAKEN, KEY),
    "-7":                    (WRONG, BAD,   WRONG, WRONG, TAKEN, KEY),
    "7.0":                   (WRONG, WRONG, WRONG, WRONG, TAKEN, KEY),
    "7.5":                   (WRONG, WRONG, WRONG, WRONG, TAKEN, KEY),
    "true":                  (WRONG, WRONG, TAKEN, WRONG, TAKEN, KEY),
    "FALSE":                 (WRONG, WRONG, TAKEN, WRONG, TAKEN, KEY),
    "tRue":                  (TAKEN, WRONG, WRONG, BAD,   TAKEN, TAKEN),
    "yes":                   (TAKEN, WRONG, WRONG, BAD,   ODD,   ODD),
    "no":                    (TAKEN, WRONG, WRONG, BAD,   ODD,   ODD),
    "On":                    (TAKEN, WRONG, WRONG, BAD,   ODD,   ODD),
    "OFF":                   (TAKEN, WRONG, WRONG, BAD,   ODD,   ODD),
    "y":                     (TAKEN, WRONG, WRONG, BAD,   ODD,   ODD),
    "012":                   (TAKEN, WRONG, WRONG, BAD,   ODD,   ODD),
    "0o14":                  (WRONG, TAKEN, WRONG, WRONG, ODD,   KEY),
    "0x1F":                  (WRONG, TAKEN, WRONG, WRONG, TAKEN, KEY),
    "0b11":                  (WRONG, TAKEN, WRONG, WRONG, ODD,   KEY),
    "1_000":                 (TAKEN, WRONG, WRONG, BAD,   ODD,   ODD),
    "1:30":                  (TAKEN, WRONG, WRONG, BAD,   ODD,   ODD),
    "1e2":                   (WRONG, WRONG, WRONG, WRONG, ODD,   KEY),
    ".inf":                  (WRONG, WRONG, WRONG, WRONG, ODD,   KEY),
    ".NaN":                  (WRONG, WRONG, WRONG, WRONG, ODD,   KEY),
    "2026-01-31":            (TAKEN, WRONG, WRONG, TAKEN, ODD,   ODD),
    "2026-02-30":            (TAKEN, WRONG, WRONG, BAD,   ODD,   ODD),
    "2026-01-31T06:00:00Z":  (TAKEN, WRONG, WRONG, BAD,   ODD,   ODD),
    "null":                  (WRONG, WRONG, WRONG, TAKEN, TAKEN, KEY),
    "~":                     (WRONG, WRONG, WRONG, TAKEN, TAKEN, KEY),
    "=":                     (TAKEN, WRONG, WRONG, BAD,   ODD,   ODD),
    "[]":                    (WRONG, WRONG, WRONG, WRONG, TAKEN, KEY),
    "{}":                    (WRONG, WRONG, WRONG, WRONG, TAKEN, KEY),
}  # fmt: skip
SETTINGS = {
    "text": (SITE, "name: @@\nlocation: {city: A, region: B}\n"),
    "number": ("groups/x.yaml", "name: X\nsites: [rennes]\npriority: @@\n"),
    "boolean": (SITE, PLACE + "maintenance: {windows: [at_boot], bind_visible: @@}\n"),
    "date": ("video-sets/x.yaml", "name: X\ncategory: {id: x, name: X}\nvideos:\n  - video: noel\n    from: @@\n"),
    "free": (SITE, PLACE + "config: {a: @@}\n"),
    "key": (SITE, PLACE + "config:\n  ? @@\n  : 1\n"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scalar", SCALARS)
def test_scalar_means_what_it_looks_like_or_is_refused(scalar: str, kind: str) -> None:
    path, template = SETTINGS[kind]
    errors = [p for p in found_in(path, template.replace("@@", scalar)) if p.severity == "error"]
    expected = SCALARS[scalar][KINDS.index(kind)]
    assert " ".join(sorted(p.code for p in errors)) == (expected if expected != TAKEN else "")
    line = template.count("\n", 0, template.index("@@")) + 1
    assert {p.line for p in errors} <= {line}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # duplicate keys, however they are written
        (PLACE + "name: Y\n", "3:1 DuplicateKey"),
        (PLACE + "'name': Y\n", "3:1 DuplicateKey"),
        (PLACE + '"n\\x61me": Y\n', "3:1 DuplicateKey"),
        (PLACE + "? name\n: Y\n", "3:3 DuplicateKey"),
        ("name: X\nlocation: {city: A, region: B, city: C}\n", "2:32 DuplicateKey"),
        (PLACE + "config:\n  a: 1\n  b: {c: 1, c: 2}\n", "5:13 DuplicateKey"),
        # anchors, aliases, bombs, merge keys
        ("name: &n X\nlocation: {city: A, region: B}\n", "1:7 AnchorOrAlias"),
        (PLACE + "club: *n\n", "3:7 AnchorOrAlias"),
        (PLACE + "&k club: X\n", "3:1 AnchorOrAlias"),
        (PLACE + "config:\n  <<: {a: 1}\n", "4:3 MergeKey"),
        (PLACE + "config: {<<: [{a: 1}, {b: 2}]}\n", "3:10 MergeKey"),
        # tags, known and unknown, short and verbatim
        (PLACE + "club: !!str 7\n", "3:7 TagNotAllowed"),
        (PLACE + "club: !<tag:yaml.org,2002:str> x\n", "3:7 TagNotAllowed"),
        (PLACE + "config: !!python/object:os.system {a: x}\n", "3:9 TagNotAllowed"),
        (PLACE + "config: {a: !!binary aGk=}\n", "3:13 TagNotAllowed"),
        (PLACE + "sports: !!set {a, b}\n", "3:9 TagNotAllowed"),
        # several documents, directives
        (PLACE + "---\n" + PLACE, "3:1 SeveralDocuments"),
        (PLACE + "...\n---\n" + PLACE, "4:1 SeveralDocuments"),
        ("---\n---\n" + PLACE, "2:1 SeveralDocuments"),
        ("%YAML 1.2\n---\n" + PLACE, "1:1 Directive"),
        ("%TAG ! tag:example.org,2026:\n---\n" + PLACE, "1:1 Directive"),
        # bytes that are not UTF-8: another encoding, too long, a surrogate, cut off, UTF-16
        (b"name: caf\xe9\n", "1:10 NotUtf8"),
        (b"name: \xc0\xaf\n", "1:7 NotUtf8"),
        (b"name: \xed\xa0\x80\n", "1:7 NotUtf8"),
        (b"name: X\nclub: \xe2\x82", "2:7 NotUtf8"),
        (b"name: \xf5\x80\x80\x80\n", "1:7 NotUtf8"),
        ("name: X".encode("utf-16"), "1:1 NotUtf8"),
        # what cannot be seen, typed or escaped
        ("\ufeff" + PLACE, "1:1 InvisibleCharacter"),
        (PLACE + "club: a\ufeffb\n", "3:8 InvisibleCharacter"),
        *[(f"{PLACE}club: a{c}b\n", "3:8 InvisibleCharacter") for c in "\x00\x07\x1b\x7f\x85\x9b"],
        *[(f"{PLACE}club: a{c}b\n", "3:8 InvisibleCharacter") for c in "\u061c\u200e\u200f\u2028\u2029"],
        *[(f"{PLACE}club: a{c}b\n", "3:8 InvisibleCharacter") for c in "\u202a\u202b\u202c\u202d\u202e"],
        *[(f"{PLACE}club: a{c}b\n", "3:8 InvisibleCharacter") for c in "\u2066\u2067\u2068\u2069\ufffe\uffff"],
        (PLACE + "# a comment \u202e\n", "3:13 InvisibleCharacter"),
        (PLACE + 'club: "\\u202E"\n', "3:7 InvisibleCharacter"),
        (PLACE + 'club: "\\0"\n', "3:7 InvisibleCharacter"),
        (PLACE + 'club: "\\e"\n', "3:7 InvisibleCharacter"),
        (PLACE + "club: a\rb\n", "3:8 InvisibleCharacter"),
        # syntax
        (PLACE + "club: 'x\n", "4:1 YamlSyntax"),
        (PLACE + "club: x: y\n", "3:8 YamlSyntax"),
        (PLACE + "\tclub: x\n", "3:1 YamlSyntax"),
        (PLACE + "club: @x\n", "3:7 YamlSyntax"),
        (PLACE + "config: {a: 1]\n", "3:14 YamlSyntax"),
        (PLACE + "config:\n    a: 1\n  b: 2\n", "5:3 YamlSyntax"),
        (PLACE + 'club: "\\q"\n', "3:8 YamlSyntax"),
        ('{"name": "X"', "1:13 YamlSyntax"),
    ],
)
def test_what_the_language_refuses_is_refused_first_at_its_place(text: str | bytes, expected: str) -> None:
    found = found_in(SITE, text)
    assert f"{found[0].line}:{found[0].column} {found[0].code}" == expected
    assert found[0].severity == "error"
    assert ";" in found[0].message or "," in found[0].message, "a sentence says what to do"
    assert compiled(changed(small_fleet(), {SITE: text.encode() if isinstance(text, str) else text})).sites == {}


@pytest.mark.parametrize(
    "text",
    [
        "name: X # a comment\nlocation: {city: A, region: B,}\n",
        "---\n" + PLACE,
        PLACE + "...\n",
        PLACE.replace("\n", "\r\n"),
        '{"name": "X", "location": {"city": "A", "region": "B"}}',
        "? name\n: X\n? location\n: {city: A, region: B}\n",
        "name: >-\n  folded\n  text\nlocation:\n  city: 'it''s'\n  region: \"\\u00e9\\t\"\n",
        "name: Foot & Rugby *** ! %\nlocation: {city: A, region: B}\n",
        "name: Football\u00a0!\nlocation: {city: L'Haÿ-les-Roses, region: Île-de-France}\n",
        "name: 中文 \U0001f3c9 e\u0301\nlocation: {city: A, region: B}\n",
        PLACE + "config: {'<<': 1, 'no': 'yes', '2026-01-01': '012'}\n",
        PLACE + "config: {a: {}, b: [], c: null, d: ''}\n",
    ],
)
def test_other_ways_to_write_the_same_are_taken(text: str) -> None:
    assert places(SITE, text) == []


def nested(levels: int, *, flow: bool) -> str:
    """A site whose `config` reaches that deep: the document is level 1, `config` level 2."""
    if flow:
        return PLACE + f"config: {{a: {'[' * (levels - 2)}{']' * (levels - 2)}}}\n"
    return PLACE + "config:\n" + "".join(f"{' ' * n}a:\n" for n in range(1, levels - 1)) + f"{' ' * (levels - 1)}a: 1\n"


@pytest.mark.parametrize("flow", [True, False])
def test_nesting_is_bounded_exactly(flow: bool) -> None:
    assert places(SITE, nested(MAX_DEPTH, flow=flow)) == []
    assert [place.split()[1] for place in places(SITE, nested(MAX_DEPTH + 1, flow=flow))] == ["TooDeep"]


def test_size_is_bounded_exactly() -> None:
    text = PLACE + "#"
    assert places(SITE, text + "x" * (MAX_BYTES - len(text) - 1) + "\n") == []
    assert places(SITE, text + "x" * (MAX_BYTES - len(text)) + "\n") == ["1:1 FileTooLarge"]


def test_bomb_of_aliases_is_refused_without_being_worked_out() -> None:
    rows = ["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))]
    found = places(SITE, PLACE + "config:\n" + "".join(f"  {row}\n" for row in rows))
    assert found[:3] == ["4:7 AnchorOrAlias", "5:7 AnchorOrAlias", "5:12 AnchorOrAlias"]
    assert found[-1].endswith("TooManyProblems")


@pytest.mark.parametrize(
    ("path", "text", "near"),
    [
        (SITE, PLACE + "sprots: [x]\n", "sports"),
        (SITE, "name: X\nlocation: {city: A, region: B, contry: F}\n", "country"),
        (SITE, PLACE + "contact: {emial: a@b}\n", "email"),
        (SITE, PLACE + "poll: {intervall: 60s}\n", "interval"),
        (SITE, PLACE + "Release: 2.1.3\n", "release"),
        (SITE, PLACE + "video-sets: [national]\n", "video_sets"),
        ("groups/x.yaml", "name: X\npriority: 1\nselect: {sport: rugby}\n", "sports"),
        ("groups/x.yaml", "name: X\npriority: 1\nselect: {hardwrae: a}\n", "hardware"),
        ("video-sets/x.yaml", "name: X\ncategory: {id: x, nmae: X, name: X}\nvideos: []\n", "name"),
        (
            "video-sets/x.yaml",
            "name: X\ncategory: {id: x, name: X}\nvideos: [{video: noel, form: 2026-01-01}]\n",
            "from",
        ),
        ("fleet.yaml", "schema: 1\ndefualts: {release: 2.1.3}\n", "defaults"),
        ("releases/2.1.3.yaml", "version: 2.1.3\nsize_byte: 1\n", "size_bytes"),
        ("revoked.yaml", "identites: []\n", "identities"),
    ],
)
def test_unknown_key_is_named_with_the_nearest_known_one(path: str, text: str, near: str) -> None:
    [problem] = [p for p in found_in(path, text) if p.code == "UnknownKey"]
    assert f"(did you mean `{near}`?)" in problem.message
    row = text.splitlines()[problem.line - 1]
    assert row[problem.column - 1 :].split(":")[0] in problem.message


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("docs/Café.md", "docs/Cafe\u0301.md"),
        ("docs/a/x.md", "docs/A/x.md"),
        ("docs/ﬁn.md", "docs/fin.md"),
        ("docs/ı.md", "docs/I.md"),
        ("docs/ſ.md", "docs/s.md"),
        ("docs/Ω.md", "docs/\u2126.md"),
        ("sites/a/brest.yaml", "sites/A/brest.yaml"),
    ],
)
def test_names_that_meet_on_some_file_system_are_refused(one: str, other: str) -> None:
    found = compiled(changed(small_fleet(), {one: PLACE.encode(), other: PLACE.encode()})).problems
    same = sorted(p.file for p in found if p.code == "SameName")
    assert same == (sorted([one, other]) if one != "docs/ı.md" else [])
