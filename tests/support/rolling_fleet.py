"""The fleet of `served_fleet` with a rollout that has halted: the first box with release 2.2.0 said that it failed.

After each command the server's jobs have run: what `main` of the remote holds is looked at, and rollouts go on.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from control_plane.store import publications, reports, rollouts
from schemas.status import Condition
from tests.support.command_line import git
from tests.support.published import NOW, report
from tests.support.served_fleet import FRESH, Given, served_fleet
from tests.support.world import ServedWorld, World

POLICY: Final = "rollouts:\n  standard: {waves: [30%, 100%], soak: 30m, max_failures: 0, on_failure: hold}\n"
FAILURE: Final = "Release 2.2.0 failed: it does not answer; the box went back to 2.1.3."


@contextmanager
def rolling_fleet(folder: Path, database: str) -> Iterator[Given]:
    """The fleet's clone in `folder` (parent: HOME), until the context is left."""
    with served_fleet(folder, database) as given:
        text = (
            (folder / "fleet.yaml")
            .read_text("utf-8")
            .replace("  release: 2.1.3\n", "  release: 2.2.0\n  rollout: standard\n")
        )
        given.served.publish({"fleet.yaml": text + POLICY}, "Release 2.2.0 to all, in waves")
        git(folder, "pull", "-q")
        fail_first(given.served)
        yield given._replace(look=lambda: take_turn(given.served))


def take_turn(served: ServedWorld) -> None:
    """The server's jobs run once: the remote is looked at, and rollouts."""
    served.ingest()
    served.run(served.world.pipeline.roll())


def fail_first(served: ServedWorld) -> None:
    """The one box that has the release says that it failed, and the server looks at it."""
    served.run(_fail(served.world))
    take_turn(served)


async def _fail(world: World) -> None:
    """The site that has it reports that it does not work there."""
    now = world.clock() + FRESH
    said = Condition(type="Degraded", status="True", reason="ReleaseUnhealthy", message=FAILURE, since=NOW)
    async with world.connection() as conn:
        (rollout,) = await rollouts.opened(conn)
        (site,) = rollout.let_in
        generations = {row.site: row.generation for row in await publications.all_heads(conn)}
        told = report(generations[site], sequence=int(now.timestamp() * 1000), conditions=[said])
        await reports.record(conn, [reports.Received(site, told, now)])
