"""The update of `matrix` on a box that makes the new release out of the old one, by a patch."""

from schemas.manifest import ReleaseTarget
from tests.crash.matrix import Scenario
from tests.support.agent_world import application
from tests.support.release_pairs import add_patch


class Patched(Scenario):
    """From one release to the next: index, pack, listing and files, each of which may be cut off."""

    name = "update by a patch"

    def offer(self, first: ReleaseTarget, second: ReleaseTarget) -> ReleaseTarget:
        return add_patch(self.world.central, first, second)

    def _walk_through(self) -> None:
        self.world.central.fetched.clear()
        super()._walk_through()
        fetched = {self.world.central.blobs[digest] for digest in self.world.central.fetched}
        assert not fetched & set(application("2.0.0").values()), "files came whole, past the patch"
