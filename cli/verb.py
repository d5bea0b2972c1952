"""A verb: its function, imported alone; what it takes, its help, and a run of it.

Cyclopts reads the words; help is laid out here, because cyclopts' own pulls in rich and a Markdown parser, which takes
longer than most verbs do.
"""

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final, NamedTuple

from cyclopts import App, CycloptsError

from cli.errors import CommandFailed

MAX_WIDTH: Final = 100
LONGEST_CHOICES: Final = 24
_EXAMPLES: Final = re.compile(r"^Examples?:$")
_EXAMPLE: Final = re.compile(r"^- `(?P<command>.+)`(?P<remark>.*)$")
_PARAMETER: Final = re.compile(r"^(\w+)\n((?: {4}.*\n?|\n)+)", re.MULTILINE)
HEADING: Final = "\n\nParameters\n----------\n"


class Argument(NamedTuple):
    """One thing that a verb takes. `option`: `--name`, or empty where it stands by its place."""

    name: str
    option: str
    metavar: str
    help: str
    required: bool
    several: bool
    choices: tuple[str, ...]
    default: str
    is_path: bool

    @property
    def is_flag(self) -> bool:
        """Whether it is given or not, without a value."""
        return bool(self.option) and not self.metavar

    @property
    def spelling(self) -> str:
        """As it is written: `--set SET`, `FILES…`."""
        shown = self.metavar + ("…" if self.several else "")
        return f"{self.option} {shown}".strip()


class Verb:
    """`name`: its words, such as `site add`; `path`: `module:function`."""

    def __init__(self, name: str, path: str) -> None:
        self.name = name
        module, _, function = path.partition(":")
        self.function: Callable[..., Any] = getattr(import_module(module), function)
        self._app = App(
            name=f"neopro {name}",
            default_command=self.function,
            help_flags=(),
            version_flags=(),
            suppress_keyboard_interrupt=False,
        )

    def run(self, words: Sequence[str]) -> Any:
        """Run it with these words; CommandFailed where they make no sense."""
        with self._told():
            return self._app(words, exit_on_error=False, print_error=False, result_action="return_value")

    def require(self, words: Sequence[str]) -> None:
        """CommandFailed where `run` would not take these words; nothing is run."""
        with self._told():
            self._app.parse_args(words, exit_on_error=False, print_error=False)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except CycloptsError as problem:
            why = " ".join(str(problem).split()).rstrip(".")
            raise CommandFailed(f"cannot run neopro {self.name}: {why}; see: neopro {self.name} --help") from None

    def arguments(self) -> list[Argument]:
        """What it takes, in the order in which help shows it."""
        _, _, section = self._halves()
        told = {name: " ".join(text.split()) for name, text in _PARAMETER.findall(section)}
        return [_argument(one, told) for one in self._app.assemble_argument_collection() if one.show]

    @property
    def text(self) -> str:
        """What its docstring says before the parameters."""
        return self._halves()[0].strip()

    def _halves(self) -> tuple[str, str, str]:
        """The docstring before its section of parameters, the heading, and the section (numpydoc)."""
        return (inspect.getdoc(self.function) or "").partition(HEADING)

    def examples(self) -> list[str]:
        """The commands of its examples, as they are typed."""
        return [found["command"] for line in self.text.splitlines() if (found := _EXAMPLE.match(line))]

    def help(self, width: int) -> str:
        """Its page, `width` columns wide."""
        taken = self.arguments()
        width = min(width, MAX_WIDTH)
        places, options = [a for a in taken if not a.option], [a for a in taken if a.option]
        parts = [_wrapped(f"Usage: neopro {self.name} {_usage(taken)}".rstrip(), width, "         ")]
        parts += _paragraphs(self.text, width)
        parts += [_section(title, rows, width) for title, rows in (("Arguments", places), ("Options", options)) if rows]
        return "\n\n".join(parts)


def _argument(found: Any, told: Mapping[str, str]) -> Argument:
    option = "" if found.field_info.is_positional else min(found.names, key=lambda name: not name.startswith("--"))
    name = found.field_info.name.rstrip("_")
    count, several = found.token_count()
    default = found.field_info.default
    shown = default not in (None, False, inspect.Parameter.empty, ()) and not found.required
    choices = found.get_choices(force=True) or ()
    return Argument(
        name=name,
        option=option,
        metavar=_metavar(found, option, choices) if count or several else "",
        help=told.get(found.field_info.name) or found.parameter.help or "",
        required=found.required,
        several=several,
        choices=tuple(choices),
        default=str(default) if shown else "",
        is_path="Path" in str(found.hint),  # Path, Path | None, tuple[Path, ...]
    )


def _metavar(found: Any, option: str, choices: Sequence[str]) -> str:
    """What stands for a value: its choices where they are short, or the word that tells most."""
    if choices and len("|".join(choices)) <= LONGEST_CHOICES:
        return "|".join(choices)
    kinds = {"Path": "PATH", "date": "DATE", "float": "NUMBER", "int": "N"}
    by_kind = next((word for kind, word in kinds.items() if re.search(rf"\b{kind}\b", str(found.hint))), None)
    return (by_kind if option else None) or found.field_info.name.strip("_").upper().replace("_", "-")


def _usage(taken: Sequence[Argument]) -> str:
    """`SITE --name NAME [OPTIONS]`"""
    required = [a.spelling for a in taken if a.required]
    optional = [f"[{a.spelling}]" for a in taken if not a.option and not a.required]
    more = ["[OPTIONS]"] if any(a.option and not a.required for a in taken) else []
    return " ".join([*required, *optional, *more])


def _paragraphs(text: str, width: int) -> Iterator[str]:
    """The text wrapped; examples stay on lines of their own, without the marks of Markdown."""
    for paragraph in re.split(r"\n{2,}", text):
        examples = [found for line in paragraph.splitlines() if (found := _EXAMPLE.match(line))]
        if examples:
            yield "Examples:\n" + "\n".join(f"  {found['command']}{found['remark']}" for found in examples)
        elif not _EXAMPLES.match(paragraph):
            yield _wrapped(paragraph, width)


def _section(title: str, taken: Sequence[Argument], width: int) -> str:
    column = min(max(len(a.spelling) for a in taken), 30, width // 2 - 4)
    lines = [f"{title}:"]
    for argument in taken:
        body = _wrapped(_described(argument), width - column - 4).split("\n")
        head = f"  {argument.spelling:<{column}}  "
        if len(argument.spelling) > column:
            lines.append(head.rstrip())
            head = " " * (column + 4)
        lines += [head + body[0], *(" " * (column + 4) + line for line in body[1:])]
    return "\n".join(line.rstrip() for line in lines)


def _described(argument: Argument) -> str:
    remark = "; needed" if argument.required else f"; default: {argument.default}" if argument.default else ""
    listed = f"; one of {', '.join(argument.choices)}" if argument.choices and "|" not in argument.metavar else ""
    notes = (listed + remark).removeprefix("; ")
    return f"{argument.help} ({notes})" if notes else argument.help


def _wrapped(text: str, width: int, later: str = "") -> str:
    return textwrap.fill(
        " ".join(text.split()), width, subsequent_indent=later, break_on_hyphens=False, break_long_words=False
    )
