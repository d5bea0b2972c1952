"""A real S3 server for tests: OpenStack Swift in a process of its own, started once a session."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from minio import Minio
from msgspec import Struct

from control_plane.objects import S3Store

ACCESS_KEY, SECRET_KEY = "neopro:admin", "not-so-secret"


class S3Server(Struct, frozen=True, kw_only=True):
    """A running server; `endpoint` is HOST:PORT, without TLS."""

    endpoint: str

    def client(self) -> Minio:
        """A client with all rights."""
        return Minio(self.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY, secure=False, region="us-east-1")

    def make_bucket(self) -> str:
        """A fresh bucket."""
        name = f"test-{uuid4().hex}"
        self.client().make_bucket(name)
        return name

    def store(self, bucket: str, *, secret_key: str = SECRET_KEY, presign: bool = False) -> S3Store:
        """Our store on a bucket."""
        return S3Store(
            endpoint=self.endpoint,
            bucket=bucket,
            access_key=ACCESS_KEY,
            secret_key=secret_key,
            secure=False,
            presign=presign,
        )


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Swift, on a free port."""
    folder: Path = tmp_path_factory.mktemp("swift")
    command = [sys.executable, "-m", "tests.support.swift_process", str(folder), ACCESS_KEY, SECRET_KEY]
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=_ROOT)
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    assert port, (folder / "stderr").read_text()
    try:
        yield S3Server(endpoint=f"127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


_ROOT = Path(__file__).parents[2]
