"""What an operator sets: a TOML file, and over it NEOPRO_* of the environment.

Every value knows where it came from, so that an error can name it. Secrets are never written in the file: they are
paths of files, or come by the environment; nothing here prints a value.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple
from urllib.parse import parse_qs, urlsplit

import msgspec
from msgspec import Meta, Struct

from control_plane.core.openid import Grant, SecondFactor, is_safe_url
from control_plane.errors import SettingsInvalid

PREFIX: Final = "NEOPRO_"
CONFIG_VARIABLE: Final = "NEOPRO_CONFIG"
DAY_S: Final = 86_400
Seconds = Annotated[int, Meta(ge=1, le=366 * DAY_S)]
Memory = Annotated[int, Meta(ge=DAY_S, le=100 * 366 * DAY_S)]
LongMemory = Annotated[int, Meta(ge=93 * DAY_S, le=100 * 366 * DAY_S)]
Session = Annotated[int, Meta(ge=300, le=366 * DAY_S)]
Listen = Annotated[str, Meta(pattern=r"^(\[[0-9a-fA-F:.]+\]|[^:\[\]\s]+):\d{1,5}$")]
Bucket = Annotated[str, Meta(pattern=r"^(folder|s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])$")]


class Settings(Struct, frozen=True, kw_only=True):
    """The control plane's settings; paths are absolute. In the file, relative paths start at the file's folder."""

    data_dir: Path = Path("/var/lib/neopro-fleet")
    """Everything that the server keeps: clone, uploads, and the embedded database and objects."""

    database_url: str = ""
    """PostgreSQL's conninfo or URL; empty: an embedded one in `data_dir`/postgres."""
    database_url_file: Path | None = None
    database_pool: Annotated[int, Meta(ge=2, le=100)] = 8
    postgres_binaries: Path | None = None

    objects: Bucket = "folder"
    """`folder` (`data_dir`/objects) or s3://BUCKET."""
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_secure: bool = True
    s3_access_key_file: Path | None = None
    s3_secret_key_file: Path | None = None
    s3_presign: bool = False
    """Boxes reach the endpoint themselves: they are sent there for large files."""
    s3_ca_file: Path | None = None

    remote: str = ""
    ref: str = "main"
    git_ca_file: Path | None = None
    git_ssh_key: Path | None = None
    git_known_hosts: Path | None = None
    git_username: str | None = None
    git_password_file: Path | None = None
    poll_s: Seconds = 15

    manifest_key: Path | None = None

    listen: Listen = "127.0.0.1:8470"
    """Port 0: any free one."""
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    trusted_proxy: list[str] = []
    """Networks (10.0.0.0/8, ::1) whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    public_url: str = ""

    oidc_issuer: str = ""
    """The OpenID provider that people may log in through, as its own metadata writes it; empty: none."""
    oidc_client_id: str = ""
    oidc_client_secret_file: Path | None = None
    """None: a public client, which PKCE alone protects."""
    oidc_ca_file: Path | None = None
    oidc_scopes: list[str] = msgspec.field(default_factory=lambda: ["openid", "profile", "email"])
    oidc_label: str = ""
    """What its button on the login page says; empty: the issuer's host name."""
    oidc_name_claim: str = "preferred_username"
    oidc_second_factor: SecondFactor = "told"
    oidc_acr: list[str] = []
    """Values of `acr` that stand for two factors; they are asked for too."""
    oidc_grants: list[Grant] = []
    """Who gets which role: the first that matches decides; whoever matches none stays outside."""

    notifications: Path | None = None
    """A TOML file with a `[[channel]]` for each place where people are told of alerts; it may hold secrets."""

    outlines: Path | None = None
    """The outlines below the map's sites; None: where the set-up puts them, below the environment's `share`."""

    session_idle_s: Session = DAY_S
    """A browser's session ends when nothing was asked for so long."""
    session_longest_s: Session = 7 * DAY_S
    """… and whatever was asked, so long after the login."""

    keep_audit_s: Memory = 366 * DAY_S
    keep_events_s: Memory = 90 * DAY_S
    keep_conditions_s: Memory = 366 * DAY_S
    keep_metrics_s: LongMemory = 5 * 366 * DAY_S
    """Of the figures of whole days; minutes last a day, hours 90 days."""
    keep_playbacks_s: LongMemory = 5 * 366 * DAY_S
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port to listen on."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def trusted_networks(self) -> list[IPv4Network | IPv6Network]:
        """`trusted_proxy`, read."""
        return [ip_network(text) for text in self.trusted_proxy]

    def __repr__(self) -> str:
        # A database's URL may carry a password, and settings end up in logs and tracebacks.
        return f"Settings(data_dir={str(self.data_dir)!r}, listen={self.listen!r}, …)"

    @classmethod
    def load(cls, path: Path | None, env: Mapping[str, str]) -> "Settings":
        """The settings of `path` (or of the file that NEOPRO_CONFIG names, or none) and `env`; else SettingsInvalid."""
        named = path or (Path(env[CONFIG_VARIABLE]) if env.get(CONFIG_VARIABLE) else None)
        given = {v.key: v for v in _from_file(named)} if named else {}
        given |= {v.key: v for v in _from_environment(env)}
        settings = cls(**{key: _convert(value) for key, value in given.items()})
        _require_sense(settings, given)
        return settings


class _Value(NamedTuple):
    key: str
    raw: Any
    origin: str
    """As an error names it: `poll_s in /etc/neopro/server.toml`, or `NEOPRO_POLL_S`."""
    folder: Path
    """What a relative path starts at."""
    typed: bool
    """False: a text of the environment, to be read as the field's type."""


_LISTS: Final = frozenset({"trusted_proxy", "oidc_scopes", "oidc_acr"})
"""In the environment they are written with commas."""
_FORMS: Final = {
    "listen": "write HOST:PORT, such as 127.0.0.1:8470",
    "objects": "write folder, or s3://BUCKET",
    "oidc_grants": "write a JSON list in the environment, or [[oidc_grants]] tables in the file",
}
"""What to write where a pattern was not met: nobody should have to read one."""
_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(Settings)}


def _from_file(path: Path) -> Iterator[_Value]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise SettingsInvalid(f"cannot read the settings {path}: {why}") from None
    for key, raw in document.items():
        if key not in _TYPES:
            raise SettingsInvalid(f"cannot use {key} in {path}: there is no such setting{_nearest(key)}")
        yield _Value(key, raw, f"{key} in {path}", path.resolve().parent, typed=True)


def _from_environment(env: Mapping[str, str]) -> Iterator[_Value]:
    for name in sorted(env):
        key = name.removeprefix(PREFIX).lower()
        if not name.startswith(PREFIX):
            continue
        if key in _TYPES:
            yield _Value(key, env[name], name, Path.cwd(), typed=False)
        elif key not in {"config", "url", "token"} and difflib.get_close_matches(key, _TYPES, 1, 0.85):
            # Other programs of the family use NEOPRO_* too; only what looks like a slip of the pen is refused.
            raise SettingsInvalid(f"cannot use {name} of the environment: there is no such setting{_nearest(key)}")


def _nearest(key: str) -> str:
    near = difflib.get_close_matches(key, _TYPES, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _convert(value: _Value) -> Any:
    raw = value.raw
    if value.key in _LISTS and isinstance(raw, str):
        raw = [part.strip() for part in raw.split(",") if part.strip()]
    try:
        if value.key == "oidc_grants" and isinstance(raw, str):
            raw = msgspec.json.decode(raw)
        converted = msgspec.convert(raw, _TYPES[value.key], strict=value.typed, dec_hook=_decode)
    except msgspec.DecodeError as problem:
        advice = _FORMS.get(value.key, problem) if isinstance(raw, str) else problem
        raise SettingsInvalid(f"cannot use {value.origin}: {advice}") from None
    if value.key == "remote" and _is_path(converted):
        return str(value.folder / Path(converted).expanduser())
    return value.folder / converted.expanduser() if isinstance(converted, Path) else converted


def _is_path(remote: str) -> bool:
    """Whether a remote is a folder of this machine: no URL, no `host:path` of SSH."""
    return bool(remote) and "://" not in remote and not re.match(r"[^/]+:", remote)


def _decode(_path: type, raw: Any) -> Any:
    if not isinstance(raw, str):
        raise ValueError("Expected `str`")
    if not raw:
        raise ValueError("Expected a path, not nothing")
    return Path(raw)


def _require_sense(settings: Settings, given: Mapping[str, _Value]) -> None:
    """What no single field can tell; SettingsInvalid names the key that is to be changed."""
    for key, why in (*_network_sense(settings), *_storage_sense(settings, given), *_openid_sense(settings)):
        raise SettingsInvalid(f"cannot use {given[key].origin if key in given else key}: {why}")


def _network_sense(settings: Settings) -> Iterator[tuple[str, str]]:
    host, port = settings.address
    if port > 65_535:
        yield "listen", "a port is at most 65535"
    try:
        settings.trusted_networks  # noqa: B018 — read only to be checked
    except ValueError as problem:
        yield "trusted_proxy", f"{problem}"
    if not (_is_loopback(host) or settings.tls_certificate or settings.trusted_proxy):
        yield (
            "listen",
            "without TLS only a loopback address will do; set tls_certificate and tls_key, "
            "or trusted_proxy if a proxy in front ends TLS",
        )
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        key = "tls_key" if settings.tls_key else "tls_certificate"
        yield key, "tls_certificate and tls_key are set together or not at all"


def _storage_sense(settings: Settings, given: Mapping[str, _Value]) -> Iterator[tuple[str, str]]:
    if settings.database_url and settings.database_url_file:
        yield "database_url_file", "database_url is set too; set one of them"
    if "database_url" in given and given["database_url"].typed and _holds_password(settings.database_url):
        yield "database_url", "it holds a password; put it into a file that database_url_file names"
    if settings.objects != "folder":
        for key in ("s3_endpoint", "s3_access_key_file", "s3_secret_key_file"):
            if not getattr(settings, key):
                yield "objects", f"{key} is not set"


def _openid_sense(settings: Settings) -> Iterator[tuple[str, str]]:
    if not settings.oidc_issuer:
        return
    if not is_safe_url(settings.oidc_issuer):
        yield "oidc_issuer", "give its https address; plain http goes to loopback only"
    for key in ("oidc_client_id", "public_url", "oidc_grants"):
        if not getattr(settings, key):
            yield "oidc_issuer", f"{key} is not set"
    if not is_safe_url(settings.public_url):
        yield "public_url", "people who come back from the provider need an https address; plain http to loopback only"
    if "openid" not in settings.oidc_scopes:
        yield "oidc_scopes", "it lacks openid"
    for grant in settings.oidc_grants:
        if grant.role == "admin" and grant.tenant is not None:
            yield "oidc_grants", f"an admin is of the team and has no tenant: {grant.claim} = {grant.value}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _holds_password(conninfo: str) -> bool:
    if "://" not in conninfo:
        return "password=" in conninfo.replace(" ", "").replace("passfile=", "")
    parts = urlsplit(conninfo)
    return bool(parts.password) or "password" in parse_qs(parts.query)


def read_secret(path: Path) -> str:
    """The one line of a secret's file, without its line end; SettingsInvalid when it cannot be read or is empty."""
    try:
        text = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
        raise SettingsInvalid(f"cannot read the secret {path}: {why}") from None
    if not text or "\n" in text:
        raise SettingsInvalid(f"cannot use the secret {path}: it must hold one line")
    return text
