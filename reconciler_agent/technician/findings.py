"""A check as the doctor tells it: what was found, what is wrong, and what to do about it."""

from msgspec import Struct


class Check(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`problem` is empty where all is well; `remedy`: what a technician does then."""

    name: str
    found: str = ""
    problem: str = ""
    remedy: str = ""

    @property
    def lines(self) -> list[str]:
        """The same for a person."""
        if not self.problem:
            return [f"ok    {self.name}: {self.found}"]
        return [f"FAIL  {self.name}: {self.problem}", *([f"      → {self.remedy}"] if self.remedy else [])]
