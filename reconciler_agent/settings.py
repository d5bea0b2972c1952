"""`site.conf`: who this box is, where its files are, and where its control plane is; see `docs/box.md`.

An INI file; the `KEY=value` lines of the boxes in the field are read too.
"""

import configparser
import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from msgspec import Struct

from reconciler_agent.core.dotenv import is_dotenv, read_dotenv, to_sections
from reconciler_agent.errors import SettingsInvalid
from schemas.names import ID_PATTERN, SiteId

MAX_BYTES: Final = 64 << 10
SYSTEMD: Final = "systemd"
STICKS: Final = "/media /run/media /mnt"
"""Where desktops, udisks and technicians mount USB sticks."""
Sections = Mapping[str, Mapping[str, str]]
_KEYS: Final = {
    "site": {"id", "root", "state", "key", "trust"},
    "box": {"app_url", "admin_url", "page_url", "services", "owner", "clock", "sticks"},
    "central": {"url", "ca"},
    "agent": {"report_s", "heal_s", "downloads"},
}


class Settings(Struct, frozen=True, kw_only=True):
    """What site.conf says, checked.

    `owner`: the user that the box's files belong to, empty to leave them to whoever runs the agent. `clock`: `auto`
    asks the kernel whether the clock is synchronised, `trusted` says that it always is. An empty `admin_url` or
    `page_url`: there is none on this box. `sticks`: folders beneath which USB sticks are looked for
    while there is no network. `services`: `systemd`, or `unix:/PATH` of a supervisor's socket. `heal_s`:
    seconds between two rounds without news; `report_s`: between two reports. `downloads`: how many videos may be on
    their way at once. What a site may switch off:
    `remote_commands`, that operations are done; `auto_update`, that another release follows the one that runs;
    `telemetry`, that reports hold measurements and that what was played is handed over.
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
    sticks: tuple[str, ...]
    downloads: int
    auto_update: bool
    remote_commands: bool
    telemetry: bool


def load_settings(path: Path) -> Settings:
    """The settings in `path`; SettingsInvalid says in one sentence what is wrong with them."""
    return parse_settings(read_text(path), path)


def read_text(path: Path) -> str:
    """What is written in `path`, the first MAX_BYTES of it; SettingsInvalid when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8-sig")  # editors on Windows begin a file with a mark
    except FileNotFoundError:
        raise SettingsInvalid(f"cannot read {path}: there is no such file; name another with --conf") from None
    except UnicodeDecodeError:
        raise SettingsInvalid(f"cannot read {path}: it is not UTF-8 text") from None
    except OSError as problem:
        raise SettingsInvalid(f"cannot read {path}: {problem.strerror}") from None


def parse_settings(text: str, path: Path) -> Settings:
    """The settings in the `text` of `path` (named in messages alone)."""
    return check_sections(parse_sections(text, path), path)


def parse_sections(text: str, path: Path) -> Sections:
    """What is written, in either form, by section and key; nothing of it is checked yet."""
    try:
        if is_dotenv(text):
            return to_sections(read_dotenv(text))
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(text, str(path))
        return {name: dict(parser[name]) for name in parser.sections()}
    except configparser.MissingSectionHeaderError:
        raise SettingsInvalid(f"cannot use {path}: it does not begin with a section; write [site] first") from None
    except configparser.Error as problem:
        raise SettingsInvalid(f"cannot use {path}: {' '.join(str(problem).split())[:300]}") from None
    except ValueError as problem:
        raise SettingsInvalid(f"cannot use {path}: {problem}") from None


def check_sections(sections: Sections, path: Path) -> Settings:
    """The settings that these sections of `path` make; SettingsInvalid names the one that cannot be used."""
    try:
        return _read(sections)
    except ValueError as problem:
        raise SettingsInvalid(f"cannot use {path}: {problem}") from None


def _read(sections: Sections) -> Settings:
    for name, keys in _KEYS.items():
        if unknown := set(sections.get(name, {})) - keys:
            raise ValueError(f"[{name}] has no key {min(unknown)!r}; it has {', '.join(sorted(keys))}")
    site, box = sections.get("site", {}), sections.get("box", {})
    central, agent = sections.get("central", {}), sections.get("agent", {})
    features = sections.get("features", {})
    return Settings(
        site=_site(site.get("id", "")),
        root=_absolute(site, "root", "/home/pi/neopro"),
        state=_absolute(site, "state", "/var/lib/neopro-agent"),
        key=_absolute(site, "key", "/etc/neopro/site.key"),
        trust=_absolute(site, "trust", "/etc/neopro/root.json"),
        app_url=_local(box, "app_url", "http://127.0.0.1:3000"),
        admin_url=_local(box, "admin_url", "http://127.0.0.1:8080"),
        page_url=_local(box, "page_url", "http://127.0.0.1"),
        services=_services(box.get("services", SYSTEMD)),
        owner=box.get("owner", "pi"),
        clock=_clock(box.get("clock", "auto")),
        central_url=_central(central.get("url", "")),
        ca=_absolute(central, "ca", "", "central") if central.get("ca") else None,
        report_s=_seconds(agent, "report_s", 300),
        heal_s=_seconds(agent, "heal_s", 60),
        sticks=_sticks(box.get("sticks", STICKS)),
        downloads=_few(agent, "downloads", 2),
        auto_update=_switch(features, "auto_update"),
        remote_commands=_switch(features, "remote_commands"),
        telemetry=_switch(features, "telemetry"),
    )


def _site(text: str) -> SiteId:
    if not re.fullmatch(ID_PATTERN, text):
        raise ValueError(f"[site] id is {text!r}; write the name of the site's file in Git, such as nlf-handball")
    return text


def _absolute(section: Mapping[str, str], key: str, default: str, name: str = "site") -> Path:
    path = Path(section.get(key, default))
    if not path.is_absolute():
        raise ValueError(f"[{name}] {key} is {str(path)!r}; write an absolute path")
    return path


def _sticks(text: str) -> tuple[str, ...]:
    folders = tuple(text.split())
    if wrong := next((folder for folder in folders if not folder.startswith("/")), None):
        raise ValueError(f"[box] sticks names {wrong!r}; write absolute folders with blanks between them, or nothing")
    return folders


def _services(text: str) -> str:
    if text != SYSTEMD and not text.startswith("unix:/"):
        raise ValueError(f"[box] services is {text!r}; write systemd, or unix:/PATH of the socket of a supervisor")
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


def _few(section: Mapping[str, str], key: str, default: int) -> int:
    text = section.get(key, str(default))
    if not re.fullmatch("[1-8]", text):
        raise ValueError(f"[agent] {key} is {text!r}; write a number from 1 to 8")
    return int(text)


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
