"""`python -m tests.soak.box CONF [SEED]`: an agent in a process, whose time passes as stdin says.

    pass SECONDS  lets rounds go on until so much more has passed
    hear DIGEST   waits until its poller has the head of that digest
    again         ends the agent and begins another, as a restart of its service does
    reboot        the same, in another life of the machine
    count         what it holds
    kinds         its objects by type
    state         what it last told, and what it believes

Each is answered by one line of JSON with the seconds that have passed. The loop, its poller and everything that they
ask are the real ones; the clock alone is put forward.
"""

import logging
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from reconciler_agent.app import Agent, Outside, assemble, open_files, service_manager
from reconciler_agent.box_app import BoxApp
from reconciler_agent.client import Client
from reconciler_agent.download import Throttle
from reconciler_agent.journal import Journal
from reconciler_agent.settings import Settings, load_settings
from reconciler_agent.site_key import load_key
from reconciler_agent.state import Store
from schemas.names import digest_of
from tests.soak import heap
from tests.soak.seeds import BOX_SEEDS
from tests.soak.slumber import put_to_sleep
from tests.support.agent_world import FastClock

PATIENCE_S: Final = 60.0
ANSWER_S: Final = 5.0


class Box:
    """A box whose agent runs, and may be told to begin anew."""

    def __init__(self, conf: Path) -> None:
        self._settings, self._conf = load_settings(conf), conf
        self._clock = FastClock()
        self._agent: Agent | None = None
        self._going_on = True

    def live(self) -> None:
        """Agents, one after the other, until stdin ends."""
        while self._going_on:
            self._clock.start_anew()
            with self._opened() as self._agent:
                put_to_sleep(self._agent, self._clock, self._ask)
                self._agent.loop.run_forever()
            self._agent = None
            _join_pollers()

    @contextmanager
    def _opened(self) -> Iterator[Agent]:
        """As `open_agent` does, with this clock."""
        settings, throttle = self._settings, Throttle(self._clock)
        client = self._client(settings, throttle)
        screen = BoxApp(settings.app_url, self._clock)
        journal = Journal([str(self._conf.parent / "journalctl")])
        outside = Outside(client, screen, service_manager(settings), self._clock, throttle, journal)
        try:
            with open_files(settings) as files:
                yield assemble(settings, files, Store(files.state), outside)
        finally:
            client.close()
            screen.close()

    def _client(self, settings: Settings, throttle: Throttle) -> Client:
        return Client(
            url=settings.central_url,
            site=settings.site,
            key=load_key(settings.key),
            clock=self._clock,
            answer_s=ANSWER_S,
            throttle=throttle,
        )

    # What is told

    def _ask(self) -> float:
        """Until when the time that passes next does; called while the loop rests."""
        while True:
            said = sys.stdin.readline().split()
            if not said or said[0] in ("again", "reboot"):
                self._end(said)
                return self._clock.monotonic()
            if said[0] == "pass":
                self._say(None)
                return self._clock.monotonic() + float(said[1])
            self._say(getattr(self, f"_{said[0]}")(*said[1:]))

    def _end(self, said: list[str]) -> None:
        self._going_on = bool(said)
        if said and said[0] == "reboot":
            self._clock.life = f"life {self._clock.elapsed_s}"
            self._clock.booted_s = self._clock.elapsed_s
        assert self._agent is not None
        self._agent.loop.stop()
        self._say(None)

    def _say(self, value: object) -> None:
        print(msgspec.json.encode({"passed_s": self._clock.elapsed_s, "value": value}).decode(), flush=True)

    def _hear(self, digest: str) -> bool:
        assert self._agent is not None
        poller, until_s = self._agent.loop._parts.poller, time.monotonic() + PATIENCE_S
        while poller.envelope is None or digest_of(poller.envelope) != digest:
            assert time.monotonic() < until_s, f"no such head came: {poller.trouble}"
            time.sleep(0.002)
        return True

    def _count(self) -> dict[str, float]:
        return heap.figures()

    def _kinds(self) -> dict[str, int]:
        return dict(heap.kinds())

    def _state(self) -> dict[str, Any]:
        assert self._agent is not None
        state = self._agent.store.state
        told = {c.type: [c.status, c.reason, c.message] for c in state.told.conditions}
        return {
            "committed": state.committed,
            "told": told,
            "operations": {n: e.phase for n, e in state.operations.items()},
        }


def _join_pollers() -> None:
    """A real process would end with its agent; here its thread is to have ended before another begins."""
    for thread in threading.enumerate():
        if thread.name == "poll":
            thread.join(PATIENCE_S)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    if sys.argv[2:]:
        BOX_SEEDS[sys.argv[2]]()
    Box(Path(sys.argv[1])).live()
