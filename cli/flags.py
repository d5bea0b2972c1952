"""Kinds of options that several verbs have."""

from typing import Annotated, TypeVar

from cyclopts import Parameter

T = TypeVar("T")

Flag = Annotated[bool, Parameter(negative="", show_default=False)]
"""An option that is given or not; there is no `--no-…`."""

Several = Annotated[list[T] | None, Parameter(negative="")]
"""An option that can be given several times."""
