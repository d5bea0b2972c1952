"""The box's configuration.json as a file: read and exchanged beside at least seven writers that lock nothing.

It lies at `data/configuration.json`; `webapp/configuration.json`, where the applications look, is a link to it. They
write in place, by reading, changing and rewriting, and one of them may have the file open while it is exchanged.
Beside it, in the agent's folder, `configuration.`…

    `next.json`    the new one before the exchange, the displaced one after it
    `record.json`  what was exchanged for what, and that the screen is to be told: there until both are done
    `good.json`    the last one that parsed, which comes back when the file is lost
    `broken.json`  what was found in its place then
    `lost.json`    since when it has been lost, so that a run of one round counts too
"""

import json
import posixpath
import stat
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, Protocol, TypeVar

import msgspec
from msgspec import Struct

from reconciler_agent.core.changes import same
from reconciler_agent.durable import Disk
from reconciler_agent.errors import ConfigurationUnreadable
from schemas.names import Digest, digest_of

T = TypeVar("T")
Item = dict[str, Any]

PATH: Final = "data/configuration.json"
NAME: Final = "configuration.json"
MAX_BYTES: Final = 8 << 20
READ_PATIENCE_S: Final = 5.0
QUIET_S: Final = 1.0
"""How long no writer may have touched the file before it is exchanged; and how long one may write on afterwards."""
LOST_S: Final = 60.0
"""The local updater takes the file away for seconds; only after this long does the last good copy come back."""
STEP_S: Final = 0.05
BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """How time passes; seconds."""

    def monotonic(self) -> float:
        """Seconds since some point; never goes back while the machine is up."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Signature(NamedTuple):
    """What changes when a file is written."""

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class Standing(NamedTuple):
    """The file as it was read, since when it has been seen so, and whether it need not be read again.

    Without `signature` it is lost, and `value` is the last good one.
    """

    path: str
    signature: Signature | None
    data: bytes
    value: Item
    since_s: float
    settled: bool


class Late(Struct, frozen=True, kw_only=True):
    """What a writer made of `base` in a file that had been taken away under it."""

    base: Item
    changed: Item


class Record(Struct, frozen=True, kw_only=True):
    """An exchange under way, from `base` to what `next` is the digest of. Without `base`, only the notice is due."""

    base: Item | None = None
    next: Digest | None = None
    late: list[Late] = []


class _Lost(Struct, frozen=True, kw_only=True):
    boot: str
    since_s: float


class ConfigurationFile:
    """configuration.json of the box whose root is that of `disk`; one instance reads and writes it."""

    def __init__(self, disk: Disk, clock: Clock) -> None:
        self._disk = disk
        self._clock = clock
        self._last: Standing | None = None
        self._good: Digest | None = None
        self._kept: Standing | None = None
        self._recorded = True
        self._awaited: list[Late] | None = None
        self._marked_lost = True

    @property
    def path(self) -> str:
        """Where the truth is, if it is anywhere: a regular file where the applications look is newer than ours."""
        return self._find()[0]

    def recover(self) -> Record | None:
        """What an earlier run left undone, or None: a late writer's work in `late`, and a notice that is due."""
        data = self._read_regular(self._own("record"))
        record = None if data is None else _decode(data, Record)
        if record is None:
            self.finish()
            return None
        displaced = self._read_regular(self._own("next"))
        if displaced is None or record.base is None or digest_of(displaced) == record.next:
            return record  # not exchanged yet, or all is done but the notice
        return Record(late=_late(record.base, _parse(displaced)))

    # Reading

    def look(self, patience_s: float) -> Standing:
        """The file as it stands; the last good one when it has been missing or broken for a minute.

        Raises ConfigurationUnreadable before that, if it does not parse within `patience_s`.
        """
        deadline_s = self._clock.monotonic() + patience_s
        while True:
            found = self._read()
            if found is not None:
                self._unmark_lost()
                return found
            if self._clock.monotonic() >= deadline_s:
                return self._look_back()
            self._clock.sleep(STEP_S)

    def wait_until_quiet(self, standing: Standing) -> bool:
        """Whether nobody writes: `standing` has stood for a second and stands now, read again. False: start over."""
        if standing.signature is None:
            return True
        while (left_s := standing.since_s + QUIET_S - self._clock.monotonic()) > 0:
            self._clock.sleep(min(left_s, STEP_S))
            if not self._stands(standing):
                return False
        return self._read_regular(standing.path) == standing.data and self._stands(standing)

    def is_in_place(self, standing: Standing) -> bool:
        """Whether the file is where it belongs, and the applications find it."""
        if standing.path != PATH or standing.signature is None:
            return False
        folder = self._webapp()
        return folder is None or self._disk.link_target(f"{folder}/{NAME}") == _link_from(folder)

    def _read(self) -> Standing | None:
        """The file if it parses now. A timestamp is coarse: only what was read a second after it is not read again."""
        path, signature = self._find()
        last = self._last
        known = last is not None and (last.path, last.signature) == (path, signature)
        if last is not None and known and last.settled:
            return last
        data = self._read_regular(path)
        value = None if data is None else _parse(data)
        if data is None or value is None or self._find() != (path, signature):
            return None
        now_s = self._clock.monotonic()
        since_s = last.since_s if last is not None and known and last.data == data else now_s
        self._last = Standing(path, signature, data, value, since_s, now_s - since_s >= QUIET_S)
        return self._last

    def _find(self) -> tuple[str, Signature | None]:
        """Where the truth is: a regular file where the applications look is newer than ours."""
        folder = self._webapp()
        for path in (f"{folder}/{NAME}", PATH) if folder else (PATH,):
            found = self._disk.stat(path)
            if found is not None and stat.S_ISREG(found.st_mode):
                return path, Signature(found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        return PATH, None

    def _stands(self, standing: Standing) -> bool:
        return self._find() == (standing.path, standing.signature)

    def _webapp(self) -> str | None:
        """The real folder of the web application, through the links that a release is reached by; None if not there."""
        target = self._disk.link_target("webapp")
        if target is None:
            folder = "webapp"
        else:
            head, _, rest = target.partition("/")
            folder = posixpath.normpath(f"{self._disk.link_target(head) or head}/{rest}")
        if folder.startswith(("/", "..")):
            return None
        found = self._disk.stat(folder)
        return folder if found is not None and stat.S_ISDIR(found.st_mode) else None

    def _read_regular(self, path: str) -> bytes | None:
        """The bytes of a regular file; None when there is none, or something else stands there."""
        found = self._disk.stat(path)
        if found is None or not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            return None
        return self._disk.read(path, MAX_BYTES)

    # Lost and found

    def keep_good(self, standing: Standing) -> None:
        """Keep a copy of a file that has settled, if it is not the one that is kept already."""
        if standing is self._kept or not standing.settled or standing.signature is None:
            return
        self._kept = standing
        self._good = self._good or self._disk.digest(self._own("good"))
        if digest_of(standing.data) != self._good:
            self._disk.write_file(self._own("good"), standing.data, 0o600)
            self._good = digest_of(standing.data)

    def _look_back(self) -> Standing:
        """The last good one, once the file has been lost for a minute."""
        now_s = self._clock.monotonic()
        waited_s = now_s - self._lost_since_s(now_s)
        if waited_s < LOST_S:
            raise ConfigurationUnreadable(
                f"cannot read {NAME}: it is missing or does not parse; if it stays so for {LOST_S - waited_s:.0f} s "
                "more, the last good copy comes back"
            )
        data = self._read_regular(self._own("good"))
        value = None if data is None else _parse(data)
        return Standing(PATH, None, b"", value or {}, now_s, settled=False)

    def _lost_since_s(self, now_s: float) -> float:
        data, boot = self._read_regular(self._own("lost")), BOOT_ID.read_text().strip()
        known = None if data is None else _decode(data, _Lost)
        if known is not None and known.boot == boot and known.since_s <= now_s:
            return known.since_s
        self._disk.write_file(self._own("lost"), msgspec.json.encode(_Lost(boot=boot, since_s=now_s)), 0o600)
        self._marked_lost = True
        return now_s

    def _unmark_lost(self) -> None:
        if self._marked_lost:
            self._disk.remove(self._own("lost"))
            self._marked_lost = False

    # Writing

    def exchange(self, standing: Standing, value: Item, late: list[Late]) -> list[Late] | None:
        """Put `value`, which contains what `late` changed, in the place of `standing`. None: it was written meanwhile.

        What comes back is the work of a writer that had the file open: it must be merged, and exchanged again.
        """
        data = _render(value)
        self._write_record(Record(base=standing.value, next=digest_of(data), late=late))
        self._disk.write_file(self._own("next"), data, 0o644)
        if standing.signature is None:
            self._put_back()
            return []
        if not self._stands(standing):
            return None
        self._disk.exchange(self._own("next"), PATH)
        return self._look_at_displaced(standing)

    def take_over(self, standing: Standing) -> list[Late]:
        """Make a file found where the applications look the truth, and its place a link; answers as `exchange`."""
        folder = posixpath.dirname(standing.path)
        self._disk.write_file(PATH, standing.data, 0o644)
        self._write_record(Record(base=standing.value))
        self._disk.symlink(_link_from(folder), self._own("next"))
        self._disk.exchange(self._own("next"), standing.path)
        return self._look_at_displaced(standing)

    def link(self) -> None:
        """Make the applications find the file, if they do not."""
        folder = self._webapp()
        if folder is None or self._disk.link_target(f"{folder}/{NAME}") == _link_from(folder):
            return
        self._disk.symlink(_link_from(folder), f"{folder}/{NAME}")

    def await_notice(self, late: list[Late]) -> None:
        """Remember across restarts that the screen is to be told, and what is still to be carried."""
        if self._awaited == late:
            return
        self._write_record(Record(late=late))
        self._disk.remove(self._own("next"))
        self._awaited = late

    def finish(self) -> None:
        """Forget the exchange: it is done, and the screen was told."""
        if self._recorded:
            self._disk.remove(self._own("next"))
            self._disk.remove(self._own("record"))
            self._recorded, self._awaited = False, None

    def _look_at_displaced(self, standing: Standing) -> list[Late]:
        """What a writer left in the displaced file, when it has been quiet for a second; bounded.

        What does not parse in the end is kept aside, to be looked into by a person.
        """
        path, deadline_s = self._own("next"), self._clock.monotonic() + READ_PATIENCE_S
        seen: bytes | None = standing.data
        while True:
            self._clock.sleep(QUIET_S)
            data = self._read_regular(path)
            if data == seen or self._clock.monotonic() >= deadline_s:
                break
            seen = data
        changed = None if data is None else _parse(data)
        if data is not None and changed is None:
            self._disk.install(path, self._own("broken"))
        return _late(standing.value, changed)

    def _put_back(self) -> None:
        """Put the new one where the file was lost; what stands there instead is kept aside, to be looked into."""
        folder = self._webapp()
        for path in (f"{folder}/{NAME}", PATH) if folder else (PATH,):
            if self._read_regular(path) is not None:
                self._disk.install(path, self._own("broken"))
        self._disk.install(self._own("next"), PATH)

    def _write_record(self, record: Record) -> None:
        self._disk.write_file(self._own("record"), msgspec.json.encode(record), 0o600)
        self._recorded, self._awaited = True, None

    def _own(self, name: str) -> str:
        return f"{self._disk.private}/configuration.{name}.json"


def _link_from(folder: str) -> str:
    return posixpath.relpath(PATH, folder)


def _late(base: Item, changed: Item | None) -> list[Late]:
    return [] if changed is None or same(changed, base) else [Late(base=base, changed=changed)]


def _parse(data: bytes) -> Item | None:
    """The object in these bytes, as the applications' own JSON.parse would read it; None when it would fail."""
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _render(value: Item) -> bytes:
    """Indented JSON, as people read it; escaped where a text has no UTF-8 form (half a surrogate pair)."""
    try:
        return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(value, indent=2, allow_nan=False).encode() + b"\n"
    except ValueError:
        raise ConfigurationUnreadable(f"cannot write {NAME}: a number in it is too large for JSON") from None


def _decode(data: bytes, kind: type[T]) -> T | None:
    """Our own small files: None when one was damaged; what it said is then observed anew."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError):  # of which msgspec's are; bytes that are no UTF-8 are another
        return None
