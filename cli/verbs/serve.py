"""`neopro serve`: the control plane."""

import os
from pathlib import Path


def serve(*, config: Path | None = None) -> int:
    """Run the control plane until SIGTERM or Ctrl-C.

    Settings come from a TOML file and, over it, from NEOPRO_* of the environment: NEOPRO_REMOTE, NEOPRO_MANIFEST_KEY,
    NEOPRO_DATA_DIR, NEOPRO_DATABASE_URL (without it, an embedded PostgreSQL), NEOPRO_OBJECTS, NEOPRO_LISTEN …

    Example:

    - `neopro serve --config /etc/neopro/server.toml`

    Parameters
    ----------
    config
        The settings; without it, the file that NEOPRO_CONFIG names, or none.
    """
    from control_plane.app import load_and_run

    return load_and_run(config, os.environ)
