"""docs/problems.md: every code of a Problem, from the catalogue."""

from collections.abc import Iterator

from control_plane.core.problem_catalogue import CHAPTERS, Entry, Sample

HEAD = """\
# Problems: every code, what it means, and what to do

Made by `make docs` from `control_plane/core/problem_catalogue`; change it there. `neopro explain CODE` prints an entry.

`neopro validate` and the server tell every Problem of a commit at once, as `file:line:column: error CODE: what, and
what to do`. An error refuses the commit whole: what was published goes on being served. A warning does not. A code
stays what it is once it is published, so that programs may go by it (`neopro validate --json`); sentences may change.
"""
_KINDS = {0o120000: "a link to ", 0o160000: "a submodule"}


def problems_page() -> str:
    """The page."""
    parts = [HEAD, *(line for title, entries in CHAPTERS.items() for line in _chapter(title, entries))]
    return "\n".join(parts)


def _chapter(title: str, entries: tuple[Entry, ...]) -> Iterator[str]:
    yield f"## {title}\n"
    ordered = sorted(entries, key=lambda entry: entry.code)
    yield "| code | |\n|---|---|"
    yield from (f"| [`{entry.code}`](#{entry.code.lower()}) | {entry.title} |" for entry in ordered)
    yield ""
    for entry in ordered:
        yield from _entry(entry)


def _entry(entry: Entry) -> Iterator[str]:
    yield f"### {entry.code}\n"
    yield f"**{entry.title}** ({' or '.join(entry.severities)}). {entry.means} {entry.why}\n"
    yield f"{entry.remedy}\n"
    if entry.wrong:
        yield from _example("Wrong", entry.wrong)
        yield from _example("Right", entry.right)


def _example(title: str, samples: tuple[Sample, ...]) -> Iterator[str]:
    yield f"{title}:\n\n```yaml"
    yield from (shown(sample) for sample in samples)
    yield "```\n"


def shown(sample: Sample) -> str:
    """A file of an example under its name; what cannot be seen in it is written out."""
    if sample.mode in _KINDS:
        return f"# {sample.path} is {_KINDS[sample.mode]}{sample.text}"
    return f"# {sample.path}\n{''.join(_visible(character) for character in sample.text)}".rstrip("\n")


def _visible(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    code = ord(character)
    return f"<byte {code - 0xDC00:02X}>" if 0xDC80 <= code <= 0xDCFF else f"<U+{code:04X}>"
