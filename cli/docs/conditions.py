"""docs/conditions.md: what a box and the control plane say of a site, word by word."""

from collections.abc import Iterator, Mapping

from control_plane.web.catalog import CATALOG
from schemas.reasons import CHAPTERS, CONDITIONS, Meaning

_HEAD = """\
# Conditions and reasons: what each word means, and what to do

<!-- Written by `make docs` from schemas/reasons.py: change it there. `neopro explain REASON` prints an entry. -->

A box reports five **conditions**, each true, false or unknown since an instant, with a **reason**: a word that stays
what it is, so that programs may go by it. Events and what waits have reasons of the same kind. On the box
`neopro-agent status` says them with what they mean.
"""


def conditions_page() -> str:
    """The page."""
    lines = [_HEAD, "| condition | true means |", "|---|---|"]
    lines += [f"| `{name}` | {means} |" for name, means in CONDITIONS.items()]
    for title, reasons in CHAPTERS.items():
        lines += ["", f"## {title}", "", "| reason | means | what to do |", "|---|---|---|", *_rows(reasons)]
    lines += ["", "**Somebody** marks what stays until a person does something; the rest passes, or is no trouble.", ""]
    return "\n".join(lines)


def _rows(reasons: Mapping[str, Meaning]) -> Iterator[str]:
    for reason, meaning in sorted(reasons.items()):
        who = "**Somebody:** " if meaning.person else ""
        yield f"| `{reason}`<br>{_title(reason)} | {meaning.means} | {who}{meaning.remedy} |"


def _title(reason: str) -> str:
    """The page's short words; the server's own are sentences there, and the meaning says the same."""
    words = CATALOG.get(f"reason.{reason}")
    return words[0] if words else ""
