"""The service manager of the demo's boxes: runs their applications, and answers the agents as systemd would.

One process for all boxes. A unit is restarted a second after it ended (`Restart=always`), and the restarts are counted
(`NRestarts`) until somebody starts it anew. Each box has a Unix socket; a request and its answer are one JSON line:
`{"verb": "restart|start|stop|state", "unit": "neopro-app"}` -> `{"ok": true, "active": true, "restarts": 0}`.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec
from msgspec import Struct

from cli.demo.children import dies_with_parent

Verb = Literal["restart", "start", "stop", "state", "reboot"]
Action = Callable[[], Awaitable[None]]

RESTART_AFTER_S: Final = 1.0
STOP_WITHIN_S: Final = 1.5
ANSWER_WITHIN_S: Final = 10.0
MAX_REQUEST_BYTES: Final = 4096


class UnitFile(Struct, frozen=True, kw_only=True):
    """A service; `at_boot`: started at once, if `needs` (a path) is there, as ConditionPathExists= has it."""

    name: str
    command: list[str]
    cwd: str
    env: dict[str, str]
    log: str
    at_boot: bool = True
    needs: str = "/"
    stop_within_s: float = STOP_WITHIN_S


class BoxUnits(Struct, frozen=True, kw_only=True):
    """The services of one box, and where it is asked about them."""

    socket: str
    units: list[UnitFile]


class Request(Struct, frozen=True, kw_only=True):
    """What an agent asks."""

    verb: Verb
    unit: str


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What it is told."""

    ok: bool
    active: bool | None = None
    restarts: int | None = None
    error: str | None = None


class Unit:
    """One service: wanted or not, running or not, restarted so many times by itself."""

    def __init__(self, file: UnitFile) -> None:
        self._file = file
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.restarts = 0

    @property
    def active(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.returncode is None

    async def boot(self) -> None:
        """Start it as the box comes up, if there is something to start."""
        if self._file.at_boot and Path(self._file.needs).exists():
            await self.start()

    async def start(self) -> None:
        """Start it unless it runs."""
        async with self._lock:
            if not self.active:
                await self._end()
                await self._begin()

    async def restart(self) -> None:
        """Stop it and start it."""
        async with self._lock:
            await self._end()
            await self._begin()

    async def stop(self) -> None:
        """Stop it; it stays stopped."""
        async with self._lock:
            await self._end()

    async def _begin(self) -> None:
        self.restarts = 0
        self._process = await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        """Start the process again whenever it ends."""
        while True:
            if self._process is not None:
                await self._process.wait()
            await asyncio.sleep(RESTART_AFTER_S)
            self.restarts += 1
            self._process = await self._spawn()

    async def _spawn(self) -> asyncio.subprocess.Process | None:
        """The running process, or None where it could not even be started; that, too, is tried again."""
        with Path(self._file.log).open("ab") as log:
            try:
                return await asyncio.create_subprocess_exec(
                    *self._file.command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._file.cwd,
                    env={**os.environ, **self._file.env},
                    start_new_session=True,
                    preexec_fn=dies_with_parent(signal.SIGKILL),
                )
            except OSError as problem:
                log.write(f"cannot start {self._file.name}: {problem}\n".encode())
                return None

    async def _end(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        process, self._process = self._process, None
        if process is None or process.returncode is not None:
            return
        _signal_group(process.pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), self._file.stop_within_s)
        except TimeoutError:
            _signal_group(process.pid, signal.SIGKILL)
            await process.wait()


class Supervisor:
    """The units of one box behind its socket."""

    def __init__(self, box: BoxUnits) -> None:
        self._socket = Path(box.socket)
        self.units: Mapping[str, Unit] = {file.name: Unit(file) for file in box.units}

    async def open(self) -> asyncio.Server:
        """Answer on the socket, then start what can be started."""
        self._socket.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, self._socket, limit=MAX_REQUEST_BYTES)
        for unit in self.units.values():
            await unit.boot()
        return server

    async def close(self) -> None:
        """Stop every unit."""
        await asyncio.gather(*(unit.stop() for unit in self.units.values()))
        self._socket.unlink(missing_ok=True)

    async def answer(self, line: bytes) -> Answer:
        """The answer to one request."""
        try:
            request = msgspec.json.decode(line, type=Request)
        except msgspec.DecodeError as problem:
            return Answer(ok=False, error=f"cannot read the request: {problem}")
        if request.verb == "reboot":
            return Answer(ok=False, error="a box of the demo is no machine of its own, and cannot be started anew")
        unit = self.units.get(request.unit)
        if unit is None:
            return Answer(ok=False, error=f"cannot {request.verb} {request.unit}: there is no such unit")
        actions: Mapping[str, Action] = {"start": unit.start, "stop": unit.stop, "restart": unit.restart}
        if action := actions.get(request.verb):
            await action()
        return Answer(ok=True, active=unit.active, restarts=unit.restarts)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            writer.write(msgspec.json.encode(await self.answer(line)) + b"\n")
            await writer.drain()
        except (ConnectionError, ValueError):
            pass  # Whoever asked has left, or sent no line: nobody is there to be told.
        finally:
            writer.close()


async def run(boxes: Sequence[BoxUnits]) -> None:
    """Supervise until SIGTERM or SIGINT, then stop every unit."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    supervisors = [Supervisor(box) for box in boxes]
    try:
        for supervisor in supervisors:
            await supervisor.open()
        await stop.wait()
    finally:
        await asyncio.gather(*(supervisor.close() for supervisor in supervisors))


def ask(socket_path: Path, verb: Verb, unit: str) -> Answer:
    """What the supervisor behind this socket answers; OSError where there is none."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_WITHIN_S)
        connection.connect(str(socket_path))
        connection.sendall(msgspec.json.encode(Request(verb=verb, unit=unit)) + b"\n")
        with connection.makefile("rb") as answer:
            return msgspec.json.decode(answer.readline() or b'{"ok":false,"error":"it left"}', type=Answer)


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


if __name__ == "__main__":
    asyncio.run(run(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=list[BoxUnits])))
