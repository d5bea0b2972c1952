"""`neopro`: finds the verb, imports it alone, and turns what happens into an exit status.

0 done · 1 the answer is no (problems, not converged) · 2 it could not run · 130 interrupted. Every failure is one
sentence on standard error.
"""

import os
import sys
from collections.abc import Sequence
from typing import Final

from cli.catalogue import SUBJECTS, VERBS

HELP: Final = (["--help"], ["-h"])

EXAMPLES: Final = """\
Examples:
  neopro demo                                               see it all at work
  neopro video add clip.mp4 --set annonces-nationales       then: git commit, git push
  neopro validate && git push
  neopro status --watch

Exit status: 0 done, 1 the answer is no, 2 it could not run. `neopro VERB --help` says more;
`neopro help environment` tells which settings there are and where they may stand."""


def overview() -> str:
    """The help of `neopro` itself; it imports nothing, so it is there at once."""
    width = max(map(len, VERBS))
    single = [f"  {words:<{width}}  {purpose}" for words, (_, purpose) in VERBS.items() if " " not in words]
    double = [f"  {words:<{width}}  {purpose}" for words, (_, purpose) in VERBS.items() if " " in words]
    title = "neopro: operate a fleet of boxes that converge on a Git repository"
    return "\n".join([title, "", "Usage: neopro VERB …", "", *single, "", *double, "", EXAMPLES])


def overview_of(subject: str) -> str:
    """The help of `neopro SUBJECT`."""
    verbs = [f"  neopro {words:<14} {what}" for words, (_, what) in VERBS.items() if words.startswith(f"{subject} ")]
    return "\n".join([SUBJECTS[subject], "", *verbs, "", f"`neopro {subject} VERB --help` says more."])


def run(words: Sequence[str]) -> int:
    """Run the verb that `words` name; its exit status."""
    try:
        return _run(list(words))
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except BrokenPipeError:
        # Whoever read our output has left; Python would complain once more when it closes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def main() -> None:
    """The entry point of the command."""
    sys.exit(run(sys.argv[1:]))


def _run(words: list[str]) -> int:
    if words[:1] == ["help"]:
        if words[1:] == ["environment"]:
            return _print(_environment())
        words = [*words[1:], "--help"]
    if words[:1] == ["__complete"]:
        return _complete(words[1:])
    if not words or words in HELP:
        return _print(overview())
    if words == ["--version"]:
        return _print(_version())
    if words[0] in SUBJECTS and (not words[1:] or words[1:] in HELP):
        return _print(overview_of(words[0]))
    return _run_verb(words)


def _run_verb(words: list[str]) -> int:
    from cli.errors import CommandFailed
    from control_plane.errors import FleetError

    try:
        name = _named_verb(words)
        rest = words[len(name.split()) :]
        from cli.verb import Verb

        verb = Verb(name, VERBS[name][0])
        if asks_for_help(rest):
            return _print(verb.help(_columns()))
        status = verb.run(rest)
    except CommandFailed as problem:
        return _complain(str(problem), problem.status)
    except FleetError as problem:
        return _complain(str(problem), 2)
    except BrokenPipeError:
        raise
    except OSError as problem:
        return _complain(f"cannot go on: {problem.strerror or problem}: {problem.filename or words[0]}", 2)
    return status if isinstance(status, int) else 0


def asks_for_help(words: Sequence[str]) -> bool:
    """Whether `--help` or `-h` is among the words before a `--`."""
    meant = words[: words.index("--")] if "--" in words else words
    return "--help" in meant or "-h" in meant


def _named_verb(words: list[str]) -> str:
    """The verb that `words` begin with; CommandFailed, with the nearest one, where there is none."""
    from cli.errors import CommandFailed

    wanted = " ".join(words[:2]) if words[0] in SUBJECTS else words[0]
    if wanted in VERBS:
        return wanted
    if wanted.startswith("-"):
        raise CommandFailed(f"cannot run neopro {wanted}: there is no such option; see: neopro --help")
    from difflib import get_close_matches

    near = get_close_matches(wanted, [*VERBS, *SUBJECTS], 1)
    lists = f"neopro {words[0]}" if words[0] in SUBJECTS else "neopro"
    hint = f"did you mean neopro {near[0]}?" if near else f"see: {lists} --help"
    raise CommandFailed(f"cannot run neopro {wanted}: there is no such verb; {hint}")


def _environment() -> str:
    from cli.topics import environment

    return environment()


def _complete(words: list[str]) -> int:
    """For the shells' scripts."""
    from cli.completion import complete

    return _print("\n".join(complete(words).lines()))


def _columns() -> int:
    from shutil import get_terminal_size

    return get_terminal_size((100, 24)).columns


def _version() -> str:
    from importlib.metadata import version

    return version("neopro-fleet")


def _print(text: str) -> int:
    print(text)
    return 0


def _complain(sentence: str, status: int) -> int:
    print(f"neopro: {sentence}", file=sys.stderr)
    return status


if __name__ == "__main__":
    main()
