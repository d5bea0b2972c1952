"""`python -m control_plane [SETTINGS]`: the server alone, without the command line's comforts."""

import os
import sys
from pathlib import Path

from control_plane.app import load_and_run


def main() -> int:
    """The server with the settings file that is given, or that NEOPRO_CONFIG names, and the environment."""
    if len(sys.argv) > 2:
        print("usage: python -m control_plane [SETTINGS.toml]", file=sys.stderr)
        return 2
    return load_and_run(Path(sys.argv[1]) if sys.argv[1:] else None, os.environ)


if __name__ == "__main__":
    sys.exit(main())
