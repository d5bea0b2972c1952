"""Strict YAML: what is refused, where, and that both readers say the same."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from control_plane.core.problems import MAX_PROBLEMS
from control_plane.core.yaml_compose import compose
from control_plane.core.yaml_nodes import Node, value_of
from control_plane.core.yaml_scalars import objection, plain_value
from control_plane.core.yaml_strict import MAX_BYTES, Doubtful, load_plain, require_plain_config


@contextmanager
def at_most_s(seconds: float) -> Iterator[None]:
    """Fails when the block took more processor time."""
    before_s = time.process_time()
    try:
        yield
    finally:
        assert time.process_time() - before_s < seconds


def refusals(text: str | bytes) -> list[str]:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(Doubtful):
        load_plain(data)
    return [f"{p.line}:{p.column} {p.code}" for p in compose("f.yaml", data).problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", ["3:1 DuplicateKey"]),
        ("a: {b: 1, 'b': 2}\n", ["1:11 DuplicateKey"]),
        ("a: &x 1\nb: *x\n", ["1:4 AnchorOrAlias", "2:4 AnchorOrAlias"]),
        ("a: 1\n<<: {b: 2}\n", ["2:1 MergeKey"]),
        ("a: !!str 1\n", ["1:4 TagNotAllowed"]),
        ("a: ! 12\n", ["1:4 TagNotAllowed"]),
        ("a: !secret x\n", ["1:4 TagNotAllowed"]),
        ("a: 1\n---\nb: 1\n", ["2:1 SeveralDocuments"]),
        ("%YAML 1.1\n---\na: no\n", ["1:1 Directive"]),
        ("a: 'x\u202ey'\n", ["1:6 InvisibleCharacter"]),
        ('a: "\\u202e"\n', ["1:4 InvisibleCharacter"]),
        ('a: "\\x07"\n', ["1:4 InvisibleCharacter"]),
        ("\ufeffa: 1\n", ["1:1 InvisibleCharacter"]),
        ("a: b\u0085c\n", ["1:5 InvisibleCharacter"]),
        ("a: 1\rb\n", ["1:5 InvisibleCharacter"]),
        (b"a: caf\xe9\n", ["1:7 NotUtf8"]),
        ("a: [1, 2\n", ["2:1 YamlSyntax"]),
        ("a: [1, 2", ["1:9 YamlSyntax"]),
        ("a: é\n'", ["2:2 YamlSyntax"]),
        ("a: b: c\n", ["1:5 YamlSyntax"]),
        ("\ta: 1\n", ["1:1 YamlSyntax"]),
        ("[" * 10_000, ["1:21 TooDeep"]),
        ("{a: " * 10_000, ["1:81 TooDeep"]),
        ("- " * 3_000 + "x\n", ["1:41 TooDeep"]),
        ("a: " + "x" * (1 << 20), ["1:1 FileTooLarge"]),
        ("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n", None),
    ],
)
def test_what_is_not_strict_yaml_is_refused_at_its_place(text: str | bytes, expected: list[str] | None) -> None:
    found = refusals(text)
    assert found == expected if expected is not None else len(found) == 6


def test_every_fault_is_reported_and_not_only_the_first() -> None:
    assert refusals("a: &x 1\nb: 'p\u200eq'\na: !t 2\n<<: {}\n") == [
        "2:6 InvisibleCharacter",
        "1:4 AnchorOrAlias",
        "3:1 DuplicateKey",
        "3:4 TagNotAllowed",
        "4:1 MergeKey",
    ]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("a: [" + "&x b, " * 5000 + "]", "1:5 AnchorOrAlias"),
        ("a: '" + "\x01" * 5000 + "'", "1:5 InvisibleCharacter"),
        ("{" + "a," * 5000 + "}", "1:4 DuplicateKey"),
    ],
)
def test_file_with_thousands_of_faults_names_the_first_ones_and_says_that_there_are_more(text: str, first: str) -> None:
    found = refusals(text)
    assert found[0] == first
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1].endswith("TooManyProblems")


def test_megabyte_of_open_brackets_is_refused_without_the_parser_that_takes_hours_for_it() -> None:
    data = b"a: " + b"[" * (MAX_BYTES - 3)
    with pytest.raises(Doubtful), at_most_s(1):
        load_plain(data)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("%TAG !a{0}! x\n", ["1:1 Directive"]),
        ("%TAG ! x\n", ["1:1 Directive"]),
        ("k{0}: [\n", ["11:1 TooDeep"]),
        ("? a\n", ["2:3 DuplicateKey"]),
        ("[a, ", ["1:81 TooDeep"]),
        ("[{{a: ", ["1:51 TooDeep"]),
        ("? ", ["1:41 TooDeep"]),
        ("&a ", ["1:1 AnchorOrAlias"]),
        ("---\n", ["2:1 SeveralDocuments"]),
        ("!", ["1:1 TagNotAllowed"]),
    ],
)
def test_megabyte_of_what_parsers_are_slow_on_is_refused_at_once(line: str, expected: list[str]) -> None:
    lines = "".join(line.format(number) for number in range(MAX_BYTES // len(line.format(90_000))))
    with at_most_s(1.5):
        found = refusals(lines[:MAX_BYTES])
    assert found[:1] == expected


@pytest.mark.parametrize("text", ["name: Foot & Rugby", "name: Foot &", "a: [x & y, 2 * 3]", "a: R&D*"])
def test_ampersand_and_asterisk_within_text_need_no_second_look(text: str) -> None:
    assert load_plain(text.encode()) == value_of(_root(text))


def _root(text: str) -> Node:
    root = compose("f.yaml", text.encode()).root
    assert root is not None
    return root


def test_many_keys_are_read_in_one_pass() -> None:
    text = "".join(f"k{number}: 1\n" for number in range(20_000))
    composed = compose("f.yaml", text.encode())
    assert not composed.problems
    assert composed.root is not None
    assert len(value_of(composed.root)) == 20_000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("on", "on"), ("yes", "yes"), ("012", "012"), ("1:30", "1:30"), ("1_000", "1_000"),
        ("2026-01-01", "2026-01-01"), ("0x1f", 31), ("0o17", 15), ("-0x1f", -31), ("0b11", 3),
        ("01.5", 1.5), ("1e3", 1000.0), (".5", 0.5), ("~", None), ("", None),
        ("Null", None), ("TRUE", True), ("-0", 0), ("+7", 7), ("1.", 1.0), ("1e400", "1e400"), ("nan", "nan"),
        ("9" * 401, "9" * 401), ("9" * 309, "9" * 309), ("0x" + "f" * 17, "0x" + "f" * 17),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2.0**64), ("-9223372036854775808", -(2**63)), ("-9223372036854775809", -(2.0**63)),
    ],
)  # fmt: skip
def test_a_plain_scalar_means_what_it_looks_like(text: str, value: object) -> None:
    assert plain_value(text) == value
    assert type(plain_value(text)) is type(value)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("no", "quote it ('no') or write false"),
        ("Yes", "quote it ('Yes') or write true"),
        ("on", "quote it ('on') or write true"),
        ("y", "quote it ('y') or write true"),
        ("012", "quote it ('012') or write 12"),
        ("0o17", "quote it ('0o17') or write 15"),
        ("0b11", "quote it ('0b11') or write 3"),
        ("1:30", "quote it: '1:30'"),
        ("1_000", "quote it ('1_000') or write 1000"),
        ("1e3", "quote it ('1e3') or write 1000.0"),
        ("2026-01-01", "quote it: '2026-01-01'"),
        ("2026-01-01T10:00:00Z", "quote it: '2026-01-01T10:00:00Z'"),
        (".inf", "cannot be sent to a box; write a number"),
        ("9007199254740993", "quote it: '9007199254740993'"),
    ],
)
def test_an_ambiguous_scalar_in_a_free_map_is_refused_with_what_to_write(text: str, advice: str) -> None:
    sentence = objection(text, plain_value(text))
    assert sentence is not None
    assert sentence.endswith(advice)
    for document in (f"config: {{a: {text}}}\n", f"config:\n  b:\n    - {text}\n"):
        with pytest.raises(Doubtful):
            require_plain_config(load_plain(document.encode())["config"], document.encode(), 2)


@pytest.mark.parametrize(
    "text", ["top-left", "12", "-3", "0", "0.5", "true", "null", "2.1.3", "10:00 h", "a_b", "nope"]
)
def test_a_clear_scalar_in_a_free_map_is_taken(text: str) -> None:
    assert objection(text, plain_value(text)) is None
    document = f"config: {{a: {text}}}\n".encode()
    require_plain_config(load_plain(document)["config"], document, 2)


_SCALARS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["no", "012", "1:30", "~", "'quoted'", '"x\\ty"', "0x1f", "1e3", "- a", "{a: 1}", "[1, b]", "|\n  x"]
    ),
    st.from_regex(r"[-+]?0?[xob]?[0-9]{1,4}[.eE_:]?[-+]?[0-9]{0,3}", fullmatch=True),
    st.integers(-(2**40), 2**40).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)
_LINES = st.lists(
    st.tuples(st.text("abc -:#'", max_size=5), _SCALARS).map(lambda pair: f"{pair[0]}: {pair[1]}"), max_size=6
)


@given(_LINES.map("\n".join))
@example("a: 'x\n\n  y'")
@example("a: >-\n  folded\n  text\n\nb: |+\n  kept\n\n")
@example("é: «ça»\r\nb: [1, 2,]\r\n")
@example("? a\n: b\n")
@example("a: 0x1F\nb: 0X1F\nc: +0x1f\nd: -0o7")
def test_what_the_fast_reader_takes_the_precise_one_reads_alike(text: str) -> None:
    try:
        fast = load_plain(text.encode())
    except (Doubtful, UnicodeEncodeError):
        return
    composed = compose("f.yaml", text.encode())
    if any(p.code == "KeyNotText" for p in composed.problems):
        return  # no kind of document takes such a key: the conversion refuses what the fast reader let through
    assert composed.problems == ()
    assert (None if composed.root is None else value_of(composed.root)) == fast
