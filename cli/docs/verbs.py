"""docs/cli.md: every verb with its arguments, as `--help` prints them."""

from collections.abc import Iterator

from cli.catalogue import SUBJECTS, VERBS
from cli.topics import environment
from cli.verb import Verb

_WIDTH = 100
_INTRO = """\
# The command line

<!-- Written by `make docs` from the code: change the docstrings of cli/verbs/ and not this page. -->

`neopro VERB --help` prints what stands here. `neopro completion bash --install` (zsh, fish) completes verbs, options
and the ids of your checkout; `neopro doctor` says what is wrong with a set-up.

- **Exit status**: 0 done, 1 the answer is no (problems, not converged, changes), 2 it could not run, 130 interrupted.
  What went wrong is one sentence on standard error that says what to do.
- **`--json`** prints data alone on standard output, whatever happens; colours, progress bars and check marks are for
  terminals, and `NO_COLOR` takes the colours away.
- **Verbs that change documents** keep comments, order and quotes. They write the files, or with `--commit` make a
  commit, with `--branch NAME` a commit on a new branch that leaves the checkout as it is, with `--dry-run` a diff.
  Interrupted, they leave the repository as it was, or a whole commit.
"""


def cli_page() -> str:
    """The page."""
    return "\n".join([_INTRO, "## Verbs", "", *_table(), "", "## Settings", "", *_fenced(environment()), *_verbs()])


def _table() -> Iterator[str]:
    yield "| verb | what it does |"
    yield "|---|---|"
    for words, (_, what) in VERBS.items():
        yield f"| [`{words}`](#neopro-{words.replace(' ', '-')}) | {what} |"


def _verbs() -> Iterator[str]:
    ordered = [words for words in VERBS if " " not in words]
    ordered += [words for subject in SUBJECTS for words in VERBS if words.startswith(f"{subject} ")]
    for words in ordered:
        yield f"## neopro {words}"
        yield ""
        yield from _fenced(Verb(words, VERBS[words][0]).help(_WIDTH))


def _fenced(text: str) -> Iterator[str]:
    yield from ("```text", text, "```", "")
