"""`neopro monitoring`: the files for Prometheus and Grafana that come with this version."""

from typing import Final, Literal

from cli.flags import Flag
from cli.output import Output

Piece = Literal["rules", "dashboard"]
FILES: Final = {"rules": "neopro.rules.yml", "dashboard": "neopro.dashboard.json"}


def monitoring(piece: Piece, /, *, json: Flag = False) -> None:
    """Print the alert rules for Prometheus, or the dashboard to import into Grafana.

    Examples:

    - `neopro monitoring rules > /etc/prometheus/rules/neopro.rules.yml`
    - `neopro monitoring dashboard > neopro.dashboard.json`

    Parameters
    ----------
    piece
        Which.
    json
        Print it as JSON: its name and its text.
    """
    from importlib.resources import files

    output = Output(json)
    text = files("control_plane.monitoring").joinpath(FILES[piece]).read_text("utf-8")
    output.data({"file": FILES[piece], "text": text})
    if not json:
        output.raw(text)
