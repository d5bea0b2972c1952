"""`neopro explain`: what a code of a Problem means, and what to do."""

from textwrap import fill

from cli.docs.problems import shown
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output
from control_plane.core.problem_catalogue import CATALOGUE, Entry, Sample
from control_plane.core.problems import suggestion

_WIDTH = 100


def explain(code: str | None = None, /, *, json: Flag = False) -> None:
    """Say what a code of `neopro validate` means, why it is refused, and what to do, with an example.

    Examples:

    - `neopro explain DuplicateKey`
    - `neopro explain`

    Parameters
    ----------
    code
        A code, capitals or not; without one all are listed.
    json
        Print the entry, or all of them, as JSON.
    """
    output = Output(json)
    if code is None:
        output.data([_public(entry) for entry in CATALOGUE.values()])
        output.table(("CODE", "MEANS"), [(entry.code, entry.title) for entry in sorted(CATALOGUE.values(), key=_code)])
        return
    entry = _named(code)
    output.data(_public(entry))
    output.say(_text(entry))


def _code(entry: Entry) -> str:
    return entry.code


def _named(code: str) -> Entry:
    by_word = {known.lower(): entry for known, entry in CATALOGUE.items()}
    entry = by_word.get(code.lower())
    if entry is None:
        near = suggestion(code, CATALOGUE)
        raise CommandFailed(f"cannot explain {code}: there is no such code{near}; see: neopro explain")
    return entry


def _text(entry: Entry) -> str:
    parts = [
        f"{entry.code} ({' or '.join(entry.severities)}): {entry.title}",
        fill(entry.means, _WIDTH),
        fill(f"Why: {entry.why}", _WIDTH),
        fill(f"What to do: {entry.remedy}", _WIDTH),
    ]
    if entry.wrong:
        parts += [_example("Wrong", entry.wrong), _example("Right", entry.right)]
    return "\n\n".join(parts)


def _example(title: str, samples: tuple[Sample, ...]) -> str:
    lines = "\n".join(shown(sample) for sample in samples).splitlines()
    return "\n".join([f"{title}:", "", *(f"    {line}" for line in lines)])


def _public(entry: Entry) -> dict[str, object]:
    return {
        "code": entry.code,
        "severities": entry.severities,
        "title": entry.title,
        "means": entry.means,
        "why": entry.why,
        "remedy": entry.remedy,
        "wrong": [_file(sample) for sample in entry.wrong],
        "right": [_file(sample) for sample in entry.right],
    }


def _file(sample: Sample) -> dict[str, str]:
    return {"path": sample.path, "shown": shown(sample)}
