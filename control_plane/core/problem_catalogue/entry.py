"""What an entry of the catalogue holds."""

from typing import Final

from msgspec import Struct

from control_plane.core.problem_codes import Code
from control_plane.core.problems import Severity

FILE: Final = 0o100644


class Sample(Struct, frozen=True):
    """A file of an example, `mode` as in Git; a byte that is no UTF-8 is a surrogate escape in `text` (PEP 383)."""

    path: str
    text: str = ""
    mode: int = FILE

    @property
    def data(self) -> bytes:
        """The bytes of the file."""
        return self.text.encode("utf-8", "surrogateescape")


class Entry(Struct, frozen=True, kw_only=True):
    """A code, told: what it means, why it is refused (or warned of), and what to do.

    `wrong` are files that yield this code and no other where they stand in a fleet without problems, `right` what they
    should be; both are empty where a page cannot show it (signatures, sizes).
    """

    code: Code
    title: str
    means: str
    why: str
    remedy: str
    severities: tuple[Severity, ...] = ("error",)
    wrong: tuple[Sample, ...] = ()
    right: tuple[Sample, ...] = ()
