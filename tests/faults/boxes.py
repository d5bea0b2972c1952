"""A box whose agent speaks to its control plane over real sockets."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reconciler_agent.app import Agent, Outside, assemble, open_files
from reconciler_agent.client import Client
from reconciler_agent.core.report import Round
from reconciler_agent.download import Throttle
from reconciler_agent.errors import AgentError
from reconciler_agent.journal import Journal
from reconciler_agent.state import Store
from tests.support.agent_world import AgentWorld, FastClock
from tests.support.hurried_clock import HurriedClock
from tests.support.patience import PATIENCE_S
from tests.support.trust_world import SITE

KEY: Final = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
HURRY: Final = 600.0


class Hurried(HurriedClock):
    """The clock of downloads: their quarter of an hour passes in real time, but sooner."""

    def __init__(self, own: FastClock) -> None:
        super().__init__(HURRY)
        self._own = own

    def now(self) -> datetime:
        return self._own.now()


class Box(AgentWorld):
    """A box whose agent speaks to its control plane over a real socket."""

    url = ""
    ca: Path | None = None
    answer_s = PATIENCE_S

    @contextmanager
    def agent(self, *_: Any) -> Iterator[Agent]:
        self.clock.start_anew()
        with open_files(self.settings) as files:
            throttle = Throttle(self.clock)
            client = Client(
                url=self.url,
                site=SITE,
                key=KEY,
                clock=Hurried(self.clock),
                ca=self.ca,
                answer_s=self.answer_s,
                throttle=throttle,
            )
            journal = Journal([str(self.folder / "journalctl")], within_s=PATIENCE_S)
            try:
                outside = Outside(client, self.tv, self.units, self.clock, throttle, journal)
                yield assemble(self.settings, files, Store(files.state), outside)
            finally:
                client.close()

    def settle(self, agent: Agent) -> Round:
        """As `neopro-agent once` does."""
        try:
            answer = agent.control_plane.head()
        except AgentError as problem:
            return agent.loop.settle(None, problem)
        return agent.loop.settle(answer.envelope if answer is not None else None)

    def contents(self) -> dict[str, bytes]:
        """Every file of the box but the agent's own."""
        own = self.root / "data/agent"
        files = (path for path in self.root.rglob("*") if path.is_file() and own not in path.parents)
        return {str(path): path.read_bytes() for path in files}
