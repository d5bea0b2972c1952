"""What is wrong with a commit: every Problem has a stable code, a place, and a sentence that says what to do."""

from collections.abc import Collection, Iterable, Sequence
from difflib import get_close_matches
from string import ascii_lowercase, digits
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from control_plane.core.problem_codes import Code

Severity = Literal["error", "warning"]
MANY: Final = 1000
MAX_PROBLEMS: Final = 200
"""Of one file: who wrote so many did not mean to write this kind of document."""
TOO_MANY: Final = f"there are more than {MAX_PROBLEMS} problems in this file; see to these"
SHOWN: Final = 60
"""Characters of a value that a sentence repeats."""
MAX_SENTENCE: Final = 1_500
_BLANKS: Final = "\u00a0\u202f"
_ALPHABET: Final = ascii_lowercase + digits + "-."
KeyPath = tuple[str | int, ...]
"""Where in a document: keys of maps and indices of lists, from the top."""


class Problem(Struct, frozen=True, kw_only=True, order=True):
    """A problem at `file`:`line`:`column` (both from 1); `problem_catalogue` explains its `code`. Sorts by place."""

    file: str
    line: int
    column: int
    severity: Severity
    code: Code
    message: str

    def __str__(self) -> str:
        return f"{one_line(self.file)}:{self.line}:{self.column}: {self.severity} {self.code}: {self.message}"


class Finding(Struct, frozen=True, kw_only=True):
    """A Problem whose place is still a key path in `file`; `at_key` points at the key and not at its value."""

    file: str
    path: KeyPath
    code: Code
    message: str
    severity: Severity = "error"
    at_key: bool = False


def sort_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By place, each once; what they repeat of hostile files steers no terminal, forges no line and floods no page."""
    return tuple(sorted({_tame(problem) for problem in problems}))


def _tame(problem: Problem) -> Problem:
    message = problem.message
    if message.isprintable() and len(message) <= MAX_SENTENCE:
        return problem
    return replace(problem, message=one_line(message)[:MAX_SENTENCE])


def brief(text: str) -> str:
    """The text as a sentence can hold it: in one line, nothing invisible, its beginning where it is long."""
    return one_line(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def one_line(text: str) -> str:
    """The text with every line end and invisible character written out; French blanks before a colon stay."""
    return (
        text if text.isprintable() else "".join(c if c.isprintable() or c in _BLANKS else ascii(c)[1:-1] for c in text)
    )


def suggestion(word: str, known: Collection[str]) -> str:
    """` (did you mean X?)` for the nearest known name, or nothing when none is near.

    Among very many names only those one slip of the fingers away are looked for, so that a thousand wrong names in a
    large fleet are named in no time.
    """
    if len(word) > MANY:
        return ""
    if len(known) > MANY:
        close = sorted(_one_slip(word).intersection(known))[:1]
    else:
        close = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean `{close[0]}`?)" if close else ""


def _one_slip(word: str) -> set[str]:
    """The word with one character left out, wrong or too many, or two of them swapped."""
    word = word[:64]
    halves = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    return {
        *(head + tail[1:] for head, tail in halves),
        *(head + tail[1] + tail[0] + tail[2:] for head, tail in halves if len(tail) > 1),
        *(head + letter + tail[1:] for head, tail in halves for letter in _ALPHABET),
        *(head + letter + tail for head, tail in halves for letter in _ALPHABET),
    }


def listed(words: Sequence[str], last: str = "or") -> str:
    """`a`, `b` or `c`."""
    quoted = [f"`{word}`" for word in words]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {last} {quoted[-1]}"
