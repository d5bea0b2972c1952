"""Real Git remotes: a bare repository on disk, and the same over HTTPS (git http-backend) and SSH (asyncssh)."""

import asyncio
import base64
import http.server
import os
import shlex
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncssh
import pygit2
import pytest
from pygit2.enums import FileMode, ObjectType

from tests.support.authority import Authority

USERNAME, PASSWORD = "fleet", "correct horse"
_WHEN = 1_760_000_000


class BareRemote:
    """A bare repository that commits are written to directly, without a working copy."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.repository = pygit2.init_repository(str(path), bare=True, initial_head="main")

    def commit(
        self,
        files: Mapping[str, str | bytes],
        message: str = "Change the fleet",
        *,
        parents: Sequence[str] | None = None,
        ref: str = "refs/heads/main",
    ) -> str:
        """Commit exactly these files on top of `ref` (or of `parents`) and move `ref` there; the commit's id."""
        root = self.tree(files)
        if parents is None:
            parents = [str(self.repository.references[ref].target)] if ref in self.repository.references else []
        return self.commit_tree(root, message, parents=parents, ref=ref)

    def tree(self, files: Mapping[str, str | bytes]) -> bytes:
        """A tree with these files, written as Git would; its raw id."""
        index = pygit2.Index()
        for path, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            index.add(pygit2.IndexEntry(path, self.repository.create_blob(data), FileMode.BLOB))
        return bytes(index.write_tree(self.repository).raw)

    def blob(self, content: bytes) -> bytes:
        """A blob; its raw id."""
        return bytes(self.repository.create_blob(content).raw)

    def raw_tree(self, *entries: tuple[int, bytes, bytes]) -> bytes:
        """A tree with these entries (mode, name, raw id) as they are, however hostile; its raw id."""
        raw = b"".join(b"%o %b\0%b" % entry for entry in entries)
        return self.raw_object(ObjectType.TREE, raw)

    def raw_object(self, kind: ObjectType, raw: bytes) -> bytes:
        """An object of these bytes, unchecked; its raw id."""
        command = ["git", "-C", str(self.path), "hash-object", "-t", kind.name.lower(), "-w", "--stdin", "--literally"]
        said = subprocess.run(command, input=raw, capture_output=True, check=True)
        return bytes.fromhex(said.stdout.decode())

    def commit_tree(
        self,
        tree: bytes,
        message: str = "m",
        *,
        parents: Sequence[str] = (),
        ref: str = "refs/heads/main",
        at: int = _WHEN,
    ) -> str:
        """Commit a tree that may not even be one; the commit's id."""
        lines = [f"tree {tree.hex()}", *(f"parent {p}" for p in parents)]
        lines += [f"{role} Ann Öst <ann@example.org> {at} +0200" for role in ("author", "committer")]
        raw = "\n".join([*lines, "", message, ""]).encode()
        commit = self.raw_object(ObjectType.COMMIT, raw).hex()
        self.repository.references.create(ref, commit, force=True)
        return commit


class HttpsGit:
    """Serves the repositories of a folder over HTTPS, to one user with a password."""

    def __init__(self, root: Path, authority: Authority) -> None:
        class Handler(_GitHandler):
            folder = root

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.socket = authority.server_context().wrap_socket(self._server.socket, server_side=True)
        self.port = int(self._server.server_address[1])

    def url(self, name: str) -> str:
        """The remote's address."""
        return f"https://localhost:{self.port}/{name}"

    @contextmanager
    def serving(self) -> Iterator["HttpsGit"]:
        """Answers requests while the context lasts."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


class _GitHandler(http.server.BaseHTTPRequestHandler):
    """CGI for git http-backend."""

    folder: Path
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Authenticate, then hand over to git."""
        wanted = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        body = self._body()
        if self.headers.get("authorization") != wanted:
            self._answer(401, [("WWW-Authenticate", "Basic realm=git")], b"")
            return
        said = subprocess.run(["git", "http-backend"], input=body, env=self._environment(body), capture_output=True)
        head, _, content = said.stdout.partition(b"\r\n\r\n")
        headers = [(k, v) for k, _, v in (line.partition(": ") for line in head.decode().split("\r\n"))]
        status = next((int(v.split()[0]) for k, v in headers if k == "Status"), 200)
        self._answer(status, [h for h in headers if h[0] != "Status"], content)

    do_POST = do_GET

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _environment(self, body: bytes) -> dict[str, str]:
        path, _, query = self.path.partition("?")
        return {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "REMOTE_USER": USERNAME,
        }

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(content)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


class SshGit:
    """Serves the repositories of a folder over SSH, to the holder of `user_key`."""

    def __init__(self, root: Path, folder: Path) -> None:
        """Keys and `known_hosts` are written to `folder`."""
        self._root = root
        self._host_key = asyncssh.generate_private_key("ssh-ed25519")
        user_key = asyncssh.generate_private_key("ssh-ed25519")
        self.user_key = folder / "ssh-key"
        user_key.write_private_key(str(self.user_key))
        self.user_key.chmod(0o600)
        self._allowed = asyncssh.import_authorized_keys(user_key.export_public_key().decode())
        self.known_hosts = folder / "known_hosts"
        self.port = 0

    def url(self, name: str) -> str:
        """The remote's address."""
        return f"ssh://git@localhost:{self.port}/{name}"

    @contextmanager
    def serving(self) -> Iterator["SshGit"]:
        """Answers connections, on a loop and thread of its own, while the context lasts."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        listener = asyncio.run_coroutine_threadsafe(self._listen(), loop).result(10)
        self.port = listener.get_port()
        public = self._host_key.export_public_key().decode().split()
        self.known_hosts.write_text(f"[localhost]:{self.port} {public[0]} {public[1]}\n")
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(_close(listener), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            0,
            server_host_keys=[self._host_key],
            authorized_client_keys=self._allowed,
            process_factory=self._serve,
            encoding=None,
        )

    async def _serve(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        program, path = shlex.split(process.command or "")
        if program != "git-upload-pack":
            process.exit(128)
            return
        target = str(self._root / path.lstrip("/"))
        pipe = asyncio.subprocess.PIPE
        git = await asyncio.create_subprocess_exec("git", "upload-pack", target, stdin=pipe, stdout=pipe, stderr=pipe)
        await process.redirect(stdin=git.stdin, stdout=git.stdout, stderr=git.stderr)
        status = await git.wait()
        await process.stdout.drain()
        process.exit(status)


async def _close(listener: asyncssh.SSHAcceptor) -> None:
    listener.close()
    await listener.wait_closed()


@pytest.fixture
def remote(tmp_path: Path) -> BareRemote:
    """An empty bare repository."""
    return BareRemote(tmp_path / "remotes" / "fleet.git")


@pytest.fixture
def https_git(remote: BareRemote, tmp_path: Path) -> Iterator[tuple[HttpsGit, Authority]]:
    """The folder of `remote` over HTTPS, by a private CA."""
    authority = Authority(tmp_path, "git")
    with HttpsGit(remote.path.parent, authority).serving() as server:
        yield server, authority


@pytest.fixture
def ssh_git(remote: BareRemote, tmp_path: Path) -> Iterator[SshGit]:
    """The folder of `remote` over SSH."""
    with SshGit(remote.path.parent, tmp_path).serving() as server:
        yield server
