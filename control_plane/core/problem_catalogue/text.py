"""The text of one file: YAML 1.2, of which only what every reader reads alike."""

from typing import Final

from control_plane.core.problem_catalogue.entry import Entry, Sample

_PATH: Final = "sites/brest.yaml"
_SITE: Final = "name: Brest\nlocation: {city: Brest, region: Bretagne}\n"


def _site(more: str) -> tuple[Sample]:
    return (Sample(_PATH, _SITE + more),)


TEXT: Final = (
    Entry(
        code="AmbiguousScalar",
        title="An unquoted value that readers of YAML take differently",
        means="In `config`, where no type is known, `no`, `on`, `012`, `1:30`, `1_000`, `1e3`, dates and numbers "
        "that are too large for a box mean one thing to YAML 1.1, another to YAML 1.2, and a third to "
        "people.",
        why="What a box gets must be what its operator reads. In typed keys such values are taken for what they "
        "look like.",
        remedy="Quote it if it is text; write `true`, `false` or a plain number if it is one. The message has the "
        "words to write.",
        wrong=_site("config: {subtitles: no, kickOff: 1:30}\n"),
        right=_site("config: {subtitles: false, kickOff: '1:30'}\n"),
    ),
    Entry(
        code="AnchorOrAlias",
        title="An anchor (`&name`) or an alias (`*name`)",
        means="A value is named in one place to be repeated in another.",
        why="A change in one place would move another, which no difference of the file shows; and a few lines "
        "of aliases can stand for gigabytes.",
        remedy="Write the value out. What many sites share belongs into a group.",
        wrong=_site("config:\n  home: &size {w: 10}\n  away: *size\n"),
        right=_site("config:\n  home: {w: 10}\n  away: {w: 10}\n"),
    ),
    Entry(
        code="Directive",
        title="A directive (`%YAML`, `%TAG`)",
        means="A line before the document starts with `%`.",
        why="Directives choose another version of YAML; there is one here, 1.2.",
        remedy="Delete the line.",
        wrong=(Sample(_PATH, "%YAML 1.1\n---\n" + _SITE),),
        right=(Sample(_PATH, _SITE),),
    ),
    Entry(
        code="DuplicateKey",
        title="A key stands twice in one map",
        means="The same key is written in two lines of one map.",
        why="Only one of the two values could count, and readers differ in which.",
        remedy="Keep one of them; the message names the line of the first.",
        wrong=_site("release: 2.1.3\nstate: active\nrelease: 2.2.0\n"),
        right=_site("state: active\nrelease: 2.2.0\n"),
    ),
    Entry(
        code="EmptyDocument",
        title="A file without a document",
        means="The file is empty, or holds only comments.",
        why="It looks like a site, a group or the like, and would be none.",
        remedy="Write its keys, or delete the file.",
        wrong=(Sample(_PATH, "# Brest comes in March\n"),),
        right=(Sample(_PATH, "# Brest comes in March\n" + _SITE),),
    ),
    Entry(
        code="FileTooLarge",
        title="A file of more than 1 MiB",
        means="The document is larger than any that a person writes.",
        why="Every limit is explicit: a commit must not be able to take the server's memory or time.",
        remedy="Split it: several groups, several video sets.",
    ),
    Entry(
        code="InvisibleCharacter",
        title="A character that cannot be seen",
        means="The file holds a control, line-separating or bidirectional character, a byte order mark, or an "
        "escape that stands for one.",
        why="Such characters make a file mean something else than what a reviewer sees.",
        remedy="Delete it; the message has its number. If it came from pasting, type the line anew.",
        wrong=(Sample(_PATH, "name: \u202eBrest\nlocation: {city: Brest, region: Bretagne}\n"),),
        right=(Sample(_PATH, _SITE),),
    ),
    Entry(
        code="KeyNotText",
        title="A key that is no text",
        means="A key is a number, true, false, nothing, a list or a map.",
        why="Keys of JSON, which boxes read, are text; `2` and `'2'` would become one.",
        remedy="Quote the key.",
        wrong=_site("config: {channels: {1: sport}}\n"),
        right=_site("config: {channels: {'1': sport}}\n"),
    ),
    Entry(
        code="MergeKey",
        title="A merge key (`<<`)",
        means="A map takes the keys of another map.",
        why="YAML 1.2 has no merge keys, and what a map holds would be written elsewhere. Layers do this, and "
        "tell where each value comes from: `neopro why SITE KEY`.",
        remedy="Write the keys out, or put what is shared into a group.",
        wrong=_site("config:\n  <<: {position: top-left}\n  size: 2\n"),
        right=_site("config:\n  position: top-left\n  size: 2\n"),
    ),
    Entry(
        code="NotUtf8",
        title="Bytes that are not UTF-8",
        means="The file was saved in another encoding, such as Latin-1.",
        why="The same bytes would be different letters on different machines.",
        remedy="Save the file as UTF-8, without a byte order mark.",
        wrong=(Sample(_PATH, "name: Caf\udce9 Sport\nlocation: {city: Brest, region: Bretagne}\n"),),
        right=(Sample(_PATH, "name: Café Sport\nlocation: {city: Brest, region: Bretagne}\n"),),
    ),
    Entry(
        code="SeveralDocuments",
        title="A second document in one file",
        means="A line `---` begins another document.",
        why="The file's stem is the id of one document.",
        remedy="Move the second to a file of its own.",
        wrong=(Sample(_PATH, f"{_SITE}---\nname: Quimper\n"),),
        right=(Sample(_PATH, _SITE), Sample("sites/quimper.yaml", _SITE.replace("Brest", "Quimper"))),
    ),
    Entry(
        code="TagNotAllowed",
        title="A tag (`!…`)",
        means="A value carries a type of its own, such as `!!str` or `!secret`.",
        why="Types are known by the key; other tags make readers run code.",
        remedy="Delete the tag, and quote the value if it is to be text.",
        wrong=_site("labels: {offer: !!str premium}\n"),
        right=_site("labels: {offer: premium}\n"),
    ),
    Entry(
        code="TooDeep",
        title="Nested deeper than 20 levels",
        means="Lists and maps stand in each other more than 20 times.",
        why="Every limit is explicit; nothing in a box's configuration is nearly as deep.",
        remedy="Write it flatter.",
        wrong=_site(f"config: {{deep: {'[' * 19}1{']' * 19}}}\n"),
        right=_site("config: {deep: [1]}\n"),
    ),
    Entry(
        code="TooManyProblems",
        title="More than 200 problems in one file",
        means="The rest of the file's problems are not listed.",
        why="Who wrote so many did not mean to write this kind of document: it is mostly a file in the wrong folder.",
        remedy="See to those that are listed, or to where the file stands; then check again.",
    ),
    Entry(
        code="YamlSyntax",
        title="This is not YAML",
        means="The text breaks YAML's grammar at this place.",
        why="It cannot be read.",
        remedy="Look at this line and the one above: mostly a quote, a bracket, the blank after a `:` or the "
        "indentation is missing. Text that holds `: ` or ` #`, or begins with one of ``[{&*!|>%@` ``, needs "
        "quotes.",
        wrong=(Sample(_PATH, "name: Brest: Handball\nlocation: {city: Brest, region: Bretagne}\n"),),
        right=(Sample(_PATH, "name: 'Brest: Handball'\nlocation: {city: Brest, region: Bretagne}\n"),),
    ),
)
