"""Starts the agent that lies in the folder of this file: a slot, or an unpacked bundle. `python3 start.py COMMAND …`

It needs nothing but Python: the agent and all that it takes lie beside it, unpacked, the compiled parts by machine (and
by Python, in their names). So a box needs no network, no compiler, no pip and no venv.
"""

import platform
import runpy
import sys
from pathlib import Path


def main():  # type: ignore[no-untyped-def]  # an old Python must get as far as the sentence that says so
    """Run the agent's command line, or say in one sentence why that cannot be."""
    here = Path(__file__).resolve().parent
    machine, version = platform.machine(), ".".join(map(str, sys.version_info[:2]))
    if sys.maxsize < 1 << 32:
        sys.exit("cannot start the agent: this is a 32-bit system; install the 64-bit Raspberry Pi OS")
    if not (here / machine).is_dir():
        sys.exit("cannot start the agent: it has no parts for this machine, %s" % machine)  # noqa: UP031
    if not list((here / machine / "msgspec").glob("_core.cpython-%s-*" % version.replace(".", ""))):  # noqa: UP031
        sys.exit("cannot start the agent: it has no parts for Python %s; call another python3" % version)  # noqa: UP031
    sys.dont_write_bytecode = sys.pycache_prefix is None  # beside the code lies what was released and nothing else
    sys.path[:0] = [str(here / "any"), str(here / machine)]
    sys.argv[0] = "neopro-agent"
    runpy.run_module("reconciler_agent", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()  # type: ignore[no-untyped-call]
