"""`neopro help environment`: the settings of an operator's machine, one order for all of them."""

from typing import Final

from cli.settings import PLACES

_MORE: Final = (
    ("NEOPRO_TOKEN", "the token itself; it goes before every token file"),
    ("NO_COLOR", "with any value: no colours (they are for terminals only, anyway)"),
    ("COLUMNS", "how wide help is, where the terminal does not say"),
    ("VISUAL, EDITOR", "what `neopro site edit SITE` opens"),
    ("XDG_CONFIG_HOME", "where the client's file is, instead of ~/.config"),
    ("NEOPRO_DEMO_DIR", "where `neopro demo` keeps everything, instead of var/demo"),
)


def environment() -> str:
    """The settings of an operator's machine."""
    rows = [("", "environment", "in the checkout", "client's file")]
    rows += [(name, place.variable, f"git config {place.git}", place.file or "-") for name, place in PLACES.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    table = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(
        [
            "The settings of your machine. Of several places that name one, the leftmost counts:",
            "",
            *(line.rstrip() for line in table),
            "",
            *(f"  {name:<{widths[0]}}  {place.what}" for name, place in PLACES.items()),
            "",
            "Settings of the checkout stay on this machine: a clone does not bring them, so no repository can send",
            "your token elsewhere. The client's file is ~/.config/neopro/client.toml, such as:",
            "",
            '  url = "https://fleet.example.org"',
            '  token_file = "~/.config/neopro/token"',
            "",
            "Of the environment alone:",
            "",
            *(f"  {name:<15}  {what}" for name, what in _MORE),
            "",
            "`neopro doctor` says what is in force and what is wrong. Settings of the server: docs/operating.md.",
        ]
    )
