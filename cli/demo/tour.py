"""What to try, as commands that can be copied: from the folder where the user is."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cli.demo.places import Places

_TOUR: Final = """
  status page     {url}/
  working copy    {working_copy}    a push from it is all that it takes

Try, in another terminal:

  {prepare}cd {working_copy}

  # a new video for every box
  neopro video add ../clips/noel-2026.mp4 --set annonces-nationales --commit
  neopro plan                                             # what it will do to every box, before it happens
  git push -q

  # taken back
  git revert --no-edit HEAD && git push -q

  # the next release, for a region
  sed -i 's/^# release:/release:/' groups/bretagne.yaml
  git commit -qam "Release 2.2.0 to Bretagne" && git push -q

  # a release that is broken: the box goes back to the old one by itself, and the page says why
  neopro release add ../releases/2.2.1-broken --version 2.2.1 --service neopro-app --within 10s --settle 3s
  sed -i 's/^release: .*/release: 2.2.1/' groups/beta.yaml
  git add -A && git commit -qm "Release 2.2.1 to beta" && git push -q

  # a typo: refused whole, with its line
  sed -i 's/^sports:/sprots:/' sites/{site}.yaml && neopro validate
  git commit -qam "Change a site" && git push -q          # and: git revert --no-edit HEAD && git push -q

  # the fleet on the terminal; a box without power, and with it again
  neopro status --watch
  neopro demo --off {site}
  neopro demo --on {site}

Ctrl-C stops all of it, `make demo` goes on where it was, `make demo-clean` forgets it.
"""


def tour(places: Places, url: str, sites: Sequence[str]) -> str:
    """The lines that the demo ends its set-up with."""
    return _TOUR.format(
        url=url, working_copy=os.path.relpath(places.working_copy), prepare=_prepare(places), site=sites[0]
    )


def _prepare(places: Places) -> str:
    """What makes `neopro` the one that runs, and the demo's folder known where it is not the usual one."""
    lines = f'alias neopro="$PWD/{os.path.relpath(_command())}"\n  '
    if os.environ.get("NEOPRO_DEMO_DIR"):
        lines += f"export NEOPRO_DEMO_DIR={places.root}\n  "
    return lines


def _command() -> Path:
    import sys

    return Path(sys.executable).with_name("neopro")
