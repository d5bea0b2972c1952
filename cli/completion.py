"""What can stand under the cursor: verbs, options, choices, and the ids of the checkout. The shells' scripts ask here.

`neopro __complete WORD…` prints `files` or `words` on the first line, then one candidate a line with what it is behind
a tab; the last word is the one being written. A parameter called `site`, `group`, `video`, `set`, `release`,
`version` or `operation` (or several of them) takes ids of the checkout: name yours so, and it is completed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from cli.catalogue import SUBJECTS, VERBS
from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.verb import Argument, Verb

FOLDERS: Final[Mapping[str, str]] = {
    "site": "sites",
    "sites": "sites",
    "group": "groups",
    "video": "videos",
    "videos": "videos",
    "set": "video-sets",
    "video_set": "video-sets",
    "release": "releases",
    "version": "releases",
    "operation": "operations",
}
"""Name of a parameter -> the folder whose ids it takes."""
_NEW: Final = frozenset((("site add", "site"), ("group add", "group"), ("release add", "version")))
"""Names that must not be there yet."""
_PREFIX_OPTIONS: Final = (("--help", "what there is"), ("--version", "which version this is"))


class Candidate(NamedTuple):
    """A word, and what it is."""

    word: str
    what: str = ""


class Answer(NamedTuple):
    """The candidates; or, with `files`, the names of files as the shell knows them."""

    candidates: Sequence[Candidate]
    files: bool = False

    def lines(self) -> Iterator[str]:
        """As the shells' scripts read it."""
        yield "files" if self.files else "words"
        yield from (f"{word}\t{what}" for word, what in self.candidates)


def complete(words: Sequence[str]) -> Answer:
    """What can stand in place of the last of these words, which follow `neopro`."""
    *before, current = _joined(words) or [""]
    helping = before[:1] == ["help"]
    before = before[1:] if helping else before
    verb = _verb(before)
    if verb is None:
        return _matching(_verbs(before, current), current)
    if helping:
        return Answer([])
    rest = before[len(verb.split()) :]
    return _in_verb(Verb(verb, VERBS[verb][0]), rest, current)


def _joined(words: Sequence[str]) -> list[str]:
    """bash takes `--set=x` for three words: one again."""
    joined: list[str] = []
    for word in words:
        if joined and (word == "=" or joined[-1].endswith("=")) and joined[-1].startswith("--"):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _verb(before: Sequence[str]) -> str | None:
    """The verb that these words begin with, if it is written out."""
    return next((words for words in (" ".join(before[:2]), " ".join(before[:1])) if words in VERBS), None)


def _verbs(before: Sequence[str], current: str) -> Iterator[Candidate]:
    if not before:
        yield from (Candidate(words, what) for words, (_, what) in VERBS.items() if " " not in words)
        yield from (Candidate(subject, what) for subject, what in SUBJECTS.items())
        yield Candidate("help", "what a verb does and takes")
        if current.startswith("-"):
            yield from (Candidate(*option) for option in _PREFIX_OPTIONS)
    elif len(before) == 1:
        for words, (_, what) in VERBS.items():
            subject, _, word = words.partition(" ")
            if word and subject == before[0]:
                yield Candidate(word, what)


def _in_verb(verb: Verb, before: Sequence[str], current: str) -> Answer:
    taken = verb.arguments()
    options = {argument.option: argument for argument in taken if argument.option}
    root = _repository(before)
    name, equals, value = current.partition("=")
    if equals and name in options:
        # bash replaces what stands behind the `=` alone; the others the whole word.
        return _values(verb, options[name], value, root)
    if before and (asked := options.get(before[-1])) and not asked.is_flag:
        return _values(verb, asked, current, root)
    if current.startswith("-") and "--" not in before:
        return _matching(_options(options.values(), before), current)
    place = _place([a for a in taken if not a.option], before, options)
    return _values(verb, place, current, root) if place else _matching(_options(options.values(), before), current)


def _options(options: Iterable[Argument], before: Sequence[str]) -> Iterator[Candidate]:
    """Those that can still be given, the needed ones first."""
    free = [one for one in options if one.several or one.option not in before]
    yield from (Candidate(one.option, one.help) for one in sorted(free, key=lambda one: not one.required))
    yield Candidate("--help", "what this verb does and takes")


def _place(places: Sequence[Argument], before: Sequence[str], options: Mapping[str, Argument]) -> Argument | None:
    """Which of the arguments without a name is next."""
    count, skip = 0, False
    for word in before:
        if skip or (word.startswith("-") and word != "--"):
            skip = not skip and word in options and not options[word].is_flag
        elif word != "--":
            count += 1
    if count < len(places):
        return places[count]
    return places[-1] if places and places[-1].several else None


def _values(verb: Verb, argument: Argument, current: str, root: Path | None) -> Answer:
    if argument.choices:
        return _matching((Candidate(choice) for choice in argument.choices), current)
    if argument.is_path:
        return Answer([], files=True)
    folder = FOLDERS.get(argument.name)
    if folder is None or (verb.name, argument.name) in _NEW:
        return Answer([])
    try:
        return _matching((Candidate(one) for one in Checkout.find(root).ids(folder)), current)
    except CommandFailed:
        return Answer([])


def _repository(before: Sequence[str]) -> Path | None:
    """The folder that `--repository` names in these words."""
    given = [value for word, value in pairwise(before) if word == "--repository"]
    given += [word.partition("=")[2] for word in before if word.startswith("--repository=")]
    return Path(given[-1]).expanduser() if given else None


def _matching(candidates: Iterable[Candidate], current: str) -> Answer:
    return Answer([one for one in candidates if one.word.startswith(current)])
