#!/usr/bin/python3 -IS
"""Starts the agent from the slot that is in force, and goes back to the one before when a new one does not do its work.

    launcher                     this file, written by `neopro-agent install` alone: no update of the agent replaces it
    slots/NAME/                  a release of the agent; slots/NAME.json: the listing of its files
    slots/good, slots/previous   links to the slot that has proved itself, and to the one before it
    slots/trial.json             the slot that is on trial, written by the agent before it ends for it

A slot on trial is started three times at most, each time written down before; a life that was cut off with the whole
machine, and had stood until then, does not count. It is good as soon as it has completed a poll and a report: it then
says so itself, by the link. Where it does not within `within_s` seconds in which the control plane could be reached,
a second process (the guard, which lives as long as the trial) ends it. Without a network it may take for ever. What
failed is written into trial.json, for the agent that runs instead. A slot whose files are not as listed is not started
while another one is.

Only the standard library, and nothing of any slot: whatever a release brings, this goes on working.
"""

import hashlib
import http.client
import json
import os
import platform
import select
import signal
import ssl
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

GOOD: Final = "good"
PREVIOUS: Final = "previous"
TRIAL: Final = "trial.json"
START: Final = "start.py"
MAX_LIVES: Final = 3
STOOD_S: Final = 120.0
LOOK_S: Final = 30.0
TIMEOUT_S: Final = 15.0
MAX_BYTES: Final = 16 << 20
CACHE: Final = Path("/run/neopro-agent")
"""In memory (`RuntimeDirectory=`): what Python compiles. Beside the code nothing is ever written."""
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")

Trial = dict[str, Any]
KINDS: Final[dict[str, type]] = {
    "slot": str, "lives": int, "boot": str, "stood": bool, "failed": str, "url": str, "ca": str, "within_s": int,
}  # fmt: skip
"""What trial.json holds. For ever: agents of every age write it and read it; what else they put there stays there."""


class Choice(NamedTuple):
    """The slot to start, and its trial if it is on one."""

    name: str
    trial: Trial | None


def main(arguments: list[str]) -> None:
    """Become the agent; `run` is what the service calls, all else is a person's, and no trial."""
    slots = Path(__file__).resolve().parent / "slots"
    if not os.access(slots, os.R_OK | os.X_OK):
        sys.exit(f"cannot start the agent: {slots} is not yours to read; call it with sudo")
    serves = arguments[-1:] == ["run"]
    chosen = choose(slots, boot_id()) if serves else Choice(settled(slots), None)
    if chosen.name == "":
        sys.exit(f"cannot start the agent: no slot in {slots} is whole; install it anew from its bundle")
    if chosen.trial is not None:
        start_guard(slots, chosen.trial)
    cache = [f"-Xpycache_prefix={CACHE}"] if os.access(CACHE, os.W_OK) else []
    words = [sys.executable, "-I", "-S", *cache, str(slots / chosen.name / START), *arguments]
    os.execv(sys.executable, words)  # noqa: S606 (an argument list, no shell)


# Which slot


def choose(slots: Path, boot: str) -> Choice:
    """The slot that the service starts now. The life of one on trial is on disk before it begins."""
    trial = read_trial(slots)
    if trial is None or trial["failed"] or trial["slot"] == link(slots, GOOD):
        return Choice(settled(slots), None)
    begun = begin(trial, boot, is_whole(slots, trial["slot"]))
    if not write_trial(slots, begun) or begun["failed"]:
        return Choice(settled(slots), None)
    return Choice(begun["slot"], begun)


def begin(trial: Trial, boot: str, whole: bool) -> Trial:
    """The trial with one more life in it, or with why there is none."""
    excused = trial["boot"] not in ("", boot) and trial["stood"]
    lives = trial["lives"] + (0 if excused else 1)
    if lives > MAX_LIVES:
        return {**trial, "failed": f"it ended {MAX_LIVES} times before it had completed a poll and a report"}
    if not whole:
        return {**trial, "failed": "its files on the disk are not those of its listing"}
    return {**trial, "lives": lives, "boot": boot, "stood": False}


def settled(slots: Path) -> str:
    """The slot to start when none is on trial: the good one; where it is damaged, another one; empty: there is none."""
    failed = (read_trial(slots) or {}).get("slot", "")
    named = [name for name in (link(slots, GOOD), link(slots, PREVIOUS)) if name]
    others = sorted((path.parent.name for path in slots.glob(f"*-*/{START}")), key=lambda name: (name == failed, name))
    there = [name for name in dict.fromkeys([*named, *others]) if (slots / name / START).is_file()]
    return next((name for name in there if is_whole(slots, name)), there[0] if there else "")


def link(slots: Path, name: str) -> str:
    """The slot that a link names; empty when it is none."""
    try:
        found = str((slots / name).readlink())
    except OSError:
        return ""
    return "" if "/" in found else found


def is_whole(slots: Path, name: str) -> bool:
    """Whether every file of a slot that this machine needs is as listed, and the listing the one of its name."""
    try:
        listing = (slots / f"{name}.json").read_bytes()
        if name.rpartition("-")[2] != hashlib.sha256(listing).hexdigest()[:8]:
            return False
        files = [file for file in json.loads(listing)["files"] if is_needed(file["path"])]
        return all(digest(slots / name / file["path"]) == file["digest"] for file in files)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def is_needed(path: str) -> bool:
    """Whether a file of a release is for this machine: not in the folder of another."""
    top, _, below = path.partition("/")
    return not below or top in ("any", platform.machine())


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()


def boot_id() -> str:
    """Of this life of the machine."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return "unknown"


# The trial on disk


def read_trial(slots: Path) -> Trial | None:
    """What is on trial; None when nothing is, or the file is none: then the good slot runs, and may try again."""
    try:
        with (slots / TRIAL).open("rb") as file:
            found = json.loads(file.read(MAX_BYTES))
        sound = all(isinstance(found[key], kind) for key, kind in KINDS.items())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if sound and found["slot"] and "/" not in found["slot"] else None


def write_trial(slots: Path, trial: Trial) -> bool:
    """Whether it is on disk now, in one step."""
    made, place = str(slots / f"{TRIAL}.new"), str(slots / TRIAL)
    try:
        handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            rest = json.dumps(trial, sort_keys=True).encode()
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        os.rename(made, place)  # noqa: PTH104 (the crash matrix counts these calls)
        above = os.open(slots, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
        try:
            os.fsync(above)
        finally:
            os.close(above)
    except OSError as problem:
        print(f"cannot write {place}: {problem.strerror}; the slot on trial is not started", file=sys.stderr)
        return False
    return True


# The guard


def start_guard(slots: Path, trial: Trial) -> None:
    """Watch this very process, which is about to become the agent, from one that is not its child."""
    agent = os.pidfd_open(os.getpid())
    child = os.fork()
    if child == 0:
        if os.fork() == 0:
            try:
                guard(slots, trial, agent)
            except Exception:  # noqa: BLE001 (told, and the agent goes on unguarded)
                traceback.print_exc()
            finally:
                os._exit(0)
        os._exit(0)
    os.waitpid(child, 0)
    os.close(agent)


def guard(slots: Path, trial: Trial, agent: int, look_s: float = LOOK_S) -> None:
    """Until the trial is over: note that the agent stands, and end it when it lets the time pass with a network."""
    waiting = select.poll()
    waiting.register(agent, select.POLLIN)
    began_s = looked_s = time.monotonic()
    reached_s, reached, stood = 0.0, False, False
    while not waiting.poll(look_s * 1000):
        now = read_trial(slots)
        if now is None or now["slot"] != trial["slot"] or now["failed"] or now["slot"] == link(slots, GOOD):
            return
        passed_s = min(time.monotonic() - looked_s, 2 * look_s + TIMEOUT_S)  # whoever was stopped has seen nothing
        looked_s = time.monotonic()
        if not stood and looked_s - began_s >= STOOD_S:
            stood = write_trial(slots, {**now, "stood": True})
        before, reached = reached, is_reachable(now["url"], now["ca"])
        reached_s += passed_s if before and reached else 0.0
        if reached_s > now["within_s"]:
            why = f"it did not complete a poll and a report within {reached_s:.0f} s, though the control plane answered"
            write_trial(slots, {**now, "failed": why})
            signal.pidfd_send_signal(agent, signal.SIGKILL)
            return


def is_reachable(url: str, ca: str) -> bool:
    """Whether the control plane itself answers: a signed document that anyone may read, by a verified server."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    try:
        if parts.scheme == "https":
            trusted = ssl.create_default_context(cafile=ca or None)
            trusted.verify_flags &= ~ssl.VERIFY_X509_STRICT  # Python's default from 3.13 on; the agent asks for no more
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT_S, context=trusted
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)  # this machine alone
        try:
            connection.request("GET", f"{parts.path.rstrip('/')}/v1/trust/1")
            answer = connection.getresponse()
            return answer.status == 200 and "payloadType" in json.loads(answer.read(1 << 20))
        finally:
            connection.close()
    except (OSError, ValueError, TypeError, http.client.HTTPException):
        return False


if __name__ == "__main__":
    main(sys.argv[1:])
