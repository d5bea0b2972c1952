"""`neopro explain`: what a code of a Problem, or a reason that a box gives, means, and what to do."""

from textwrap import fill

from cli.docs.problems import shown
from cli.errors import CommandFailed
from cli.flags import Flag
from cli.output import Output
from control_plane.core.problem_catalogue import CATALOGUE, Entry, Sample
from control_plane.core.problems import suggestion
from schemas.reasons import REASONS

_WIDTH = 100


def explain(code: str | None = None, /, *, json: Flag = False) -> None:
    """Say what a code of `neopro validate`, or a reason that a box gives, means, and what to do.

    Examples:

    - `neopro explain DuplicateKey`
    - `neopro explain OutsideWindow`
    - `neopro explain`

    Parameters
    ----------
    code
        A code or a reason, capitals or not; without one all are listed.
    json
        Print the entry, or all of them, as JSON.
    """
    output = Output(json)
    if code is None:
        output.data([*map(_public, CATALOGUE.values()), *map(_public_reason, REASONS)])
        output.table(("CODE", "MEANS"), [(entry.code, entry.title) for entry in sorted(CATALOGUE.values(), key=_code)])
        output.table(("REASON", "MEANS"), [(reason, REASONS[reason].means) for reason in sorted(REASONS)])
        return
    name = _named(code)
    entry, reason = CATALOGUE.get(name), name in REASONS
    output.data(_public(entry) if entry else _public_reason(name))
    output.say("\n\n".join([*([_text(entry)] if entry else []), *([_reason_text(name)] if reason else [])]))


def _code(entry: Entry) -> str:
    return entry.code


def _named(code: str) -> str:
    """The word as it is written; a few are both a code and a reason."""
    known = dict.fromkeys([*CATALOGUE, *REASONS])
    name = {word.lower(): word for word in known}.get(code.lower())
    if name is None:
        raise CommandFailed(
            f"cannot explain {code}: there is no such code{suggestion(code, known)}; see: neopro explain"
        )
    return name


def _reason_text(reason: str) -> str:
    meaning = REASONS[reason]
    parts = [f"{reason}: a reason that a box, or the control plane, gives", fill(meaning.means, _WIDTH)]
    return "\n\n".join([*parts, fill(f"What to do: {meaning.remedy}", _WIDTH)])


def _public_reason(reason: str) -> dict[str, object]:
    return {"reason": reason, **REASONS[reason]._asdict()}


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
