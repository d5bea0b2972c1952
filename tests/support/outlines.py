"""The outlines' package as the set-up brought it, read by a way of its own."""

import functools
import re
import sysconfig
from pathlib import Path

from control_plane.web import map_outlines

FILE = Path(sysconfig.get_path("data")) / map_outlines.FILE
Ring = list[tuple[float, float]]


@functools.cache
def package_rings() -> dict[str, list[Ring]]:
    """Code of a department -> its closed lines, from the file's own text."""
    found = re.findall(r'id="([^"]+)"\s+aria-label="[^"]+"\s+d="([^"]+)"', FILE.read_text("utf-8"))
    return {code: list(_rings(path)) for code, path in found}


def _rings(path: str) -> list[Ring]:
    """SVG's rules for m and z: relative points; after z the next m starts from the first point of what was closed."""
    rings: list[Ring] = []
    x = y = 0.0
    for word in path.split():
        if word == "m":
            if rings:
                x, y = rings[-1][0]
            rings.append([])
        elif word != "z":
            step = word.split(",")
            x, y = x + float(step[0]), y + float(step[1])
            rings[-1].append((x, y))
    return rings
