"""The fleet-state repository, read by libgit2: fetch a ref, refuse rewritten history, read a commit's tree.

No file of the repository is ever checked out: trees and blobs are read from the object database, so that a hostile
tree (`..`, links, submodules) stays a list of names for the compiler to refuse.

libgit2 keeps certificates, the home of `known_hosts` and timeouts per process; `GitSource` sets them before each fetch,
one fetch at a time. A CA that was once loaded stays trusted until the process ends.
"""

import asyncio
import logging
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pygit2
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_ssh_private_key
from msgspec import Struct
from pygit2.enums import ConfigLevel, CredentialType
from pygit2.remotes import TransferProgress

from control_plane.core.trees import EMPTY
from control_plane.errors import NotFastForward, RemoteUnreachable
from control_plane.git_objects import MAX_DEPTH, Blobs, Tree, Walk, messages_between
from control_plane.git_packs import MAX_OPEN_PACKS, gather
from schemas.names import Revision

CONNECT_TIMEOUT_S: Final = 10
READ_TIMEOUT_S: Final = 60
MAX_FETCH_BYTES: Final = 1 << 30
_TIP: Final = "refs/neopro/tip"
_SEEN: Final = "refs/neopro/seen"
_LAST_INSTANT: Final = 253_402_300_799  # the end of the year 9999
_libgit2_settings = threading.Lock()
logger = logging.getLogger(__name__)


class CommitInfo(Struct, frozen=True, kw_only=True):
    """What a commit says of itself; `author` is `Name <mail>`, `committed_at` is in UTC.

    `signature`: as its header holds it, over `signed`, the commit without that header; None for an unsigned one.
    """

    revision: Revision
    author: str
    subject: str
    committed_at: datetime
    signature: bytes | None = None
    signed: bytes | None = None


class GitSource:
    """One ref of one remote, and our bare clone of it."""

    def __init__(
        self,
        remote: str,
        ref: str,
        clone: Path,
        *,
        ca_file: Path | None = None,
        ssh_key: Path | None = None,
        known_hosts: Path | None = None,
        username: str | None = None,
        password_file: Path | None = None,
        timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        """`remote`: a path, https://… or ssh://…; `ref`: a branch's name or `refs/…`.

        `timeout_s`: the longest silence of a remote in the middle of an answer.
        `ca_file`: trusted beside the system's authorities; `known_hosts`: the only host keys that are trusted.
        """
        self._remote, self._clone = remote, clone
        self._ref = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
        self._ca_file, self._ssh_key, self._known_hosts = ca_file, ssh_key, known_hosts
        self._username, self._password_file = username, password_file
        self._timeout_s, self._damaged = timeout_s, False
        self._walked = EMPTY

    async def fetch(self) -> Revision:
        """Bring the clone up to date and say where the ref is now; RemoteUnreachable says why not."""
        return await asyncio.to_thread(self._fetch)

    async def require_descendant(self, revision: Revision, of: Revision) -> None:
        """NotFastForward unless `revision` is `of` or comes after it."""
        await asyncio.to_thread(self._require_descendant, revision, of)

    async def commit(self, revision: Revision) -> CommitInfo:
        """What the commit says of itself."""
        return await asyncio.to_thread(self._commit_info, revision)

    async def messages(self, revision: Revision, since: Revision) -> list[str]:
        """The messages of `revision` and of what it brings that `since` did not have, the newest first."""
        return await asyncio.to_thread(self._messages, revision, since)

    async def tree(self, revision: Revision) -> Tree:
        """The commit's files; CommitRefused when there are more than 200,000 or folders nest deeper than 32."""
        return await asyncio.to_thread(self._tree, revision)

    def _fetch(self) -> Revision:
        try:
            if not self._damaged:
                return self._fetch_once()
        except _CloneBroken:
            pass
        shutil.rmtree(self._clone, ignore_errors=True)  # it is a copy: a fresh one mends it
        try:
            revision = self._fetch_once()
        except _CloneBroken as problem:
            raise RemoteUnreachable(f"cannot keep a clone in {self._clone}: {problem}") from None
        self._damaged, self._walked = False, EMPTY
        return revision

    def _fetch_once(self) -> Revision:
        access = _Access(self._remote, self._username, self._password_file, self._ssh_key)
        with _libgit2_settings:
            self._configure()
            repository = self._open()
            # Without this, a branch that is gone from the remote would leave the old tip in place, unnoticed.
            _delete_reference(repository, _TIP)
            try:
                repository.remotes.create_anonymous(self._remote).fetch([f"+{self._ref}:{_TIP}"], callbacks=access)
            except (pygit2.GitError, KeyError, ValueError, OSError) as problem:
                raise RemoteUnreachable(f"cannot fetch {self._shown()}: {self._why(problem, access)}") from None
        revision = self._tip(repository)
        self._gather(repository)
        return revision

    def _gather(self, repository: pygit2.Repository) -> None:
        try:
            if gather(repository):
                logger.info("clone_packed", extra={"clone": self._clone})
        except (pygit2.GitError, OSError) as problem:  # many packs are slow, and no reason to stand still
            logger.warning("cannot put the packs of %s together: %s", self._clone, problem)

    def _open(self) -> pygit2.Repository:
        try:
            if (self._clone / "HEAD").exists():
                return pygit2.Repository(str(self._clone))
            self._clone.parent.mkdir(parents=True, exist_ok=True)
            return pygit2.init_repository(str(self._clone), bare=True)
        except (pygit2.GitError, OSError) as problem:
            raise _CloneBroken(str(problem)) from None

    def _tip(self, repository: pygit2.Repository) -> Revision:
        if _TIP not in repository.references:
            raise RemoteUnreachable(f"cannot fetch {self._shown()}: the remote has no {self._ref}")
        try:
            commit = repository.references[_TIP].peel(pygit2.Commit)
            repository[commit.tree_id]
        except (pygit2.GitError, KeyError, ValueError) as problem:
            raise _CloneBroken(str(problem)) from None
        # libgit2 tells the remote which refs we have; this one stays when the tip is deleted before a fetch.
        repository.references.create(_SEEN, commit.id, force=True)
        return str(commit.id)

    def _configure(self) -> None:
        settings = pygit2.settings
        settings.server_connect_timeout = int(min(CONNECT_TIMEOUT_S, self._timeout_s) * 1000)
        settings.server_timeout = int(self._timeout_s * 1000)
        settings.enable_fsync_gitdir(True)
        settings.mwindow_file_limit = MAX_OPEN_PACKS
        for level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL, ConfigLevel.PROGRAMDATA):
            settings.search_path[level] = ""  # no insteadOf, proxy or credential helper of whoever starts us
        if self._ca_file is not None:
            _load_authority(self._ca_file)
        settings.homedir = str(self._home())

    def _home(self) -> Path:
        """A folder whose `.ssh/known_hosts` is ours: the only place where libgit2 looks for host keys."""
        home = self._clone.with_name(self._clone.name + ".home")
        target = home / ".ssh" / "known_hosts"
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = b"" if self._known_hosts is None else _read_secret(self._known_hosts, "the known hosts")
        if not target.exists() or target.read_bytes() != text:
            target.write_bytes(text)
        return home

    def _shown(self) -> str:
        return re.sub(r"//[^/]*@", "//", self._remote)

    def _why(self, problem: Exception, access: "_Access") -> str:
        if access.refusal:
            return access.refusal
        if "://" not in self._remote and "unsupported URL" in str(problem):
            return "there is no Git repository in this folder of the server; correct remote"
        return re.sub(r"\s+", " ", str(problem))[:300]

    @contextmanager
    def _reading(self) -> Iterator[pygit2.Repository]:
        """The clone, to read from; when an object of it cannot be read, the next fetch makes it anew."""
        try:
            yield pygit2.Repository(str(self._clone))
        except (pygit2.GitError, KeyError, ValueError, OSError) as problem:
            self._damaged = True
            raise RemoteUnreachable(f"cannot read the clone {self._clone}: {problem}; it will be made anew") from None

    def _require_descendant(self, revision: Revision, of: Revision) -> None:
        with self._reading() as repository:
            if revision == of or (of in repository and repository.descendant_of(revision, of)):
                return
        raise NotFastForward(
            f"cannot publish {revision[:12]}: {self._ref} of {self._shown()} does not continue what is published "
            f"({of[:12]}); history was rewritten. Push a commit on top of {of[:12]} instead, for instance a git revert"
        )

    def _commit_info(self, revision: Revision) -> CommitInfo:
        with self._reading() as repository:
            commit = repository[revision].peel(pygit2.Commit)
            message = commit.raw_message.decode("utf-8", "replace")
            author = f"{_text(commit.author.raw_name)} <{_text(commit.author.raw_email)}>"
            signature, signed = commit.gpg_signature
            return CommitInfo(
                signature=signature,
                signed=signed,
                revision=revision,
                author=author[:200],
                subject=next(iter(message.strip().splitlines()), "")[:200],
                # An author may write any date; one that no calendar has becomes the nearest that one has.
                committed_at=datetime.fromtimestamp(min(max(commit.commit_time, 0), _LAST_INSTANT), UTC),
            )

    def _messages(self, revision: Revision, since: Revision) -> list[str]:
        with self._reading() as repository:
            return messages_between(repository, revision, since)

    def _tree(self, revision: Revision) -> Tree:
        with self._reading() as repository:
            tree_id = repository[revision].peel(pygit2.Commit).tree_id.raw
            self._walked = Walk(repository).folder("", tree_id, self._walked, MAX_DEPTH)
        return Tree(entries=self._walked, blobs=Blobs(self._reading, self._walked))


class _CloneBroken(Exception):
    """The clone cannot be read."""


class _Access(pygit2.RemoteCallbacks):
    """Answers the remote's questions once each; `refusal` is the sentence when an answer was not good enough."""

    def __init__(self, remote: str, username: str | None, password_file: Path | None, ssh_key: Path | None) -> None:
        super().__init__()
        self._host, self._username = urlsplit(remote).hostname, username
        self._password_file, self._ssh_key = password_file, ssh_key
        self._asked = False
        self.refusal = ""

    def credentials(
        self, url: str, username_from_url: str | None, allowed_types: CredentialType
    ) -> pygit2.Username | pygit2.UserPass | pygit2.Keypair:
        name = self._username or username_from_url or "git"
        if CredentialType.USERNAME in allowed_types:
            return pygit2.Username(name)
        if self._asked:
            raise self._refuse(f"it refused the credentials of {name!r}; check the user name, password or key")
        self._asked = True
        if urlsplit(url).hostname not in (None, self._host):
            raise self._refuse(f"it sends us on to {urlsplit(url).hostname}, which asks for credentials")
        if CredentialType.SSH_KEY in allowed_types and self._ssh_key is not None:
            self._require_key(self._ssh_key)
            return pygit2.Keypair(name, None, str(self._ssh_key), "")
        if CredentialType.USERPASS_PLAINTEXT in allowed_types and self._password_file is not None:
            return pygit2.UserPass(name, _read_secret(self._password_file, "the password").decode().strip())
        raise self._refuse("it asks for credentials; set git_password_file (https) or git_ssh_key (ssh)")

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:  # noqa: ARG002
        if not valid:
            name = host.decode(errors="replace")
            self.refusal = (
                f"the identity of {name} is not the one we trust; check git_ca_file (https) or git_known_hosts (ssh)"
            )
        return valid

    def transfer_progress(self, stats: TransferProgress) -> None:
        if stats.received_bytes > MAX_FETCH_BYTES:
            raise self._refuse(f"it sends more than {MAX_FETCH_BYTES >> 20} MiB; videos do not belong into Git")

    def _require_key(self, file: Path) -> None:
        try:
            load_ssh_private_key(_read_secret(file, "the SSH key"), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise self._refuse(f"{file} is not an OpenSSH private key without passphrase") from None

    def _refuse(self, why: str) -> Exception:
        self.refusal = why
        return ValueError(why)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _delete_reference(repository: pygit2.Repository, name: str) -> None:
    with suppress(KeyError):
        repository.references.delete(name)


def _load_authority(file: Path) -> None:
    try:
        pygit2.settings.set_ssl_cert_locations(str(file), pygit2.settings.ssl_cert_dir)
    except pygit2.GitError as problem:
        raise RemoteUnreachable(f"cannot use the certificate authority {file}: {problem}") from None


def _read_secret(file: Path, what: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as problem:
        raise RemoteUnreachable(f"cannot read {what} {file}: {problem.strerror}") from None
