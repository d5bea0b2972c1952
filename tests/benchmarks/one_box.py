"""One real box beside a real control plane that speaks TLS: 50 videos, a release of 2,000 files, one service.

The agent runs as processes of its own, which cannot import what a box does not have (`AS_ON_A_BOX`).
"""

import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.authority import Authority
from tests.support.live_box import LiveBox, application
from tests.support.trust_keys import Changes
from tests.support.world import ServedWorld, World, as_yaml, served_world

VIDEOS = 50
FILES = 2_000
VIDEO_BYTES = 100_000
FILE_BYTES = 32_000
NOT_ON_A_BOX = ("click", "rich", "pygments")
"""What httpx imports where it finds it, and would not find on a box."""
AS_ON_A_BOX = (
    sys.executable,
    "-c",
    f"import sys; sys.modules.update(dict.fromkeys({NOT_ON_A_BOX}))\n"
    "from reconciler_agent.__main__ import main; sys.exit(main())",
)


C_LIBRARY = ("libc.so", "libm.so", "ld-linux", "libpthread.so", "libdl.so", "librt.so")


class OneBox(NamedTuple):
    """A box that has converged, and its control plane."""

    box: LiveBox
    served: ServedWorld
    authority: Authority

    def command(self, *words: str) -> list[str]:
        """The words of a run of the agent on this box."""
        return [*AS_ON_A_BOX, "--conf", str(self.box.conf), *words]

    def once(self) -> None:
        """`neopro-agent once`, which must find the box as desired."""
        done = subprocess.run(self.command("once"), capture_output=True, text=True, check=False, env=environment())
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def one_box(folder: Path) -> Iterator[OneBox]:
    """The box in `folder`, converged."""
    authority = Authority(folder, "front")
    file = authority.server_file
    settings: dict[str, Any] = {"files": furnished, "tls_certificate": file, "tls_key": file}
    with LiveBox(folder / "brest").switched_on() as box, served_world(folder / "world", "", **settings) as served:
        box.provision(served.world, served.url)
        box.write(ca=str(authority.ca_file), heal_s="60")
        found = OneBox(box, served, authority)
        found.once()
        assert sum(1 for p in (box.root / "videos").rglob("*.mp4")) == VIDEOS
        yield found


def furnished(world: World) -> Changes:
    """A fleet whose sites have 50 videos of 100 kB and a release of 2,000 files of 32 kB with one service."""
    chance = random.Random(1)
    names = [f"clip-{number}" for number in range(VIDEOS)]
    bodies = application("1.0.0")
    bodies |= {f"server/m{n // 100}/f{n}.js": chance.randbytes(FILE_BYTES) for n in range(FILES - len(bodies))}
    changes = world.first_files()
    for name in names:
        changes |= world.add_video(name, chance.randbytes(VIDEO_BYTES))
    return changes | {
        "video-sets/national.yaml": as_yaml(
            {
                "name": "National",
                "category": {"id": "annonces", "name": "ANNONCES"},
                "blocks": ["before", "after"],
                "loop": "sponsors",
                "videos": names,
            }
        ),
        **world.add_release("1.0.0", bodies, services=["neopro-app"], health={"within": "60s", "settle": "1s"}),
    }


class Memory(NamedTuple):
    """Of a process, in bytes: resident; proportional; and proportional where nobody else runs Python, as on a box.

    `alone` counts every page as the process's own but those of the C library, which all programs have open.
    """

    resident: int
    proportional: int
    alone: int


def memory_of(pid: int) -> Memory:
    """What the kernel says (`smaps`)."""
    resident = proportional = alone = 0
    of_all = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if "-" in name:
            of_all = Path(line.split(maxsplit=5)[-1]).name.startswith(C_LIBRARY)
        elif name in ("Rss", "Pss"):
            size = int(rest.split()[0]) * 1024
            resident += size if name == "Rss" else 0
            proportional += size if name == "Pss" else 0
            alone += size if name == ("Pss" if of_all else "Rss") else 0
    return Memory(resident, proportional, alone)


def environment() -> dict[str, str]:
    """An agent's process finds its code, compiled once as an installer does."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
