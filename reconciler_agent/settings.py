"""`site.conf`: who this box is, where its files are, and where its control plane is. An INI file; see `docs/box.md`."""

import configparser
import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from reconciler_agent.errors import SettingsInvalid
from schemas.names import ID_PATTERN, SiteId

MAX_BYTES: Final = 64 << 10
_KEYS: Final = {
    "site": {"id", "root", "state", "key", "trust"},
    "box": {"app_url", "admin_url", "page_url", "services", "owner", "clock"},
    "central": {"url", "ca"},
    "agent": {"report_s", "heal_s"},
}


class Settings(Struct, frozen=True, kw_only=True):
    """What site.conf says, checked.

    `owner`: the user that the box's files belong to, empty to leave them to whoever runs the agent. `clock`: `auto`
    asks the kernel whether the clock is synchronised, `trusted` says that it always is. An empty `admin_url` or
    `page_url`: there is none on this box. `heal_s`: seconds between two rounds without news; `report_s`: between two
    reports. `remote_commands`: operations are done; a site may switch them off.
    """

    site: SiteId
    root: Path
    state: Path
    key: Path
    trust: Path
    app_url: str
    admin_url: str
    page_url: str
    services: str
    owner: str
    clock: Literal["auto", "trusted"]
    central_url: str
    ca: Path | None
    report_s: float
    heal_s: float
    remote_commands: bool


def load_settings(path: Path) -> Settings:
    """The settings in `path`; SettingsInvalid says in one sentence what is wrong with them."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES).decode("utf-8-sig")  # editors on Windows begin a file with a mark
    except FileNotFoundError:
        raise SettingsInvalid(f"cannot read {path}: there is no such file; name another with --conf") from None
    except UnicodeDecodeError:
        raise SettingsInvalid(f"cannot read {path}: it is not UTF-8 text") from None
    except OSError as problem:
        raise SettingsInvalid(f"cannot read {path}: {problem.strerror}") from None
    return parse_settings(text, path)


def parse_settings(text: str, path: Path) -> Settings:
    """The settings in the `text` of `path` (named in messages alone)."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text, str(path))
        return _read({name: dict(parser[name]) for name in parser.sections()})
    except configparser.MissingSectionHeaderError:
        raise SettingsInvalid(f"cannot use {path}: it does not begin with a section; write [site] first") from None
    except configparser.Error as problem:
        raise SettingsInvalid(f"cannot use {path}: {' '.join(str(problem).split())[:300]}") from None
    except ValueError as problem:
        raise SettingsInvalid(f"cannot use {path}: {problem}") from None


def _read(sections: Mapping[str, Mapping[str, str]]) -> Settings:
    for name, keys in _KEYS.items():
        if unknown := set(sections.get(name, {})) - keys:
            raise ValueError(f"[{name}] has no key {min(unknown)!r}; it has {', '.join(sorted(keys))}")
    site, box = sections.get("site", {}), sections.get("box", {})
    central, agent = sections.get("central", {}), sections.get("agent", {})
    return Settings(
        site=_site(site.get("id", "")),
        root=_absolute(site, "root", "/home/pi/neopro"),
        state=_absolute(site, "state", "/var/lib/neopro-agent"),
        key=_absolute(site, "key", "/etc/neopro/site.key"),
        trust=_absolute(site, "trust", "/etc/neopro/root.json"),
        app_url=_local(box, "app_url", "http://127.0.0.1:3000"),
        admin_url=_local(box, "admin_url", "http://127.0.0.1:8080"),
        page_url=_local(box, "page_url", "http://127.0.0.1"),
        services=_services(box.get("services", "")),
        owner=box.get("owner", "pi"),
        clock=_clock(box.get("clock", "auto")),
        central_url=_central(central.get("url", "")),
        ca=Path(central["ca"]) if central.get("ca") else None,
        report_s=_seconds(agent, "report_s", 300),
        heal_s=_seconds(agent, "heal_s", 60),
        remote_commands=_switch(sections.get("features", {}), "remote_commands"),
    )


def _site(text: str) -> SiteId:
    if not re.fullmatch(ID_PATTERN, text):
        raise ValueError(f"[site] id is {text!r}; write the name of the site's file in Git, such as nlf-handball")
    return text


def _absolute(section: Mapping[str, str], key: str, default: str) -> Path:
    path = Path(section.get(key, default))
    if not path.is_absolute():
        raise ValueError(f"[site] {key} is {str(path)!r}; write an absolute path")
    return path


def _services(text: str) -> str:
    if not text.startswith("unix:/"):
        raise ValueError(f"[box] services is {text!r}; write unix:/PATH of the socket of the box's service manager")
    return text


def _clock(text: str) -> Literal["auto", "trusted"]:
    if text not in ("auto", "trusted"):
        raise ValueError(f"[box] clock is {text!r}; write auto or trusted")
    return "trusted" if text == "trusted" else "auto"


def _seconds(section: Mapping[str, str], key: str, default: float) -> float:
    text = section.get(key, str(default))
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.1 <= value <= 86_400:
        raise ValueError(f"[agent] {key} is {text!r}; write seconds, from 0.1 to 86400")
    return value


def _switch(section: Mapping[str, str], key: str) -> bool:
    text = section.get(key, "true").lower()
    if text not in configparser.ConfigParser.BOOLEAN_STATES:
        raise ValueError(f"[features] {key} is {text!r}; write true or false")
    return configparser.ConfigParser.BOOLEAN_STATES[text]


def _local(section: Mapping[str, str], key: str, default: str) -> str:
    url = section.get(key, default).rstrip("/")
    if url and not (url.startswith("http://") and is_loopback(url)):
        raise ValueError(f"[box] {key} is {url!r}; write an address on the box itself, such as {default}")
    return url


def _central(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None:
        raise ValueError("[central] url holds a user's name; the box's key says who it is: write https://HOST")
    if (parts.scheme == "https" and parts.hostname) or (parts.scheme == "http" and is_loopback(url)):
        return url.rstrip("/")
    raise ValueError(f"[central] url is {url!r}; write https://HOST (plain http only to this machine)")


def is_loopback(url: str) -> bool:
    """Whether the host of `url` is this machine itself, without asking any name server."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
