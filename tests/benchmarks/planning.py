"""`neopro plan A..B` of ten thousand sites as a whole process, on a real repository: a change that touches every site.

The floor is what no plan can do without: reading and compiling one end, cold, in a process that has everything
imported. Both are CPU time, since the machine is shared; the wall time is in the note.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pygit2

from control_plane.core.compile import compile_commit
from control_plane.git_objects import local_tree
from tests.benchmarks.measure import Row, cpu_s, row
from tests.support.command_line import environment
from tests.support.fleet_generator import make_fleet

SITES = 10_000
SEED = 7
TIMES = 3
ROOT = Path(__file__).parents[2]
AUTHOR = pygit2.Signature("Bench", "bench@example.org", 1_767_225_600, 0)


def measure(names: list[str]) -> list[Row]:
    """`plan-10k`."""
    with tempfile.TemporaryDirectory(prefix="neopro-bench-") as folder:
        base, head = _repository(Path(folder))
        repository = pygit2.Repository(folder)
        floor_s = min(cpu_s(lambda: _compile(repository, base)) for _ in range(2))
        taken = [_plan_s(Path(folder), f"{base}..{head}", Path(folder, ".home", str(run))) for run in range(TIMES)]
        warm, _ = _plan_s(Path(folder), f"{base}..{head}", Path(folder, ".home", "0"))
    cpu, wall = min(cpu for cpu, _ in taken), min(wall for _, wall in taken)
    note = f"{SITES} sites, all changed, no parsed document known; {wall:.1f} s on the clock; known: {warm:.2f} s CPU"
    return [row("plan-10k", cpu, "s CPU", floor_s, note)]


def _repository(folder: Path) -> tuple[str, str]:
    """A repository with two commits: the second brings another release and another value to every site."""
    repository = pygit2.init_repository(str(folder), initial_head="main")
    index = pygit2.Index()
    files = make_fleet(SITES, SEED)
    first = _commit(repository, index, files)
    fleet = files["fleet.yaml"].replace(b"release: 2.1.3", b"release: 2.2.0").replace(b"offsetX: 12", b"offsetX: 30")
    second = _commit(repository, index, {"fleet.yaml": fleet})
    repository.checkout_head(strategy=pygit2.enums.CheckoutStrategy.FORCE)
    return first, second


def _commit(repository: pygit2.Repository, index: pygit2.Index, files: dict[str, bytes]) -> str:
    for path, data in files.items():
        index.add(pygit2.IndexEntry(path, repository.create_blob(data), pygit2.enums.FileMode.BLOB))
    head = repository.references.get("refs/heads/main")
    parents = [head.target] if head else []
    tree = index.write_tree(repository)
    return str(repository.create_commit("refs/heads/main", AUTHOR, AUTHOR, "Change", tree, parents))


def _compile(repository: pygit2.Repository, revision: str) -> None:
    tree = local_tree(repository, revision)
    assert len(compile_commit(tree.entries, tree.blobs).sites) == SITES


def _plan_s(folder: Path, ends: str, home: Path) -> tuple[float, float]:
    """CPU and wall seconds of one run, from the start of the interpreter to its end; caches are in `home`."""
    home.mkdir(parents=True, exist_ok=True)
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "cli", "plan", ends, "--offline"],
        cwd=folder,
        env=environment(home, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        check=False,
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 1 and f"of {SITES:,} sites {SITES:,} changed" in done.stdout, done.stdout + done.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall
