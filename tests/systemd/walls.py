"""What the agent does all day, done once within the walls of its unit; what went wrong is the exit status and the text.

Called as `walls.py ROOT`, by a unit that differs from the agent's in this command alone.
"""

import sys
from pathlib import Path

from reconciler_agent.durable import Disk
from reconciler_agent.journal import Journal
from reconciler_agent.metrics import Meter
from reconciler_agent.observe import SystemClock
from reconciler_agent.system_calls import Owner
from reconciler_agent.systemd import Systemd

PI = Owner(1000, 1000)


def main(root: Path) -> None:
    """Every kind of change of the box's files, its units, its journal, its clock, its figures."""
    disk = Disk(root, "data/agent", "walls", owner=PI)
    draft = disk.draft(path := disk.staged_name())
    draft.reserve(1 << 20)
    draft.write(b"a video")
    draft.seal(0o644)
    disk.install(path, "videos/MATCH/a.mp4")
    disk.write_file("data/a.json", b"{}")
    disk.write_file("data/b.json", b"[]")
    disk.exchange("data/a.json", "data/b.json")
    disk.symlink("releases/1", "current")
    disk.sync_tree("videos")
    disk.remove("data/b.json")
    found = (root / "videos/MATCH/a.mp4").stat()
    assert (found.st_uid, found.st_gid, disk.read("data/a.json", 10)) == (*PI, b"[]"), found
    disk.close()
    units = Systemd()
    assert units.restart("neopro-app").active
    assert not units.stop("neopro-app").active
    Journal().read(["neopro-app"])
    SystemClock("auto").synchronised()
    assert Meter(root).measure().memory_percent is not None
    try:
        Path("/etc/neopro/x").touch()
    except OSError:
        return
    raise AssertionError("/etc can be written")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
