"""What can be wrong with an operator's set-up on this machine; each finding says what to do. Reads only."""

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal, NamedTuple

from cli.checkout import Checkout
from cli.errors import CommandFailed
from cli.new_repository import schema_files, with_schema_line
from cli.trust_folder import newest_release_list, newest_root
from cli.words import count
from control_plane.errors import KeyUnusable
from schemas.desired import KINDS
from schemas.trust import TrustRoot, role_keys

Verdict = Literal["ok", "warning", "fault"]
OLDEST_GIT: Final = (2, 31)
"""`git ls-files --deduplicate`."""
SOON: Final = timedelta(days=60)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)")


class Check(NamedTuple):
    """One finding; `remedy` is what to do where it is not `ok`."""

    area: str
    verdict: Verdict
    says: str
    remedy: str = ""


def machine() -> Iterator[Check]:
    """Python, and what reads videos."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield Check("machine", "ok", f"neopro {version('neopro-fleet')} on Python {python}")
    if find_spec("av"):
        yield Check("machine", "ok", "PyAV is there: videos are checked before they are added")
    else:
        remedy = "pip install av, or leave adding videos to a machine that has it"
        yield Check("machine", "warning", "PyAV is not installed: neopro video add cannot look into files", remedy)


def git(folder: Path) -> Iterator[Check]:
    """Git itself, and who commits are of."""
    if not shutil.which("git"):
        yield Check("git", "fault", "git is not installed", "install it: apt install git, brew install git")
        return
    said = _git(folder, "--version")
    found = _VERSION.search(said)
    if found and (int(found[1]), int(found[2])) < OLDEST_GIT:
        yield Check("git", "fault", f"{said} is too old", f"install {'.'.join(map(str, OLDEST_GIT))} or newer")
    else:
        yield Check("git", "ok", said)
    for key, example in (("user.name", '"Ada Operator"'), ("user.email", "ada@example.org")):
        value = _git(folder, "config", "--get", key)
        if value:
            yield Check("git", "ok", f"{key} is {value}")
        else:
            yield Check("git", "fault", f"{key} is not set", f"git config --global {key} {example}")


def repository(checkout: Checkout, now: datetime) -> Iterator[Check]:
    """The checkout: its state beside the remote's, its schemas, its trust documents."""
    yield from _state(checkout)
    yield from _schemas(checkout)
    try:
        root = newest_root(checkout)
        listed = newest_release_list(checkout, root)
    except CommandFailed as problem:
        sentence, _, remedy = str(problem).partition("; ")
        yield Check("trust", "fault", sentence, remedy or "take trust/ back from git: git checkout main -- trust")
        return
    yield _lasts("trust root", root.version, root.expires_at, now)
    if listed:
        yield _lasts("release list", listed.version, listed.expires_at, now)
    yield from _signing(checkout, root)


def release_key(checkout: Checkout, root: TrustRoot, env: Mapping[str, str]) -> Iterator[Check]:
    """The key that signs releases, where one is named."""
    from control_plane.signer import read_private_key
    from schemas.dsse import key_id, public_line

    named = env.get("NEOPRO_RELEASE_KEY") or checkout.git_settings().get("releasekey")
    if not named:
        yield Check("release key", "ok", "none is named: this machine adds no releases")
        return
    try:
        key = read_private_key(Path(named).expanduser())
    except KeyUnusable as problem:
        sentence, _, remedy = str(problem).partition("; run: ")
        another = "name another: NEOPRO_RELEASE_KEY, or git config neopro.releasekey PATH"
        yield Check("release key", "fault", sentence, f"{remedy}, or {another}" if remedy else another)
        return
    keys, _ = role_keys(root, "release")
    if key_id(public_line(key.public_key())) in keys:
        yield Check("release key", "ok", f"{named} may sign releases")
    else:
        remedy = "name the key that the trust root lists (neopro keys show)"
        yield Check("release key", "fault", f"{named} is not a release key of trust root {root.version}", remedy)


def private(path: Path) -> bool:
    """Whether nobody else on this machine may read the file."""
    return not stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO)


def _state(checkout: Checkout) -> Iterator[Check]:
    branch = _git(checkout.root, "branch", "--show-current")
    if not _git(checkout.root, "rev-parse", "--git-dir"):
        remedy = 'git init -b main && git add -A && git commit -m "Begin the fleet"'
        yield Check("repository", "fault", f"{checkout.root} is no Git repository", remedy)
        return
    changed = _git(checkout.root, "status", "--porcelain", "--", ".").splitlines()
    here = f"{checkout.root}, {f'branch {branch}' if branch else 'no branch (a commit was checked out)'}"
    if changed:
        yield Check(
            "repository", "warning", f"{here}: not committed: {count(len(changed), 'file')}", "git diff; git commit"
        )
    else:
        yield Check("repository", "ok", f"{here}: all is committed")
    counts = _git(checkout.root, "rev-list", "--left-right", "--count", "@{upstream}...HEAD").split()
    if len(counts) != 2:
        remedy = f"git push -u origin {branch or 'main'}"
        yield Check("repository", "warning", "the branch follows none of a remote", remedy)
        return
    behind, ahead = map(int, counts)
    if behind:
        yield Check("repository", "warning", f"{count(behind, 'commit')} behind the remote", "git pull --rebase")
    if ahead:
        yield Check("repository", "warning", f"not pushed: {count(ahead, 'commit')}", "git push")
    if not behind and not ahead:
        yield Check("repository", "ok", "as the remote was when it was last fetched")


def _schemas(checkout: Checkout) -> Iterator[Check]:
    stale = [path for path, data in schema_files().items() if _bytes(checkout, path) != data]
    lost = [path for path in _documents(checkout) if with_schema_line(checkout.read(path), path) != checkout.read(path)]
    if stale or lost:
        what = [f"{count(len(stale), 'schema')} missing or old"] if stale else []
        what += [f"{count(len(lost), 'document')} pointing elsewhere"] if lost else []
        yield Check("repository", "warning", f"for editors: {', '.join(what)}", f"neopro init {checkout.root}")
    else:
        yield Check("repository", "ok", "editors find the schemas of this version")


def _documents(checkout: Checkout) -> list[str]:
    return [path for folder in KINDS for path in checkout.documents(folder).values()]


def _bytes(checkout: Checkout, path: str) -> bytes | None:
    file = checkout.root / path
    return file.read_bytes() if file.is_file() else None


def _lasts(what: str, number: int, expires_at: datetime, now: datetime) -> Check:
    says = f"{what} {number} holds until {expires_at:%Y-%m-%d}"
    if expires_at <= now:
        return Check("trust", "fault", f"{what} {number} expired on {expires_at:%Y-%m-%d}", "neopro keys renew --help")
    return Check("trust", "warning" if expires_at < now + SOON else "ok", says, "renew it in time: neopro keys renew")


def _signing(checkout: Checkout, root: TrustRoot) -> Iterator[Check]:
    """Where commits must be signed: does this machine, and with a key that is listed."""
    if not root.commit_signers:
        yield Check("trust", "ok", "commits need no signature")
        return
    asked = {key: _git(checkout.root, "config", "--get", key) for key in ("gpg.format", "user.signingkey")}
    signs = _git(checkout.root, "config", "--type=bool", "--get", "commit.gpgsign") == "true"
    if asked["gpg.format"] != "ssh" or not asked["user.signingkey"] or not signs:
        remedy = "git config gpg.format ssh; git config commit.gpgsign true; git config user.signingkey KEY.pub"
        yield Check("trust", "fault", "commits must be signed, and this checkout does not sign them", remedy)
        return
    key = _public(asked["user.signingkey"])
    if any(key.split()[:2] == line.split()[:2] for line in root.commit_signers):
        yield Check("trust", "ok", "commits are signed with a key that the trust root lists")
    else:
        remedy = "have it added: neopro keys signer --help"
        yield Check(
            "trust", "fault", f"the trust root does not list the signing key {asked['user.signingkey']}", remedy
        )


def _public(named: str) -> str:
    """The SSH public key that `user.signingkey` names, as a line or as a file."""
    line = named.removeprefix("key::")
    if line.startswith("ssh-"):
        return line
    path = Path(named).expanduser()
    for file in (path.with_name(path.name + ".pub"), path):
        if file.is_file() and (text := file.read_text("utf-8", "replace")).startswith("ssh-"):
            return text
    return ""


def _git(folder: Path, *words: str) -> str:
    """What git prints in the folder; empty where it fails."""
    env = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False, env=env)
    return done.stdout.strip() if done.returncode == 0 else ""
