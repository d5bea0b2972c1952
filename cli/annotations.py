"""Problems in the forms that forges show beside the lines of a pull request. Values in, text out."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from cli.output import visible

if TYPE_CHECKING:
    from control_plane.core.problems import Problem

Format = Literal["text", "json", "github", "gitlab", "sarif"]


def github(problems: Sequence["Problem"], folder: str) -> str:
    """Workflow commands of GitHub Actions, one a line; also understood by Gitea and Forgejo's log viewers."""
    return "".join(
        f"::{p.severity} file={_property(folder + p.file)},line={p.line},col={p.column},title={_property(p.code)}"
        f"::{_message(p.message)}\n"
        for p in problems
    )


def gitlab(problems: Sequence["Problem"], folder: str) -> str:
    """A code quality report of GitLab."""
    return _json(
        [
            {
                "check_name": p.code,
                "description": p.message,
                "fingerprint": _fingerprint(p),
                "severity": "blocker" if p.severity == "error" else "minor",
                "location": {"path": folder + p.file, "lines": {"begin": p.line}},
            }
            for p in problems
        ]
    )


def sarif(problems: Sequence["Problem"], folder: str) -> str:
    """SARIF 2.1.0, which code scanners exchange and several editors open."""
    driver = {"name": "neopro validate", "rules": [{"id": code} for code in sorted({p.code for p in problems})]}
    results = [
        {
            "ruleId": p.code,
            "level": p.severity,
            "message": {"text": p.message},
            "partialFingerprints": {"neopro/v1": _fingerprint(p)},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": folder + p.file},
                        "region": {"startLine": p.line, "startColumn": p.column},
                    }
                }
            ],
        }
        for p in problems
    ]
    run = {"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}
    return _json({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]})


FORMS: Final[Mapping[str, Callable[[Sequence["Problem"], str], str]]] = {
    "github": github,
    "gitlab": gitlab,
    "sarif": sarif,
}
"""Format -> what writes it: the problems, and the folder of the fleet in its repository (empty, or with a slash)."""


def _fingerprint(problem: "Problem") -> str:
    """The same while the problem stays, also where lines above it come and go."""
    text = "\0".join((problem.file, problem.code, problem.message))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value)).decode() + "\n"


def _message(text: str) -> str:
    return visible(text).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
