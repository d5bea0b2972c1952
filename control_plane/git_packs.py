"""The packs of our clone: every fetch adds one, and they are put together before they are many.

libgit2 never does that by itself, looks through all of them for an object, and keeps the file of each open that it read
from: a server that fetched a thousand commits would have no file descriptor left.
"""

import shutil
from pathlib import Path
from typing import Final

import pygit2

MAX_PACKS: Final = 50  # as `gc.autoPackLimit` of git
MAX_OPEN_PACKS: Final = 32


def gather(repository: pygit2.Repository) -> bool:
    """Put what is in more than MAX_PACKS packs into one; whether that was done.

    Whoever reads meanwhile has to open the repository anew when an object cannot be read. Raises GitError and OSError;
    the packs stay as they were then.
    """
    packs = Path(repository.path) / "objects" / "pack"
    if len(list(packs.glob("*.pack"))) <= MAX_PACKS:
        return False
    made = packs.with_name("gathered")  # what an earlier server did not finish can be told from what is there
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    repository.pack(made, n_threads=1)
    kept = sorted((file.name for file in made.iterdir()), key=lambda name: name.endswith(".idx"))
    for name in kept:  # the index last: with it the pack is there
        (made / name).replace(packs / name)
    made.rmdir()
    for file in packs.iterdir():
        if file.name not in kept:
            file.unlink()
    return True
