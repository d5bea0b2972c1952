"""OpenStack Swift with its S3 interface in one process: a real S3 server, run as `python -m … FOLDER ACCESS SECRET`.

It prints its port when it is ready, and ends with its parent. Path style, region us-east-1.
"""

import ctypes
import signal
import sys
import time
import types
from pathlib import Path
from typing import Any

import eventlet  # type: ignore[import-untyped]

eventlet.monkey_patch()

from swift.common import utils, wsgi  # type: ignore[import-untyped]  # noqa: E402  after the patch
from swift.common.ring import RingBuilder  # type: ignore[import-untyped]  # noqa: E402

_SERVERS = ("account", "container", "object")
_PIPELINE = "catch_errors cache listing_formats bulk s3api tempauth copy dlo slo versioned_writes symlink proxy-server"
_SILENT = "log_level=CRITICAL\nlog_udp_host=127.0.0.1\nlog_udp_port=9\n"


class _Memory:
    """Stands in for memcached, as far as the proxy uses it."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[Any, float]] = {}

    def get(self, key: str, *_: object, **__: object) -> Any:
        value, until = self._values.get(key, (None, 0.0))
        return None if until and until < time.time() else value

    def set(self, key: str, value: Any, *_: object, time: float = 0, **__: object) -> None:
        self._values[key] = (value, _now() + time if time else 0.0)

    def incr(self, key: str, delta: int = 1, time: float = 0, **_: object) -> int:
        number = max(0, int(self.get(key) or 0) + delta)
        self.set(key, number, time=time)
        return number

    def decr(self, key: str, delta: int = 1, time: float = 0, **_: object) -> int:
        return self.incr(key, -delta, time)

    def delete(self, key: str, *_: object, **__: object) -> None:
        self._values.pop(key, None)


def _now() -> float:
    return time.time()


def _filter_factory(_: object, **__: object) -> Any:
    memory = _Memory()

    def wrap(app: Any) -> Any:
        def serve(environ: dict[str, Any], start_response: Any) -> Any:
            environ["swift.cache"] = memory
            return app(environ, start_response)

        return serve

    return wrap


def _write_storage(root: Path, name: str, port: int) -> None:
    etc = root / "etc"
    ring = RingBuilder(2, 1, 0)
    where = {"ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1", "replication_port": port}
    ring.add_dev({"region": 1, "zone": 1, "device": "d1", "weight": 1, "meta": "", **where})
    ring.rebalance()
    ring.get_ring().save(str(etc / f"{name}.ring.gz"))
    (etc / f"{name}.conf").write_text(
        f"[DEFAULT]\nswift_dir={etc}\ndevices={root}/devices\nmount_check=false\nfallocate_reserve=0\n"
        f"recon_cache_path={root}/cache\n{_SILENT}[pipeline:main]\npipeline={name}-server\n"
        f"[app:{name}-server]\nuse=egg:swift#{name}\n"
    )


def _write_proxy(root: Path, access_key: str, secret_key: str) -> None:
    account, _, user = access_key.partition(":")
    filters = {name: f"use=egg:swift#{name}\n" for name in _PIPELINE.split()[:-1]}
    filters["cache"] = "paste.filter_factory=swift_memory:filter_factory\n"
    filters["s3api"] += "s3_acl=false\nlocation=us-east-1\nmin_segment_size=5242880\nauth_pipeline_check=true\n"
    filters["tempauth"] += f"user_{account}_{user} = {secret_key} .admin\n"
    filters["slo"] += "minimum_segment_size=1\n"
    (root / "etc" / "proxy.conf").write_text(
        f"[DEFAULT]\nswift_dir={root}/etc\n{_SILENT}[pipeline:main]\npipeline = {_PIPELINE}\n"
        "[app:proxy-server]\nuse=egg:swift#proxy\naccount_autocreate=true\nallow_account_management=true\n"
        + "".join(f"[filter:{name}]\n{text}" for name, text in filters.items())
    )


def _load(root: Path, name: str) -> Any:
    return wsgi.loadapp(str(root / "etc" / f"{name}.conf"), global_conf={"log_name": name})


def main(root: Path, access_key: str, secret_key: str) -> None:
    """Serve until our parent is gone."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)
    memory = types.ModuleType("swift_memory")
    memory.__dict__["filter_factory"] = _filter_factory
    sys.modules["swift_memory"] = memory
    for folder in ("devices/d1", "etc", "cache"):
        (root / folder).mkdir(parents=True)
    (root / "etc" / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = test\n[storage-policy:0]\nname = Policy-0\ndefault = yes\n"
    )
    utils.set_swift_dir(str(root / "etc"))
    listening = {name: eventlet.listen(("127.0.0.1", 0)) for name in _SERVERS}
    for name, sock in listening.items():
        _write_storage(root, name, sock.getsockname()[1])
    _write_proxy(root, access_key, secret_key)
    for name, sock in listening.items():
        eventlet.spawn(eventlet.wsgi.server, sock, _load(root, name), log_output=False, debug=False)
    front = eventlet.listen(("127.0.0.1", 0))
    proxy = _load(root, "proxy")
    print(front.getsockname()[1], flush=True)
    eventlet.wsgi.server(front, proxy, log_output=False, debug=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2], sys.argv[3])
